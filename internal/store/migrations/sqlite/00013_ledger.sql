-- +goose Up

-- What was changed of a person's record beside their permissions: language, data,
-- address, objections, erasure. Like consent events these are entries of the log.
-- Without brand and person: an entry of the log about itself.
CREATE TABLE change_events (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text,
  subscriber_id text,
  kind          text NOT NULL,
  method        text NOT NULL,
  occurred_at   datetime NOT NULL,
  leaf          blob NOT NULL,             -- RFC 8785 canonical JSON: the entry of the log, final
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  CHECK ((brand_id IS NULL) = (subscriber_id IS NULL))
);
CREATE INDEX change_events_person ON change_events (subscriber_id, occurred_at);
-- +goose StatementBegin
CREATE TRIGGER change_events_no_update BEFORE UPDATE ON change_events
BEGIN SELECT RAISE(ABORT, 'change events are only ever added'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER change_events_no_delete BEFORE DELETE ON change_events
BEGIN SELECT RAISE(ABORT, 'change events are only ever added'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER change_events_no_replace BEFORE INSERT ON change_events
WHEN EXISTS (SELECT 1 FROM change_events WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'change events are only ever added'); END;
-- +goose StatementEnd

-- The erasable half of a change.
CREATE TABLE change_evidence (
  event_id      text PRIMARY KEY NOT NULL REFERENCES change_events (id),
  subscriber_id text NOT NULL REFERENCES subscribers (id),
  salt          blob NOT NULL,
  sealed        blob NOT NULL              -- AES-256-GCM under the subject's key
);
CREATE INDEX change_evidence_person ON change_evidence (subscriber_id);

-- The logs of this installation: one that grows, and those that a restore ended.
CREATE TABLE logs (
  number     integer PRIMARY KEY DESC NOT NULL, -- DESC: a key of its own, as in PostgreSQL
  origin     text NOT NULL UNIQUE,          -- names it to the world (C2SP tlog-checkpoint)
  key        blob NOT NULL,                -- sealed Ed25519 seed
  verifier   text NOT NULL,                 -- the public key as a note verifier (C2SP signed-note)
  size       integer NOT NULL,
  root       blob NOT NULL,                -- of the tree of that size (RFC 6962 §2.1)
  checkpoint text NOT NULL,                 -- signed, of that size; empty before the first
  shown      text NOT NULL,                 -- the newest that anybody may see: it is kept outside as well
  shown_size integer NOT NULL,
  stopped    text NOT NULL DEFAULT '',      -- why nothing may be signed; empty: it may
  began_at   datetime NOT NULL,
  signed_at  datetime,
  ended_at   datetime
);

-- Events that have no place in the log yet.
CREATE TABLE log_pending (
  bulk     boolean NOT NULL,                -- after what people do
  event_id text NOT NULL,
  PRIMARY KEY (bulk, event_id)
);

-- Which event stands where.
CREATE TABLE log_entries (
  log      integer NOT NULL REFERENCES logs (number),
  place    integer NOT NULL,                 -- from 0
  event_id text NOT NULL,                   -- of consent_events or change_events
  PRIMARY KEY (log, place),
  UNIQUE (event_id, log)
);

-- The hashes of the tree (C2SP tlog-tiles): 256 of 32 bytes when a tile is full.
CREATE TABLE log_tiles (
  log    integer NOT NULL REFERENCES logs (number),
  level  integer NOT NULL,
  n      integer NOT NULL,
  hashes blob NOT NULL,
  PRIMARY KEY (log, level, n)
);

INSERT INTO log_pending (bulk, event_id) SELECT true, id FROM consent_events;

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
