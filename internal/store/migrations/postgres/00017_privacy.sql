-- +goose Up

-- Who was erased: the pseudonym, and nothing else. Those whom a restored copy of
-- the database has lost stand here too.
CREATE TABLE erasures (
  subscriber_id uuid PRIMARY KEY,
  at            timestamptz NOT NULL
);

-- What people ask for under data-protection law, with its clock.
CREATE TABLE requests (
  id            uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  kind          text NOT NULL CHECK (kind IN ('access', 'portability', 'correction', 'erasure', 'objection')),
  way           text NOT NULL,              -- how it came
  opened_at     timestamptz NOT NULL,
  due_at        timestamptz NOT NULL,
  extended_at   timestamptz,
  warned_at     timestamptz,               -- when the owners were told that it is due soon
  closed_at     timestamptz,
  outcome       text NOT NULL DEFAULT '' CHECK (outcome IN ('', 'done', 'refused', 'withdrawn')),
  UNIQUE (brand_id, id),
  CHECK ((closed_at IS NULL) = (outcome = '')),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX requests_open ON requests (brand_id, due_at, id) WHERE closed_at IS NULL;
CREATE INDEX requests_person ON requests (subscriber_id, id);

-- What was done about a request, in order.
CREATE TABLE request_acts (
  id         uuid PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES requests (id),
  at         timestamptz NOT NULL,
  what       text NOT NULL,
  user_id    uuid REFERENCES users (id),   -- null: the person, or the program
  sealed     bytea                      -- what was written about it, under the person's key; erasable
);
CREATE INDEX request_acts_request ON request_acts (request_id, id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
