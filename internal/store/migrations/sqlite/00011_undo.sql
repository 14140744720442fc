-- +goose Up

-- What somebody did and can take back: within an hour, once, by whoever did it.
CREATE TABLE undos (
  id         text PRIMARY KEY NOT NULL,
  brand_id   text NOT NULL REFERENCES brands (id),
  user_id    text NOT NULL REFERENCES users (id),
  what       text NOT NULL,                 -- the act, as in deeds
  subject_id text,                          -- to whom or what; null: to many, or to no row
  next       text NOT NULL,                 -- the page that it led to
  state      text NOT NULL,                 -- of the subject after the act: another one now, and it stays
  fields     text NOT NULL,                -- what it was before
  people     blob,                         -- whom an act upon many changed, 16 bytes each
  made_at    datetime NOT NULL,
  taken_at   datetime
);
CREATE INDEX undos_made ON undos (made_at);

-- Silence is an alarm too: mail that is opened or followed far less than usual,
-- and sign-ups that no longer come, whose seen_of and usual_of are hours.
ALTER TABLE alarms RENAME TO alarms_before;
DROP INDEX alarms_open;
DROP INDEX alarms_brand;
CREATE TABLE alarms (
  id              text PRIMARY KEY NOT NULL,
  brand_id        text NOT NULL REFERENCES brands (id),
  kind            text NOT NULL CHECK (kind IN ('complaints', 'leavers', 'failures', 'opens', 'clicks', 'signups')),
  span            text NOT NULL CHECK (span IN ('hour', 'day', 'week')),
  began_at        datetime NOT NULL,
  seen            integer NOT NULL,          -- so many …
  seen_of         integer NOT NULL,          -- … of so many mails, or hours, when it began
  usual           integer NOT NULL,          -- so many …
  usual_of        integer NOT NULL,          -- … of so many in the thirty days before
  last_seen       integer NOT NULL,          -- as seen and seen_of, at the last look
  last_seen_of    integer NOT NULL,
  acknowledged_by text REFERENCES users (id),
  acknowledged_at datetime,
  ended_at        datetime,
  CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);
INSERT INTO alarms SELECT * FROM alarms_before;
DROP TABLE alarms_before;
CREATE UNIQUE INDEX alarms_open ON alarms (brand_id, kind) WHERE ended_at IS NULL;
CREATE INDEX alarms_brand ON alarms (brand_id, id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
