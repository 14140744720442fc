-- +goose Up

-- What somebody did and can take back: within an hour, once, by whoever did it.
CREATE TABLE undos (
  id         uuid PRIMARY KEY,
  brand_id   uuid NOT NULL REFERENCES brands (id),
  user_id    uuid NOT NULL REFERENCES users (id),
  what       text NOT NULL,                 -- the act, as in deeds
  subject_id uuid,                          -- to whom or what; null: to many, or to no row
  next       text NOT NULL,                 -- the page that it led to
  state      text NOT NULL,                 -- of the subject after the act: another one now, and it stays
  fields     jsonb NOT NULL,                -- what it was before
  people     bytea,                         -- whom an act upon many changed, 16 bytes each
  made_at    timestamptz NOT NULL,
  taken_at   timestamptz
);
CREATE INDEX undos_made ON undos (made_at);

-- Silence is an alarm too: mail that is opened or followed far less than usual,
-- and sign-ups that no longer come, whose seen_of and usual_of are hours.
ALTER TABLE alarms DROP CONSTRAINT alarms_kind_check;
ALTER TABLE alarms ADD CONSTRAINT alarms_kind_check CHECK (kind IN ('complaints', 'leavers', 'failures', 'opens', 'clicks', 'signups'));
ALTER TABLE alarms DROP CONSTRAINT alarms_span_check;
ALTER TABLE alarms ADD CONSTRAINT alarms_span_check CHECK (span IN ('hour', 'day', 'week'));

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
