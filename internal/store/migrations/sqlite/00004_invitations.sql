-- +goose Up

-- ── into the house: invitations, forgotten passwords ──────────────────────
ALTER TABLE users ADD COLUMN session_epoch integer NOT NULL DEFAULT 0; -- a session begun under another is over

CREATE TABLE invitations (
  id          text PRIMARY KEY NOT NULL,
  brand_id    text NOT NULL REFERENCES brands (id),
  email       text NOT NULL,
  role        text NOT NULL CHECK (role IN ('owner', 'marketer', 'analyst', 'reader')),
  language    text NOT NULL,
  token_hash  blob NOT NULL UNIQUE,
  invited_by  text NOT NULL REFERENCES users (id),
  created_at  datetime NOT NULL,
  sent_at     datetime NOT NULL,
  expires_at  datetime NOT NULL,
  accepted_at datetime,
  revoked_at  datetime
);
CREATE UNIQUE INDEX invitations_open ON invitations (brand_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_age ON invitations (expires_at);

CREATE TABLE password_resets (
  token_hash blob PRIMARY KEY NOT NULL,
  user_id    text NOT NULL REFERENCES users (id),
  created_at datetime NOT NULL,
  expires_at datetime NOT NULL
);
CREATE INDEX password_resets_user ON password_resets (user_id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
