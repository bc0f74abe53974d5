-- What operators see and hand out: the audit log, join tokens and GitHub tokens.

-- +goose Up
CREATE TABLE audit (
    place      INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, also when everything before was pruned
    at         INTEGER NOT NULL,
    who        TEXT NOT NULL, -- an ARN
    name       TEXT NOT NULL, -- its part after the last slash
    access_key TEXT NOT NULL,
    source     TEXT NOT NULL,
    action     TEXT NOT NULL,
    resources  TEXT NOT NULL,
    request_id TEXT NOT NULL,
    result     TEXT NOT NULL,
    message    TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_name ON audit (name, place);
CREATE INDEX audit_action ON audit (action, place);

CREATE TABLE join_tokens (
    id         TEXT NOT NULL PRIMARY KEY,
    secret     BLOB NOT NULL, -- SHA-256 of it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    info       TEXT NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0,
    used_by    TEXT NOT NULL DEFAULT '', -- name of the host
    attempt    BLOB,                     -- SHA-256 of the host's own secret
    access_key TEXT NOT NULL DEFAULT ''  -- the one that the host was given
) STRICT;
CREATE INDEX join_tokens_created ON join_tokens (created_at);

CREATE TABLE github_tokens (
    name       TEXT NOT NULL PRIMARY KEY,
    sealed     BLOB NOT NULL
) STRICT;

CREATE TABLE github_connections (
    application_id TEXT NOT NULL PRIMARY KEY REFERENCES applications (id) ON DELETE CASCADE,
    token          TEXT NOT NULL REFERENCES github_tokens (name) ON DELETE CASCADE
) STRICT;
CREATE INDEX github_connections_token ON github_connections (token);
