-- +goose Up
-- An ECS service belongs to one deployment group at most.
CREATE TABLE ecs_services (
    service  TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- cluster:service
    group_id TEXT COLLATE "C" NOT NULL REFERENCES deployment_groups (id) ON DELETE CASCADE
);
CREATE INDEX ecs_services_group ON ecs_services (group_id);
