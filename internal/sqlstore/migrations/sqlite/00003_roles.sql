-- Roles, which others take on for a while. Policies of roles have a table of their own, so that each table refers to its owners.

-- +goose Up
CREATE TABLE roles (
    name        TEXT NOT NULL PRIMARY KEY,
    path        TEXT NOT NULL,
    id          TEXT NOT NULL,
    trust       TEXT NOT NULL,
    description TEXT NOT NULL,
    max_session INTEGER NOT NULL, -- seconds
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE role_policies (
    owner    TEXT NOT NULL REFERENCES roles (name),
    name     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE policies RENAME COLUMN user_name TO owner;
