-- Counts up whenever the lease changes hands. One that was given back keeps its row, with an empty owner, so that no token
-- ever comes again.
ALTER TABLE lease ADD COLUMN token INTEGER NOT NULL DEFAULT 1 CHECK (token > 0);
