-- +goose Up

-- How a form is guarded while few of those who are asked through it confirm:
-- empty, 'proof' (visitors prove work first) or 'paused'; since guard_at.
-- Nothing that was asked before guard_at is judged.
ALTER TABLE forms ADD COLUMN guard text NOT NULL DEFAULT '' CHECK (guard IN ('', 'proof', 'paused'));
ALTER TABLE forms ADD COLUMN guard_at datetime;
CREATE INDEX signup_requests_time ON signup_requests (form_id, created_at);

-- When the button was first pressed in a way that programs press it; the second
-- step is still to come, or came later.
ALTER TABLE signup_requests ADD COLUMN doubted_at datetime;

-- Proofs of work, and of patience, that were used: each is good once.
CREATE TABLE spent_proofs (
  proof      blob PRIMARY KEY NOT NULL,
  expires_at datetime NOT NULL           -- after which nobody would take it anyhow
);
CREATE INDEX spent_proofs_late ON spent_proofs (expires_at);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
