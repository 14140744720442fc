-- +goose Up

-- assent_uuid7(ms) is given to the connection by the program (RFC 9562 §5.7).

CREATE TABLE installation (
  key   text PRIMARY KEY NOT NULL,
  value text NOT NULL
);

-- ── the controller ────────────────────────────────────────────────────────
CREATE TABLE brands (
  id             text PRIMARY KEY NOT NULL,
  slug           text NOT NULL UNIQUE,
  name           text NOT NULL,
  postal_address text NOT NULL,
  sender_name    text NOT NULL,
  sender_email   text NOT NULL,
  reply_to       text NOT NULL DEFAULT '',
  website        text NOT NULL DEFAULT '',
  privacy_url    text NOT NULL DEFAULT '',
  language       text NOT NULL,
  languages      text NOT NULL,
  texts          text NOT NULL,            -- language → name, postal address, sender name
  time_zone      text NOT NULL,
  jurisdiction   text NOT NULL DEFAULT '',
  signed_by      text NOT NULL DEFAULT 'us' CHECK (signed_by IN ('us', 'relay')),
  address_key    blob NOT NULL,            -- sealed; keys the hashes of addresses
  cap_max        integer NOT NULL DEFAULT 0, -- marketing mails to one person …
  cap_days       integer NOT NULL DEFAULT 0, -- … in so many days, over all topics; 0: no cap
  quiet_from     text NOT NULL DEFAULT '',   -- HH:MM in the person's zone; empty: never quiet
  quiet_until    text NOT NULL DEFAULT '',
  rate_per_hour  integer NOT NULL DEFAULT 0, -- mails, all its campaigns and sequences together; 0: no limit
  warm_up_from   datetime,                -- when it began to send as an unknown; null: it is known
  created_at     datetime NOT NULL,
  updated_at     datetime NOT NULL
);

CREATE TABLE dkim_keys (
  id           text PRIMARY KEY NOT NULL,
  brand_id     text NOT NULL REFERENCES brands (id),
  domain       text NOT NULL,
  selector     text NOT NULL,
  algorithm    text NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
  private_key  blob NOT NULL,              -- sealed PKCS #8
  public_key   text NOT NULL,               -- the p= of the DNS record
  active       boolean NOT NULL,            -- signs the mail of its domain
  created_at   datetime NOT NULL,
  activated_at datetime,                 -- last; without: it never signed
  retired_at   datetime,
  UNIQUE (domain, selector),
  CHECK (CASE WHEN active THEN activated_at IS NOT NULL AND retired_at IS NULL ELSE (activated_at IS NULL) = (retired_at IS NULL) END)
);
CREATE INDEX dkim_keys_brand ON dkim_keys (brand_id);
CREATE UNIQUE INDEX dkim_keys_active ON dkim_keys (brand_id, domain, algorithm) WHERE active;

-- ── accounts ──────────────────────────────────────────────────────────────
CREATE TABLE users (
  id            text PRIMARY KEY NOT NULL,
  email         text NOT NULL UNIQUE,
  name          text NOT NULL,
  password_hash text NOT NULL,
  language      text NOT NULL,
  created_at    datetime NOT NULL,
  updated_at    datetime NOT NULL
);

CREATE TABLE memberships (
  user_id  text NOT NULL REFERENCES users (id),
  brand_id text NOT NULL REFERENCES brands (id),
  role     text NOT NULL CHECK (role IN ('owner', 'marketer', 'analyst', 'reader')),
  PRIMARY KEY (user_id, brand_id)
);

CREATE TABLE sessions (
  token_hash blob PRIMARY KEY NOT NULL,
  data       blob NOT NULL,
  expires_at datetime NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE sign_in_failures (
  key          text PRIMARY KEY NOT NULL,            -- keyed hash of an address or an IP
  failures     integer NOT NULL,
  locked_until datetime,
  updated_at   datetime NOT NULL
);

CREATE TABLE api_keys (
  id           text PRIMARY KEY NOT NULL,
  brand_id     text REFERENCES brands (id), -- null: may make brands
  name         text NOT NULL,
  hash         blob NOT NULL UNIQUE,
  scopes       text NOT NULL,
  created_at   datetime NOT NULL,
  last_used_at datetime,
  revoked_at   datetime
);

-- What somebody has typed into a form and not saved yet.
CREATE TABLE drafts (
  user_id  text NOT NULL REFERENCES users (id),
  page     text NOT NULL,                   -- the address of the form
  fields   text NOT NULL,
  saved_at datetime NOT NULL,
  PRIMARY KEY (user_id, page)
);

-- Forms that were sent, so that a second click does nothing more.
CREATE TABLE sent_forms (
  user_id text NOT NULL REFERENCES users (id),
  once    text NOT NULL,
  next    text NOT NULL,                    -- where it led
  sent_at datetime NOT NULL,
  PRIMARY KEY (user_id, once)
);

-- Who did what.
CREATE TABLE deeds (
  id         text PRIMARY KEY NOT NULL,
  brand_id   text NOT NULL REFERENCES brands (id),
  user_id    text REFERENCES users (id),
  key_id     text,
  at         datetime NOT NULL,
  what       text NOT NULL,
  subject_id text,
  detail     text NOT NULL,
  CHECK ((user_id IS NULL) <> (key_id IS NULL))
);
CREATE INDEX deeds_brand ON deeds (brand_id, id);

CREATE TABLE idempotency_keys (
  owner       text NOT NULL,                -- the API key that asked
  key         text NOT NULL,
  fingerprint blob NOT NULL,               -- SHA-256 of method, path and body
  status      integer NOT NULL,
  body        blob NOT NULL,
  created_at  datetime NOT NULL,
  PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- ── people ────────────────────────────────────────────────────────────────
CREATE TABLE subscribers (
  id             text PRIMARY KEY NOT NULL,          -- also the pseudonym in the ledger
  brand_id       text NOT NULL REFERENCES brands (id),
  email          text NOT NULL,             -- as typed; empty once erased
  address_hash   blob NOT NULL,            -- HMAC-SHA-256 of the normal form under the brand's key
  name           text NOT NULL DEFAULT '',
  language       text NOT NULL,
  time_zone      text NOT NULL DEFAULT '',  -- empty: the brand's
  attributes     text NOT NULL,
  customer_since datetime,
  created_at     datetime NOT NULL,
  updated_at     datetime NOT NULL,
  erased_at      datetime,
  UNIQUE (brand_id, id),
  UNIQUE (brand_id, address_hash)
);

CREATE TABLE subscriber_tags (
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,
  tag           text NOT NULL,
  PRIMARY KEY (brand_id, tag, subscriber_id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX subscriber_tags_person ON subscriber_tags (subscriber_id);

CREATE TABLE subject_keys (
  subscriber_id text PRIMARY KEY NOT NULL REFERENCES subscribers (id),
  sealed_key    blob NOT NULL              -- destroyed at erasure
);

-- ── consent ───────────────────────────────────────────────────────────────
CREATE TABLE topics (
  id           text PRIMARY KEY NOT NULL,
  brand_id     text NOT NULL REFERENCES brands (id),
  slug         text NOT NULL,
  purpose      text NOT NULL CHECK (purpose IN ('marketing', 'opens', 'clicks')),
  texts        text NOT NULL,              -- language → name, description, wording
  promise_max  integer NOT NULL DEFAULT 0,  -- at most so many mails …
  promise_days integer NOT NULL DEFAULT 0,  -- … in so many days; 0: no promise
  valid_days   integer NOT NULL DEFAULT 0,  -- a consent ends after so many days; 0: never
  position     integer NOT NULL DEFAULT 0,
  archived_at  datetime,
  created_at   datetime NOT NULL,
  updated_at   datetime NOT NULL,
  UNIQUE (brand_id, slug),
  UNIQUE (brand_id, id),
  CHECK ((promise_max = 0) = (promise_days = 0))
);

-- What a person was shown, once for all who saw the same.
CREATE TABLE wordings (
  hash       blob PRIMARY KEY NOT NULL,             -- SHA-256 of the text
  language   text NOT NULL,
  text       text NOT NULL,
  created_at datetime NOT NULL
);

CREATE TABLE consent_events (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,
  topic_id      text NOT NULL,
  state         text NOT NULL CHECK (state IN ('requested', 'given', 'renewed', 'refused', 'withdrawn', 'expired', 'invalidated')),
  basis         text NOT NULL,
  method        text NOT NULL,
  occurred_at   datetime NOT NULL,
  valid_until   datetime,
  wording_hash  blob REFERENCES wordings (hash),
  language      text NOT NULL,
  form_id       text,
  form_version  integer,
  promise_max   integer NOT NULL DEFAULT 0,
  promise_days  integer NOT NULL DEFAULT 0,
  previous_id   text REFERENCES consent_events (id),
  leaf          blob NOT NULL,             -- RFC 8785 canonical JSON: the entry of the log, final
  UNIQUE (brand_id, subscriber_id, topic_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  FOREIGN KEY (brand_id, topic_id) REFERENCES topics (brand_id, id)
);

-- +goose StatementBegin
CREATE TRIGGER consent_events_no_update BEFORE UPDATE ON consent_events
BEGIN SELECT RAISE(ABORT, 'consent events are only ever added'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER consent_events_no_delete BEFORE DELETE ON consent_events
BEGIN SELECT RAISE(ABORT, 'consent events are only ever added'); END;
-- +goose StatementEnd
-- INSERT OR REPLACE deletes without firing a trigger of deletion.
-- +goose StatementBegin
CREATE TRIGGER consent_events_no_replace BEFORE INSERT ON consent_events
WHEN EXISTS (SELECT 1 FROM consent_events WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'consent events are only ever added'); END;
-- +goose StatementEnd

-- The words that a form's versions were seen with; few, found by skipping.
CREATE INDEX consent_events_form ON consent_events (form_id, form_version, topic_id, wording_hash) WHERE form_id IS NOT NULL;

-- The erasable half of an event: without it the leaf says nothing of a person.
CREATE TABLE consent_evidence (
  event_id      text PRIMARY KEY NOT NULL REFERENCES consent_events (id),
  subscriber_id text NOT NULL REFERENCES subscribers (id),
  salt          blob NOT NULL,
  sealed        blob NOT NULL              -- AES-256-GCM under the subject's key
);
CREATE INDEX consent_evidence_person ON consent_evidence (subscriber_id);

-- What is in force now, per person and topic: a projection of the events.
CREATE TABLE permissions (
  subscriber_id text NOT NULL,
  topic_id      text NOT NULL,
  brand_id      text NOT NULL,
  state         text NOT NULL CHECK (state IN ('requested', 'given', 'renewed', 'refused', 'withdrawn', 'expired', 'invalidated')),
  event_id      text NOT NULL,
  since         datetime NOT NULL,
  valid_until   datetime,
  promise_max   integer NOT NULL DEFAULT 0,
  promise_days  integer NOT NULL DEFAULT 0,
  PRIMARY KEY (subscriber_id, topic_id),
  FOREIGN KEY (brand_id, subscriber_id, topic_id, event_id)
    REFERENCES consent_events (brand_id, subscriber_id, topic_id, id)
);
CREATE INDEX permissions_in_force ON permissions (topic_id, subscriber_id) WHERE state IN ('given', 'renewed');
CREATE INDEX permissions_ending ON permissions (valid_until) WHERE valid_until IS NOT NULL AND state IN ('given', 'renewed');

CREATE TABLE suppressions (
  brand_id     text NOT NULL REFERENCES brands (id),
  address_hash blob NOT NULL,
  reason       text NOT NULL CHECK (reason IN ('hard-bounce', 'complaint', 'not-me', 'left', 'manual')),
  detail       text NOT NULL DEFAULT '',
  created_at   datetime NOT NULL,
  PRIMARY KEY (brand_id, address_hash, reason)
);

-- ── sign-up ───────────────────────────────────────────────────────────────
CREATE TABLE forms (
  id         text PRIMARY KEY NOT NULL,
  brand_id   text NOT NULL REFERENCES brands (id),
  name       text NOT NULL,
  version    integer NOT NULL,
  closed_at  datetime,
  created_at datetime NOT NULL,
  updated_at datetime NOT NULL,
  UNIQUE (brand_id, id)
);

CREATE TABLE form_versions (
  form_id    text NOT NULL REFERENCES forms (id),
  version    integer NOT NULL,
  spec       text NOT NULL,
  created_at datetime NOT NULL,
  PRIMARY KEY (form_id, version)
);

CREATE TABLE signup_requests (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  form_id       text NOT NULL,
  form_version  integer NOT NULL,
  subscriber_id text NOT NULL,
  language      text NOT NULL,
  state         text NOT NULL CHECK (state IN ('pending', 'confirmed', 'declined', 'disowned', 'expired')),
  boxes         text NOT NULL,             -- topic, wording hash per ticked box
  sealed        blob,                      -- page, IP, user agent, fields; erasable
  created_at    datetime NOT NULL,
  expires_at    datetime NOT NULL,
  answered_at   datetime,
  FOREIGN KEY (brand_id, form_id) REFERENCES forms (brand_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX signup_requests_person ON signup_requests (subscriber_id, created_at);
CREATE INDEX signup_requests_form ON signup_requests (brand_id, form_id, form_version, state);
CREATE INDEX signup_requests_pending ON signup_requests (expires_at) WHERE state = 'pending';

-- Confirmation mails per address over all brands, against list bombing.
CREATE TABLE confirmation_mails (
  address_key blob NOT NULL,               -- HMAC under the installation's key
  sent_at     datetime NOT NULL,
  PRIMARY KEY (address_key, sent_at)
);

CREATE TABLE address_changes (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,
  email         text NOT NULL,
  address_hash  blob NOT NULL,
  created_at    datetime NOT NULL,
  expires_at    datetime NOT NULL,
  confirmed_at  datetime,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX address_changes_person ON address_changes (subscriber_id, created_at);

-- ── content and messages ──────────────────────────────────────────────────
CREATE TABLE contents (
  id         text NOT NULL,                 -- one version of a text, in one or more languages
  language   text NOT NULL,
  brand_id   text NOT NULL REFERENCES brands (id),
  subject    text NOT NULL,
  preheader  text NOT NULL DEFAULT '',
  html       text NOT NULL,
  text       text NOT NULL DEFAULT '',
  created_at datetime NOT NULL,
  PRIMARY KEY (id, language)
);

-- What messages flow from: a campaign, a sequence, an offer, and per brand one
-- for confirmations and one for service mails. Claims go stream by stream, so a
-- paused one costs the others nothing.
CREATE TABLE streams (
  id        text PRIMARY KEY NOT NULL,
  brand_id  text NOT NULL REFERENCES brands (id),
  queue     text NOT NULL CHECK (queue IN ('confirm', 'service', 'bulk')),
  origin    text NOT NULL CHECK (origin IN ('campaign', 'sequence', 'offer', 'confirm', 'service', 'test')),
  paused_at datetime,
  closed    text NOT NULL DEFAULT '',      -- why nothing flows any more; empty: open
  paused_for text NOT NULL DEFAULT '',     -- why a circuit breaker paused it; empty: a person did
  priority  integer NOT NULL DEFAULT 0,    -- of two mails that want the same slot
  rate_per_hour integer NOT NULL DEFAULT 0, -- mails; 0: no limit
  UNIQUE (brand_id, id)
);

CREATE TABLE messages (
  id               text NOT NULL,
  source_id        text NOT NULL,           -- campaign edition, enrollment, offer issue, request
  brand_id         text NOT NULL,
  stream_id        text NOT NULL,
  subscriber_id    text,                    -- null: a test mail to the team
  part             integer NOT NULL,        -- step of a sequence, else 0
  kind             text NOT NULL CHECK (kind IN ('marketing', 'confirm', 'service', 'test')),
  topic_id         text,
  consent_event_id text,                    -- the event in force when it was claimed
  content_id       text,
  template         text NOT NULL DEFAULT '',-- system mail, where there is no content
  language         text NOT NULL,
  recipient        text NOT NULL DEFAULT '',-- where it differs from the subscriber's address
  data             text NOT NULL,          -- the values used; erasable
  state            text NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'skipped', 'uncertain')),
  reason           text NOT NULL DEFAULT '',
  due_at           datetime NOT NULL,
  attempt          integer NOT NULL DEFAULT 0,
  tracks_opens     boolean NOT NULL DEFAULT false,
  tracks_clicks    boolean NOT NULL DEFAULT false,
  smtp_code        integer NOT NULL DEFAULT 0,
  smtp_reply       text NOT NULL DEFAULT '',
  created_at       datetime NOT NULL,
  settled_at       datetime,
  PRIMARY KEY (source_id, id),
  UNIQUE (source_id, subscriber_id, part),
  CHECK (kind = 'test' OR subscriber_id IS NOT NULL),
  CHECK (kind <> 'marketing' OR (consent_event_id IS NOT NULL AND topic_id IS NOT NULL)),
  CHECK (kind NOT IN ('confirm', 'service') OR (template <> '' AND topic_id IS NULL)),
  CHECK ((content_id IS NOT NULL) <> (template <> '')),
  FOREIGN KEY (brand_id, stream_id) REFERENCES streams (brand_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  FOREIGN KEY (content_id, language) REFERENCES contents (id, language),
  FOREIGN KEY (brand_id, subscriber_id, topic_id, consent_event_id)
    REFERENCES consent_events (brand_id, subscriber_id, topic_id, id)
);
CREATE INDEX messages_person ON messages (subscriber_id, created_at);
CREATE INDEX messages_stream ON messages (stream_id, id);

-- What is on its way: a row for each message that is queued, none for the others.
-- Claims touch only this small table; a message is written when it is made and
-- when it is settled. No foreign key to messages: the same transaction writes both.
CREATE TABLE outbox (
  stream_id text NOT NULL,
  due_at    datetime NOT NULL,
  id        text NOT NULL,
  source_id text NOT NULL,
  node_id   text,                           -- who has claimed it
  epoch     integer NOT NULL DEFAULT 0,     -- grows at every claim, and tells one from the next
  PRIMARY KEY (stream_id, due_at, id)
);

-- What a circuit breaker counts of a stream, from its start or since it was resumed.
CREATE TABLE tallies (
  stream_id  text PRIMARY KEY NOT NULL REFERENCES streams (id),
  sent       integer NOT NULL DEFAULT 0,
  hard       integer NOT NULL DEFAULT 0,     -- hard bounces
  complaints integer NOT NULL DEFAULT 0,
  refusals   integer NOT NULL DEFAULT 0,     -- over policy or reputation, in a row
  warned     text NOT NULL DEFAULT ''
);

-- Mails under a promise or a cap: each has its place in the person's window.
CREATE TABLE slots (
  subscriber_id text NOT NULL REFERENCES subscribers (id),
  topic_id      text NOT NULL,
  id            text NOT NULL,              -- the message
  taken_at      datetime NOT NULL,
  PRIMARY KEY (subscriber_id, topic_id, id)
);

-- A process that sends, with its journal; claims are its own until it answers or is declared lost.
CREATE TABLE nodes (
  id         text PRIMARY KEY NOT NULL,
  host       text NOT NULL,
  boot_id    text NOT NULL,
  started_at datetime NOT NULL,
  seen_at    datetime NOT NULL,
  lost_at    datetime
);

-- ── work ──────────────────────────────────────────────────────────────────
CREATE TABLE jobs (
  id          text PRIMARY KEY NOT NULL,
  kind        text NOT NULL,
  key         text NOT NULL,                -- what the work is about; one row per kind and key
  queue       text NOT NULL,
  due_at      datetime NOT NULL,         -- business time
  state       text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'dead')),
  lease_until datetime,                  -- the database's clock
  epoch       integer NOT NULL DEFAULT 0,    -- grows at every claim
  attempts    integer NOT NULL DEFAULT 0,   -- failures in a row
  last_error  text NOT NULL DEFAULT '',
  created_at  datetime NOT NULL,
  updated_at  datetime NOT NULL,
  UNIQUE (kind, key)
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('waiting', 'running');

-- ── sequences ─────────────────────────────────────────────────────────────
CREATE TABLE sequences (
  id         text PRIMARY KEY NOT NULL,
  brand_id   text NOT NULL REFERENCES brands (id),
  name       text NOT NULL,
  topic_id   text NOT NULL,                 -- starts when this is confirmed, ends with it
  state      text NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'ended')),
  version    integer NOT NULL,
  created_at datetime NOT NULL,
  updated_at datetime NOT NULL,
  UNIQUE (brand_id, id),
  FOREIGN KEY (brand_id, topic_id) REFERENCES topics (brand_id, id)
);
CREATE INDEX sequences_trigger ON sequences (topic_id) WHERE state IN ('running', 'paused');

CREATE TABLE sequence_versions (
  sequence_id text NOT NULL REFERENCES sequences (id),
  version     integer NOT NULL,
  steps       text NOT NULL,
  created_at  datetime NOT NULL,
  PRIMARY KEY (sequence_id, version)
);

CREATE TABLE enrollments (
  id            text PRIMARY KEY NOT NULL,           -- the source of its messages
  brand_id      text NOT NULL,
  sequence_id   text NOT NULL,
  version       integer NOT NULL,
  subscriber_id text NOT NULL,
  step          integer NOT NULL,           -- the step it waits before
  state         text NOT NULL CHECK (state IN ('active', 'done', 'ended')),
  reason        text NOT NULL DEFAULT '',
  due_at        datetime NOT NULL,
  created_at    datetime NOT NULL,
  ended_at      datetime,
  UNIQUE (sequence_id, subscriber_id),
  FOREIGN KEY (brand_id, sequence_id) REFERENCES sequences (brand_id, id),
  FOREIGN KEY (sequence_id, version) REFERENCES sequence_versions (sequence_id, version),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX enrollments_due ON enrollments (sequence_id, due_at) WHERE state = 'active';
CREATE INDEX enrollments_person ON enrollments (subscriber_id);

-- ── offers and orders ─────────────────────────────────────────────────────
CREATE TABLE orders (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  number        text NOT NULL,              -- the shop's own
  subscriber_id text NOT NULL,
  placed_at     datetime NOT NULL,
  total         integer NOT NULL CHECK (total >= 0),  -- minor units
  currency      text NOT NULL,
  items         integer NOT NULL,
  created_at    datetime NOT NULL,
  UNIQUE (brand_id, number),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX orders_person ON orders (brand_id, subscriber_id, placed_at);

CREATE TABLE offers (
  id           text PRIMARY KEY NOT NULL,
  brand_id     text NOT NULL REFERENCES brands (id),
  name         text NOT NULL,
  topic_id     text NOT NULL,
  content_id   text NOT NULL,
  texts        text NOT NULL,              -- language → title, terms
  value_kind   text NOT NULL CHECK (value_kind IN ('percent', 'amount', 'gift')),
  value        integer NOT NULL,             -- percent, or minor units
  currency     text NOT NULL DEFAULT '',
  valid_days   integer NOT NULL CHECK (valid_days > 0),
  budget       integer NOT NULL CHECK (budget > 0),  -- codes at most
  issued       integer NOT NULL DEFAULT 0 CHECK (issued <= budget),
  min_orders   integer NOT NULL DEFAULT 0,
  min_value    integer NOT NULL DEFAULT 0,   -- minor units in the offer's currency
  min_months   integer NOT NULL DEFAULT 0,  -- a customer for so long
  state        text NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'ended')),
  issue_id     text NOT NULL,               -- the source of its messages
  created_at   datetime NOT NULL,
  updated_at   datetime NOT NULL,
  UNIQUE (brand_id, id),
  FOREIGN KEY (brand_id, topic_id) REFERENCES topics (brand_id, id)
);

CREATE TABLE offer_codes (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  offer_id      text NOT NULL,
  subscriber_id text NOT NULL,
  code          text NOT NULL,
  issued_at     datetime NOT NULL,
  expires_at    datetime NOT NULL,
  redeemed_at   datetime,
  redeemed_for  text NOT NULL DEFAULT '',   -- the order's number
  UNIQUE (brand_id, code),
  UNIQUE (offer_id, subscriber_id),
  FOREIGN KEY (brand_id, offer_id) REFERENCES offers (brand_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);

-- ── campaigns ─────────────────────────────────────────────────────────────
CREATE TABLE campaigns (
  id           text PRIMARY KEY NOT NULL,
  brand_id     text NOT NULL REFERENCES brands (id),
  name         text NOT NULL,
  topic_id     text NOT NULL,
  tag          text NOT NULL DEFAULT '',
  content_id   text NOT NULL,
  state        text NOT NULL CHECK (state IN ('draft', 'scheduled', 'freezing', 'sending', 'paused', 'cancelled', 'sent')),
  edition_id   text NOT NULL,               -- the source of its messages
  scheduled_at datetime,                 -- when the audience is frozen
  recall_until datetime,                 -- until then it can be called back whole
  frozen_after text,                        -- the last subscriber frozen so far
  frozen_at    datetime,
  finished_at  datetime,
  created_at   datetime NOT NULL,
  updated_at   datetime NOT NULL,
  UNIQUE (brand_id, id),
  FOREIGN KEY (brand_id, topic_id) REFERENCES topics (brand_id, id)
);

-- ── what came back ────────────────────────────────────────────────────────
CREATE TABLE links (
  content_id text NOT NULL,
  language   text NOT NULL,
  n          integer NOT NULL,
  url        text NOT NULL,
  PRIMARY KEY (content_id, language, n),
  FOREIGN KEY (content_id, language) REFERENCES contents (id, language)
);

CREATE TABLE hits (
  id            text NOT NULL,
  at            datetime NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,
  source_id     text NOT NULL,
  message_id    text NOT NULL,
  kind          text NOT NULL CHECK (kind IN ('open', 'click')),
  link          integer NOT NULL DEFAULT 0,
  user_agent    text NOT NULL,
  network       text NOT NULL,              -- /24 or /48, never the whole address
  machine       text NOT NULL DEFAULT '',   -- why it is taken for a machine; empty: a person
  PRIMARY KEY (at, id)
);
CREATE INDEX hits_message ON hits (source_id, message_id);
CREATE INDEX hits_person ON hits (subscriber_id, at);

CREATE TABLE events (
  id            text NOT NULL,
  at            datetime NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text,
  kind          text NOT NULL,
  source_id     text,
  message_id    text,
  data          text NOT NULL,
  PRIMARY KEY (at, id)
);
CREATE INDEX events_person ON events (subscriber_id, at);
CREATE INDEX events_brand ON events (brand_id, at, id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
