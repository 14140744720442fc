-- +goose Up

-- How often what happened, by the quarter of an hour in which it did: the days
-- of every time zone begin with one. What was sent is counted as it is written;
-- everything else is folded in from its own rows when the quarter is over.
CREATE TABLE quarters (
  brand_id uuid NOT NULL,
  at       timestamptz NOT NULL,            -- when it began
  kind     text NOT NULL,
  source   text NOT NULL,                   -- how, or why; may be empty
  topic    text NOT NULL,                   -- of consent; else empty
  n        bigint NOT NULL,
  PRIMARY KEY (brand_id, at, kind, source, topic)
);

-- Until when the rows of events and hits are folded into quarters.
CREATE TABLE folds (
  what    text PRIMARY KEY,
  upto    timestamptz NOT NULL
);

INSERT INTO quarters (brand_id, at, kind, source, topic, n)
  SELECT brand_id, date_bin('15 minutes', settled_at, '2000-01-01 00:00:00+00'), 'mail.sent', kind, '', count(*)
    FROM messages WHERE state = 'sent' AND settled_at IS NOT NULL GROUP BY 1, 2, 4
  UNION ALL SELECT brand_id, date_bin('15 minutes', settled_at, '2000-01-01 00:00:00+00'), 'mail.sent-watched', 'open', '', count(*)
    FROM messages WHERE state = 'sent' AND settled_at IS NOT NULL AND tracks_opens GROUP BY 1, 2
  UNION ALL SELECT brand_id, date_bin('15 minutes', settled_at, '2000-01-01 00:00:00+00'), 'mail.sent-watched', 'click', '', count(*)
    FROM messages WHERE state = 'sent' AND settled_at IS NOT NULL AND tracks_clicks GROUP BY 1, 2;

-- What is far from usual at a brand: of each kind one at a time.
CREATE TABLE alarms (
  id              uuid PRIMARY KEY,
  brand_id        uuid NOT NULL REFERENCES brands (id),
  kind            text NOT NULL CHECK (kind IN ('complaints', 'leavers', 'failures')),
  span            text NOT NULL CHECK (span IN ('hour', 'day')),
  began_at        timestamptz NOT NULL,
  seen            bigint NOT NULL,          -- so many …
  seen_of         bigint NOT NULL,          -- … of so many mails, when it began
  usual           bigint NOT NULL,          -- so many …
  usual_of        bigint NOT NULL,          -- … of so many mails in the thirty days before
  last_seen       bigint NOT NULL,          -- as seen and seen_of, at the last look
  last_seen_of    bigint NOT NULL,
  acknowledged_by uuid REFERENCES users (id),
  acknowledged_at timestamptz,
  ended_at        timestamptz,
  CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);
CREATE UNIQUE INDEX alarms_open ON alarms (brand_id, kind) WHERE ended_at IS NULL;
CREATE INDEX alarms_brand ON alarms (brand_id, id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
