-- +goose Up

-- ── lists brought in from elsewhere ────────────────────────────────────────
CREATE TABLE imports (
  id          uuid PRIMARY KEY,
  brand_id    uuid NOT NULL REFERENCES brands (id),
  user_id     uuid REFERENCES users (id),   -- who brought it; null: at a terminal
  name        text NOT NULL,                -- of the file
  hash        bytea NOT NULL,               -- SHA-256 of the file as it came; empty while it comes
  size        bigint NOT NULL,              -- bytes of what is kept of it: UTF-8
  lines       bigint NOT NULL,              -- line ends in it: about as many rows
  separator   text NOT NULL,
  plan        jsonb NOT NULL,               -- what is in which column, and what shows the permissions
  state       text NOT NULL CHECK (state IN ('uploading', 'ready', 'running', 'stopped', 'releasing', 'done')),
  place       bigint NOT NULL DEFAULT 0,    -- bytes done
  line        bigint NOT NULL DEFAULT 0,    -- rows of the sheet done, the first with the names and empty ones too
  rows_read   bigint NOT NULL DEFAULT 0,
  fresh       bigint NOT NULL DEFAULT 0,    -- addresses that were not known before
  known       bigint NOT NULL DEFAULT 0,
  recorded    bigint NOT NULL DEFAULT 0,    -- these seven add up to rows_read …
  allowed     bigint NOT NULL DEFAULT 0,
  left_before bigint NOT NULL DEFAULT 0,
  waiting     bigint NOT NULL DEFAULT 0,
  dropped     bigint NOT NULL DEFAULT 0,
  refused     bigint NOT NULL DEFAULT 0,    -- … and so do fresh, known and refused as they were read
  unread      bigint NOT NULL DEFAULT 0,    -- of refused: before anybody's address was looked for
  created_at  timestamptz NOT NULL,
  started_at  timestamptz,
  finished_at timestamptz,
  updated_at  timestamptz NOT NULL,
  UNIQUE (brand_id, id),
  CHECK (rows_read = recorded + allowed + left_before + waiting + dropped + refused),
  CHECK (rows_read = fresh + known + unread)
);
CREATE INDEX imports_brand ON imports (brand_id, created_at, id);
CREATE INDEX imports_file ON imports (brand_id, hash);

-- The file, sealed, until it is done with.
CREATE TABLE import_parts (
  import_id uuid NOT NULL REFERENCES imports (id),
  n         integer NOT NULL,
  sealed    bytea NOT NULL,
  PRIMARY KEY (import_id, n)
);

-- Rows that came without evidence: nobody of them is a subscriber by it.
CREATE TABLE import_waiting (
  import_id uuid NOT NULL REFERENCES imports (id),
  line      bigint NOT NULL,
  lacks     text NOT NULL,
  sealed    bytea NOT NULL,
  PRIMARY KEY (import_id, line)
);

-- Rows of which nothing was taken, and why.
CREATE TABLE import_refusals (
  import_id uuid NOT NULL REFERENCES imports (id),
  line      bigint NOT NULL,
  place     text NOT NULL,                  -- name of the column; empty: the row
  why       text NOT NULL,
  args      jsonb NOT NULL,
  left_it   boolean NOT NULL,               -- nothing is wrong with it: the person had left
  sealed    bytea NOT NULL,                 -- what stood there
  PRIMARY KEY (import_id, line)
);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
