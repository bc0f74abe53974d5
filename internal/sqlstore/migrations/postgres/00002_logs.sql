-- What hook scripts write, in the chunks in which agents send it. The running sums spare adding them up for every chunk.

-- +goose Up
CREATE TABLE log_chunks (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    place         BIGINT NOT NULL, -- in the log of the deployment, from 1 without gaps
    target        TEXT COLLATE "C" NOT NULL,
    event         TEXT COLLATE "C" NOT NULL,
    work_id       TEXT COLLATE "C" NOT NULL,
    seq           BIGINT NOT NULL, -- as the agent counts the chunks of the Work
    work_size     BIGINT NOT NULL, -- bytes of the Work up to here
    log_size      BIGINT NOT NULL, -- bytes of the deployment up to here
    cut           BOOLEAN NOT NULL, -- a limit was reached: nothing of this Work follows
    lines         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, place)
);
CREATE UNIQUE INDEX log_chunks_work ON log_chunks (work_id, seq);
CREATE INDEX log_chunks_target ON log_chunks (deployment_id, target, place);
