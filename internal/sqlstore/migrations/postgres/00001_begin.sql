-- Times are microseconds since 1970 in UTC, 0 for none. JSON is TEXT, written and read whole, never queried inside.

-- +goose Up
CREATE TABLE applications (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    info       TEXT COLLATE "C" NOT NULL,
    tags       TEXT COLLATE "C" NOT NULL
);

CREATE TABLE deployment_groups (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    application_id TEXT COLLATE "C" NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    name           TEXT COLLATE "C" NOT NULL,
    config         TEXT COLLATE "C" NOT NULL,            -- name of a deployment config, custom or predefined
    info           TEXT COLLATE "C" NOT NULL,
    tags           TEXT COLLATE "C" NOT NULL,
    target_key     TEXT COLLATE "C" NOT NULL DEFAULT '', -- key of the revision of the last success
    last_success   TEXT COLLATE "C" NOT NULL DEFAULT '', -- deployment ids
    last_attempt   TEXT COLLATE "C" NOT NULL DEFAULT '',
    UNIQUE (application_id, name)
);
CREATE INDEX deployment_groups_config ON deployment_groups (config);

CREATE TABLE deployment_configs (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    info       TEXT COLLATE "C" NOT NULL
);

CREATE TABLE revisions (
    application_id TEXT COLLATE "C" NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    key            TEXT COLLATE "C" NOT NULL,
    location       TEXT COLLATE "C" NOT NULL,
    description    TEXT COLLATE "C",
    registered_at  BIGINT NOT NULL,
    first_used_at  BIGINT NOT NULL DEFAULT 0,
    last_used_at   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (application_id, key)
);

CREATE TABLE hosts (
    name            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    arn             TEXT COLLATE "C" NOT NULL,            -- iamUserArn or iamSessionArn: a host has one of them
    registered_at   BIGINT NOT NULL,
    deregistered_at BIGINT NOT NULL DEFAULT 0,
    last_seen_at    BIGINT NOT NULL DEFAULT 0,
    agent           TEXT COLLATE "C" NOT NULL DEFAULT '',
    info            TEXT COLLATE "C" NOT NULL,
    tags            TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX hosts_arn ON hosts (arn) WHERE deregistered_at = 0;

CREATE TABLE target_health (
    group_id     TEXT COLLATE "C" NOT NULL REFERENCES deployment_groups (id) ON DELETE CASCADE,
    target       TEXT COLLATE "C" NOT NULL,
    healthy      BOOLEAN NOT NULL,
    revision_key TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, target)
);

CREATE TABLE deployments (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    group_id         TEXT COLLATE "C" NOT NULL REFERENCES deployment_groups (id) ON DELETE CASCADE,
    config           TEXT COLLATE "C" NOT NULL,
    revision_key     TEXT COLLATE "C" NOT NULL,
    rollback_of      TEXT COLLATE "C" UNIQUE,
    info             TEXT COLLATE "C" NOT NULL,
    plan             TEXT COLLATE "C" NOT NULL,
    facts            TEXT COLLATE "C" NOT NULL,
    version          BIGINT NOT NULL,
    status           TEXT COLLATE "C" NOT NULL,
    live             BOOLEAN NOT NULL,
    phase            BIGINT NOT NULL,
    phase_since      BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT NOT NULL DEFAULT 0,
    completed_at     BIGINT NOT NULL DEFAULT 0,
    error_code       TEXT COLLATE "C" NOT NULL DEFAULT '',
    error_message    TEXT COLLATE "C" NOT NULL DEFAULT '',
    rollback_message TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX deployments_live ON deployments (group_id) WHERE live;
CREATE INDEX deployments_group ON deployments (group_id, created_at, id);
CREATE INDEX deployments_created ON deployments (created_at, id);

CREATE TABLE targets (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT COLLATE "C" NOT NULL,
    ordinal       BIGINT NOT NULL, -- place in the plan
    status        TEXT COLLATE "C" NOT NULL,
    step          BIGINT NOT NULL,
    failure       TEXT COLLATE "C",
    updated_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (deployment_id, target)
);

CREATE TABLE work (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT COLLATE "C" NOT NULL,
    phase         BIGINT NOT NULL,
    step          BIGINT NOT NULL,
    event         TEXT COLLATE "C" NOT NULL,
    runner        BIGINT NOT NULL, -- lifecycle.Runner: 0 Host, 1 Server, 2 Hook
    status        TEXT COLLATE "C" NOT NULL,
    settled       BOOLEAN NOT NULL DEFAULT FALSE, -- a decision has drawn its consequences
    issued_at     BIGINT NOT NULL,
    acked_at      BIGINT NOT NULL DEFAULT 0,
    ended_at      BIGINT NOT NULL DEFAULT 0,
    due           BIGINT NOT NULL,
    timeout       BIGINT NOT NULL, -- nanoseconds
    handed_at     BIGINT NOT NULL DEFAULT 0,
    handovers     BIGINT NOT NULL DEFAULT 0,
    error_code    TEXT COLLATE "C" NOT NULL DEFAULT '',
    script_name   TEXT COLLATE "C" NOT NULL DEFAULT '',
    message       TEXT COLLATE "C" NOT NULL DEFAULT '',
    log_tail      TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX work_target ON work (deployment_id, target);
CREATE INDEX work_unsettled ON work (deployment_id) WHERE NOT settled;
CREATE INDEX work_open ON work (target) WHERE NOT settled;

CREATE TABLE users (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    path       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE access_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_name  TEXT COLLATE "C" REFERENCES users (name), -- NULL for the root key
    secret     BYTEA NOT NULL,
    active     BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX access_keys_user ON access_keys (user_name);

CREATE TABLE policies (
    user_name TEXT COLLATE "C" NOT NULL REFERENCES users (name),
    name      TEXT COLLATE "C" NOT NULL,
    document  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_name, name)
);

CREATE TABLE secrets (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);
