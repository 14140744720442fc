-- +goose Up

-- ── how a brand looks at opens and clicks ──────────────────────────────────
ALTER TABLE brands ADD COLUMN last_open_only boolean NOT NULL DEFAULT false;   -- of an open only the day of the last is kept
ALTER TABLE brands ADD COLUMN anonymous_counts boolean NOT NULL DEFAULT false; -- who allows nothing gets the same pixel and links as all others

-- The day on which a person was last seen to open a mail: one row a person,
-- written over; for keeping the list clean, and for nothing else.
CREATE TABLE last_opens (
  subscriber_id uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  day           date NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);

-- How often the pixel, or the links, that all mails of a campaign share were
-- fetched in an hour, by whomever: no person, no address, no program.
CREATE TABLE anonymous_hits (
  stream_id uuid NOT NULL,
  brand_id  uuid NOT NULL,
  at        timestamptz NOT NULL,            -- when the hour began
  kind      text NOT NULL CHECK (kind IN ('open', 'click')),
  n         bigint NOT NULL,                 -- of any kind
  machines  bigint NOT NULL,                 -- of those: said by themselves what they are
  PRIMARY KEY (stream_id, at, kind)
);

-- When somebody was last asked for a tracking permission, whatever they said or
-- did not say: nobody is asked again for half a year.
CREATE TABLE tracking_questions (
  subscriber_id uuid NOT NULL,
  topic_id      uuid NOT NULL REFERENCES topics (id),
  brand_id      uuid NOT NULL,
  asked_at      timestamptz NOT NULL,
  PRIMARY KEY (subscriber_id, topic_id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
