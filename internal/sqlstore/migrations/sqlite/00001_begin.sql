-- Times are microseconds since 1970 in UTC, 0 for none. JSON is TEXT, written and read whole, never queried inside.

-- +goose Up
CREATE TABLE applications (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    info       TEXT NOT NULL,
    tags       TEXT NOT NULL
) STRICT;

CREATE TABLE deployment_groups (
    id             TEXT NOT NULL PRIMARY KEY,
    application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    config         TEXT NOT NULL,            -- name of a deployment config, custom or predefined
    info           TEXT NOT NULL,
    tags           TEXT NOT NULL,
    target_key     TEXT NOT NULL DEFAULT '', -- key of the revision of the last success
    last_success   TEXT NOT NULL DEFAULT '', -- deployment ids
    last_attempt   TEXT NOT NULL DEFAULT '',
    UNIQUE (application_id, name)
) STRICT;
CREATE INDEX deployment_groups_config ON deployment_groups (config);

CREATE TABLE deployment_configs (
    name       TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    info       TEXT NOT NULL
) STRICT;

CREATE TABLE revisions (
    application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    location       TEXT NOT NULL,
    description    TEXT,
    registered_at  INTEGER NOT NULL,
    first_used_at  INTEGER NOT NULL DEFAULT 0,
    last_used_at   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (application_id, key)
) STRICT;

CREATE TABLE hosts (
    name            TEXT NOT NULL PRIMARY KEY,
    arn             TEXT NOT NULL,            -- iamUserArn or iamSessionArn: a host has one of them
    registered_at   INTEGER NOT NULL,
    deregistered_at INTEGER NOT NULL DEFAULT 0,
    last_seen_at    INTEGER NOT NULL DEFAULT 0,
    agent           TEXT NOT NULL DEFAULT '',
    info            TEXT NOT NULL,
    tags            TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX hosts_arn ON hosts (arn) WHERE deregistered_at = 0;

CREATE TABLE target_health (
    group_id     TEXT NOT NULL REFERENCES deployment_groups (id) ON DELETE CASCADE,
    target       TEXT NOT NULL,
    healthy      INTEGER NOT NULL,
    revision_key TEXT NOT NULL,
    PRIMARY KEY (group_id, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployments (
    id               TEXT NOT NULL PRIMARY KEY,
    group_id         TEXT NOT NULL REFERENCES deployment_groups (id) ON DELETE CASCADE,
    config           TEXT NOT NULL,
    revision_key     TEXT NOT NULL,
    rollback_of      TEXT UNIQUE,
    info             TEXT NOT NULL,
    plan             TEXT NOT NULL,
    facts            TEXT NOT NULL,
    version          INTEGER NOT NULL,
    status           TEXT NOT NULL,
    live             INTEGER NOT NULL,
    phase            INTEGER NOT NULL,
    phase_since      INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER NOT NULL DEFAULT 0,
    completed_at     INTEGER NOT NULL DEFAULT 0,
    error_code       TEXT NOT NULL DEFAULT '',
    error_message    TEXT NOT NULL DEFAULT '',
    rollback_message TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX deployments_live ON deployments (group_id) WHERE live;
CREATE INDEX deployments_group ON deployments (group_id, created_at, id);
CREATE INDEX deployments_created ON deployments (created_at, id);

CREATE TABLE targets (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT NOT NULL,
    ordinal       INTEGER NOT NULL, -- place in the plan
    status        TEXT NOT NULL,
    step          INTEGER NOT NULL,
    failure       TEXT,
    updated_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (deployment_id, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE work (
    id            TEXT NOT NULL PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    target        TEXT NOT NULL,
    phase         INTEGER NOT NULL,
    step          INTEGER NOT NULL,
    event         TEXT NOT NULL,
    runner        INTEGER NOT NULL, -- lifecycle.Runner: 0 Host, 1 Server, 2 Hook
    status        TEXT NOT NULL,
    settled       INTEGER NOT NULL DEFAULT FALSE, -- a decision has drawn its consequences
    issued_at     INTEGER NOT NULL,
    acked_at      INTEGER NOT NULL DEFAULT 0,
    ended_at      INTEGER NOT NULL DEFAULT 0,
    due           INTEGER NOT NULL,
    timeout       INTEGER NOT NULL, -- nanoseconds
    handed_at     INTEGER NOT NULL DEFAULT 0,
    handovers     INTEGER NOT NULL DEFAULT 0,
    error_code    TEXT NOT NULL DEFAULT '',
    script_name   TEXT NOT NULL DEFAULT '',
    message       TEXT NOT NULL DEFAULT '',
    log_tail      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX work_target ON work (deployment_id, target);
CREATE INDEX work_unsettled ON work (deployment_id) WHERE NOT settled;
CREATE INDEX work_open ON work (target) WHERE NOT settled;

CREATE TABLE users (
    name       TEXT NOT NULL PRIMARY KEY,
    path       TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE access_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    user_name  TEXT REFERENCES users (name), -- NULL for the root key
    secret     BLOB NOT NULL,
    active     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_keys_user ON access_keys (user_name);

CREATE TABLE policies (
    user_name TEXT NOT NULL REFERENCES users (name),
    name      TEXT NOT NULL,
    document  TEXT NOT NULL,
    PRIMARY KEY (user_name, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;
