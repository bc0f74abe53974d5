-- How many targets a deployment has, so that a quota on them is checked without counting rows. The index holds all that is
-- added up: a row's other columns are long.

-- +goose Up
ALTER TABLE deployments ADD COLUMN targets BIGINT NOT NULL DEFAULT 0;
UPDATE deployments SET targets = (SELECT count(*) FROM targets t WHERE t.deployment_id = deployments.id);
CREATE INDEX deployments_targets ON deployments (live, targets) WHERE live;
