-- What the triggers of deployment groups are to be told, until it is sent.

-- +goose Up
ALTER TABLE deployment_groups ADD COLUMN triggered INTEGER NOT NULL DEFAULT FALSE; -- it has triggers
UPDATE deployment_groups SET triggered = TRUE WHERE json_extract(info, '$.triggerConfigurations[0]') IS NOT NULL;

CREATE TABLE notices (
    place         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: who took a notice drops it by its place
    topic         TEXT NOT NULL,
    trigger_name  TEXT NOT NULL,
    event         TEXT NOT NULL,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT NOT NULL, -- '' when it is about the deployment
    status        TEXT NOT NULL,
    at            INTEGER NOT NULL,
    due           INTEGER NOT NULL DEFAULT 0, -- not to be taken before
    failures      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX notices_topic ON notices (topic, place);
CREATE INDEX notices_deployment ON notices (deployment_id);
