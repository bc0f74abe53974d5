-- What operators see and hand out: the audit log, join tokens and GitHub tokens.

-- +goose Up
CREATE TABLE audit (
    place      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    who        TEXT COLLATE "C" NOT NULL, -- an ARN
    name       TEXT COLLATE "C" NOT NULL, -- its part after the last slash
    access_key TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    resources  TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    result     TEXT COLLATE "C" NOT NULL,
    message    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_name ON audit (name, place);
CREATE INDEX audit_action ON audit (action, place);

CREATE TABLE join_tokens (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret     BYTEA NOT NULL, -- SHA-256 of it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    info       TEXT COLLATE "C" NOT NULL,
    used_at    BIGINT NOT NULL DEFAULT 0,
    used_by    TEXT COLLATE "C" NOT NULL DEFAULT '', -- name of the host
    attempt    BYTEA,                                -- SHA-256 of the host's own secret
    access_key TEXT COLLATE "C" NOT NULL DEFAULT ''  -- the one that the host was given
);
CREATE INDEX join_tokens_created ON join_tokens (created_at);

CREATE TABLE github_tokens (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed     BYTEA NOT NULL
);

CREATE TABLE github_connections (
    application_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES applications (id) ON DELETE CASCADE,
    token          TEXT COLLATE "C" NOT NULL REFERENCES github_tokens (name) ON DELETE CASCADE
);
CREATE INDEX github_connections_token ON github_connections (token);
