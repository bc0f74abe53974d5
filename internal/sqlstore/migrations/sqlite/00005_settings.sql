-- A change of settings reads, changes and stores them: version tells it that another one came in between.

-- +goose Up
ALTER TABLE applications ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployment_groups ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
