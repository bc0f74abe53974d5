-- What hook scripts write, in the chunks in which agents send it. The running sums spare adding them up for every chunk.

-- +goose Up
CREATE TABLE log_chunks (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL, -- in the log of the deployment, from 1 without gaps
    target        TEXT NOT NULL,
    event         TEXT NOT NULL,
    work_id       TEXT NOT NULL,
    seq           INTEGER NOT NULL, -- as the agent counts the chunks of the Work
    work_size     INTEGER NOT NULL, -- bytes of the Work up to here
    log_size      INTEGER NOT NULL, -- bytes of the deployment up to here
    cut           INTEGER NOT NULL, -- a limit was reached: nothing of this Work follows
    lines         TEXT NOT NULL,
    PRIMARY KEY (deployment_id, place)
) STRICT;
CREATE UNIQUE INDEX log_chunks_work ON log_chunks (work_id, seq);
CREATE INDEX log_chunks_target ON log_chunks (deployment_id, target, place);
