-- API tokens: what is known of them, and what has been done with them. Times are Unix seconds.

CREATE TABLE api_token_owner (
    owner       TEXT PRIMARY KEY NOT NULL,
    disabled_at INTEGER
) STRICT;

CREATE TABLE api_token (
    id             TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 12),
    owner          TEXT NOT NULL REFERENCES api_token_owner (owner),
    name           TEXT NOT NULL,
    pepper         TEXT NOT NULL,
    digest         BLOB NOT NULL CHECK (length(digest) = 32),
    scope          TEXT NOT NULL,
    -- The applications of the scope once more, one a line, each line with its end and a line's end before the first.
    applications   TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    created_by     TEXT NOT NULL,
    expires_at     INTEGER NOT NULL,
    revoked_at     INTEGER,
    revoked_by     TEXT,
    revoke_reason  TEXT,
    -- Unique: a token has one replacement, whatever the code believes.
    replaces       TEXT UNIQUE REFERENCES api_token (id),
    replaced_by    TEXT UNIQUE REFERENCES api_token (id),
    last_used_at   INTEGER,
    last_used_from TEXT,
    revision       INTEGER NOT NULL,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoke_reason IS NULL))
) STRICT;

CREATE INDEX api_token_by_owner ON api_token (owner, created_at, id);
CREATE INDEX api_token_by_age ON api_token (created_at, id);
CREATE INDEX api_token_revoked_by_age ON api_token (created_at, id) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_token_by_revision ON api_token (revision);
CREATE INDEX api_token_not_revoked ON api_token (pepper, expires_at) WHERE revoked_at IS NULL;

CREATE TABLE api_token_network (
    token         TEXT NOT NULL REFERENCES api_token (id),
    network       TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    PRIMARY KEY (token, network)
) STRICT, WITHOUT ROWID;

-- The audit trail. It outlives what it tells of, so it refers to nothing.
CREATE TABLE api_token_event (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL,
    actor  TEXT,
    token  TEXT,
    owner  TEXT,
    source TEXT,
    detail TEXT
) STRICT;

CREATE INDEX api_token_event_by_token ON api_token_event (token, id);
CREATE INDEX api_token_event_by_owner ON api_token_event (owner, id);

CREATE TRIGGER api_token_event_is_not_changed BEFORE UPDATE ON api_token_event
BEGIN
    SELECT RAISE(ABORT, 'the audit trail cannot be changed');
END;
-- INSERT OR REPLACE deletes without asking the trigger for deletions.
CREATE TRIGGER api_token_event_is_not_replaced BEFORE INSERT ON api_token_event
WHEN EXISTS (SELECT 1 FROM api_token_event WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit trail cannot be changed');
END;
CREATE TRIGGER api_token_event_is_not_deleted BEFORE DELETE ON api_token_event
BEGIN
    SELECT RAISE(ABORT, 'the audit trail cannot be changed');
END;

-- One row: how many changes there have been. Whoever changes a token increments it first, and has it alone until
-- the end of the transaction, so that revisions become visible in their order and without gaps.
CREATE TABLE api_token_revision (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO api_token_revision (one, revision) VALUES (1, 0);
