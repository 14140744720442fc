-- +goose Up

-- What was changed of a person's record beside their permissions: language, data,
-- address, objections, erasure. Like consent events these are entries of the log.
-- Without brand and person: an entry of the log about itself.
CREATE TABLE change_events (
  id            uuid PRIMARY KEY,
  brand_id      uuid,
  subscriber_id uuid,
  kind          text NOT NULL,
  method        text NOT NULL,
  occurred_at   timestamptz NOT NULL,
  leaf          bytea NOT NULL,             -- RFC 8785 canonical JSON: the entry of the log, final
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  CHECK ((brand_id IS NULL) = (subscriber_id IS NULL))
);
CREATE INDEX change_events_person ON change_events (subscriber_id, occurred_at);
CREATE TRIGGER change_events_no_update BEFORE UPDATE ON change_events
  FOR EACH ROW EXECUTE FUNCTION consent_events_only_grow();
CREATE TRIGGER change_events_no_delete BEFORE DELETE ON change_events
  FOR EACH ROW EXECUTE FUNCTION consent_events_only_grow();
CREATE TRIGGER change_events_no_truncate BEFORE TRUNCATE ON change_events
  FOR EACH STATEMENT EXECUTE FUNCTION consent_events_only_grow();

-- The erasable half of a change.
CREATE TABLE change_evidence (
  event_id      uuid PRIMARY KEY REFERENCES change_events (id),
  subscriber_id uuid NOT NULL REFERENCES subscribers (id),
  salt          bytea NOT NULL,
  sealed        bytea NOT NULL              -- AES-256-GCM under the subject's key
);
CREATE INDEX change_evidence_person ON change_evidence (subscriber_id);

-- The logs of this installation: one that grows, and those that a restore ended.
CREATE TABLE logs (
  number     integer PRIMARY KEY,
  origin     text NOT NULL UNIQUE,          -- names it to the world (C2SP tlog-checkpoint)
  key        bytea NOT NULL,                -- sealed Ed25519 seed
  verifier   text NOT NULL,                 -- the public key as a note verifier (C2SP signed-note)
  size       bigint NOT NULL,
  root       bytea NOT NULL,                -- of the tree of that size (RFC 6962 §2.1)
  checkpoint text NOT NULL,                 -- signed, of that size; empty before the first
  shown      text NOT NULL,                 -- the newest that anybody may see: it is kept outside as well
  shown_size bigint NOT NULL,
  stopped    text NOT NULL DEFAULT '',      -- why nothing may be signed; empty: it may
  began_at   timestamptz NOT NULL,
  signed_at  timestamptz,
  ended_at   timestamptz
);

-- Events that have no place in the log yet.
CREATE TABLE log_pending (
  bulk     boolean NOT NULL,                -- after what people do
  event_id uuid NOT NULL,
  PRIMARY KEY (bulk, event_id)
);

-- Which event stands where.
CREATE TABLE log_entries (
  log      integer NOT NULL REFERENCES logs (number),
  place    bigint NOT NULL,                 -- from 0
  event_id uuid NOT NULL,                   -- of consent_events or change_events
  PRIMARY KEY (log, place),
  UNIQUE (event_id, log)
);

-- The hashes of the tree (C2SP tlog-tiles): 256 of 32 bytes when a tile is full.
CREATE TABLE log_tiles (
  log    integer NOT NULL REFERENCES logs (number),
  level  integer NOT NULL,
  n      bigint NOT NULL,
  hashes bytea NOT NULL,
  PRIMARY KEY (log, level, n)
);

INSERT INTO log_pending (bulk, event_id) SELECT true, id FROM consent_events;

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
