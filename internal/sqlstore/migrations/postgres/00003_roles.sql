-- Roles, which others take on for a while. Policies of roles have a table of their own, so that each table refers to its owners.

-- +goose Up
CREATE TABLE roles (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    path        TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    trust       TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    max_session BIGINT NOT NULL, -- seconds
    created_at  BIGINT NOT NULL
);

CREATE TABLE role_policies (
    owner    TEXT COLLATE "C" NOT NULL REFERENCES roles (name),
    name     TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, name)
);

ALTER TABLE policies RENAME COLUMN user_name TO owner;
