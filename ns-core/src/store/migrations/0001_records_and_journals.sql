-- Documents by kind and id, with a version for compare-and-set.
CREATE TABLE record (
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    body    TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

-- Append-only lists by job. Clustered by job, because they are read that way.
CREATE TABLE journal (
    job      TEXT    NOT NULL,
    position INTEGER NOT NULL CHECK (position > 0),
    body     TEXT    NOT NULL,
    hash     TEXT    NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

-- Who may act on a name, and until when (nanoseconds since 1970, UTC).
CREATE TABLE lease (
    name  TEXT    NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
