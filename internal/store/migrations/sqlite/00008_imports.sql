-- +goose Up

-- ── lists brought in from elsewhere ────────────────────────────────────────
CREATE TABLE imports (
  id          text PRIMARY KEY NOT NULL,
  brand_id    text NOT NULL REFERENCES brands (id),
  user_id     text REFERENCES users (id),   -- who brought it; null: at a terminal
  name        text NOT NULL,                -- of the file
  hash        blob NOT NULL,               -- SHA-256 of the file as it came; empty while it comes
  size        integer NOT NULL,              -- bytes of what is kept of it: UTF-8
  lines       integer NOT NULL,              -- line ends in it: about as many rows
  separator   text NOT NULL,
  plan        text NOT NULL,               -- what is in which column, and what shows the permissions
  state       text NOT NULL CHECK (state IN ('uploading', 'ready', 'running', 'stopped', 'releasing', 'done')),
  place       integer NOT NULL DEFAULT 0,    -- bytes done
  line        integer NOT NULL DEFAULT 0,    -- rows of the sheet done, the first with the names and empty ones too
  rows_read   integer NOT NULL DEFAULT 0,
  fresh       integer NOT NULL DEFAULT 0,    -- addresses that were not known before
  known       integer NOT NULL DEFAULT 0,
  recorded    integer NOT NULL DEFAULT 0,    -- these seven add up to rows_read …
  allowed     integer NOT NULL DEFAULT 0,
  left_before integer NOT NULL DEFAULT 0,
  waiting     integer NOT NULL DEFAULT 0,
  dropped     integer NOT NULL DEFAULT 0,
  refused     integer NOT NULL DEFAULT 0,    -- … and so do fresh, known and refused as they were read
  unread      integer NOT NULL DEFAULT 0,    -- of refused: before anybody's address was looked for
  created_at  datetime NOT NULL,
  started_at  datetime,
  finished_at datetime,
  updated_at  datetime NOT NULL,
  UNIQUE (brand_id, id),
  CHECK (rows_read = recorded + allowed + left_before + waiting + dropped + refused),
  CHECK (rows_read = fresh + known + unread)
);
CREATE INDEX imports_brand ON imports (brand_id, created_at, id);
CREATE INDEX imports_file ON imports (brand_id, hash);

-- The file, sealed, until it is done with.
CREATE TABLE import_parts (
  import_id text NOT NULL REFERENCES imports (id),
  n         integer NOT NULL,
  sealed    blob NOT NULL,
  PRIMARY KEY (import_id, n)
);

-- Rows that came without evidence: nobody of them is a subscriber by it.
CREATE TABLE import_waiting (
  import_id text NOT NULL REFERENCES imports (id),
  line      integer NOT NULL,
  lacks     text NOT NULL,
  sealed    blob NOT NULL,
  PRIMARY KEY (import_id, line)
);

-- Rows of which nothing was taken, and why.
CREATE TABLE import_refusals (
  import_id text NOT NULL REFERENCES imports (id),
  line      integer NOT NULL,
  place     text NOT NULL,                  -- name of the column; empty: the row
  why       text NOT NULL,
  args      text NOT NULL,
  left_it   boolean NOT NULL,               -- nothing is wrong with it: the person had left
  sealed    blob NOT NULL,                 -- what stood there
  PRIMARY KEY (import_id, line)
);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
