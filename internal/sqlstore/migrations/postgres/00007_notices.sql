-- What the triggers of deployment groups are to be told, until it is sent.

-- +goose Up
ALTER TABLE deployment_groups ADD COLUMN triggered BOOLEAN NOT NULL DEFAULT FALSE; -- it has triggers
UPDATE deployment_groups SET triggered = TRUE WHERE CAST(info AS JSON) -> 'triggerConfigurations' -> 0 IS NOT NULL;

CREATE TABLE notices (
    place         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic         TEXT COLLATE "C" NOT NULL,
    trigger_name  TEXT COLLATE "C" NOT NULL,
    event         TEXT COLLATE "C" NOT NULL,
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT COLLATE "C" NOT NULL, -- '' when it is about the deployment
    status        TEXT COLLATE "C" NOT NULL,
    at            BIGINT NOT NULL,
    due           BIGINT NOT NULL DEFAULT 0, -- not to be taken before
    failures      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX notices_topic ON notices (topic, place);
CREATE INDEX notices_deployment ON notices (deployment_id);
