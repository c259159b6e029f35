-- Documents by kind and id, with a version for compare-and-set.
CREATE TABLE neverstop_record (
    kind    TEXT {bytes} NOT NULL,
    id      TEXT {bytes} NOT NULL,
    version INT8 NOT NULL CHECK (version > 0),
    body    TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Append-only lists by job.
CREATE TABLE neverstop_journal (
    job      TEXT {bytes} NOT NULL,
    position INT8 NOT NULL CHECK (position > 0),
    body     TEXT NOT NULL,
    hash     TEXT NOT NULL,
    PRIMARY KEY (job, position)
);

-- Who may act on a name, until when (nanoseconds since 1970, UTC), and the fencing token, which counts up whenever the lease
-- changes hands. One that was given back keeps its row, with an empty owner, so that no token ever comes again.
CREATE TABLE neverstop_lease (
    name  TEXT {bytes} NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    until INT8 NOT NULL,
    token INT8 NOT NULL CHECK (token > 0)
);
