-- A change of settings reads, changes and stores them: version tells it that another one came in between. Whoever counts
-- what a quota bounds holds the lock of quotas, which has no rows.

-- +goose Up
ALTER TABLE applications ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment_groups ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE TABLE quotas ();
