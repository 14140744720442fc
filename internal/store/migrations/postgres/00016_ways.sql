-- +goose Up

-- How long a permission lasts, and who is asked again.
ALTER TABLE topics ADD COLUMN valid_months integer NOT NULL DEFAULT 0;    -- calendar months; 0: see valid_days
ALTER TABLE topics ADD COLUMN renew_days integer NOT NULL DEFAULT 14;     -- asked so many days before the end; 0: never asked
ALTER TABLE topics ADD COLUMN own_similar boolean NOT NULL DEFAULT false; -- about the brand's own similar products (2002/58/EC art. 13(2))
ALTER TABLE topics ADD COLUMN changed_at timestamptz;                     -- what people agree to changed then: earlier permissions hold for what was
ALTER TABLE permissions ADD COLUMN said_at timestamptz;                   -- when it was said, where that was before it was written down

-- People silent for long.
ALTER TABLE brands ADD COLUMN silent_months integer NOT NULL DEFAULT 0;   -- asked after so many; 0: never
ALTER TABLE brands ADD COLUMN silent_days integer NOT NULL DEFAULT 30;    -- to answer in

-- Rows of an import without evidence may be asked, once.
ALTER TABLE imports ADD COLUMN asked bigint NOT NULL DEFAULT 0;           -- of dropped: asked for themselves
ALTER TABLE imports ADD COLUMN ask_per_hour integer NOT NULL DEFAULT 0;   -- 0: nobody is asked
ALTER TABLE imports ADD COLUMN ask_next_at timestamptz;                   -- not before
CREATE INDEX imports_asking ON imports (ask_next_at) WHERE ask_next_at IS NOT NULL;

-- Addresses that were asked without any permission: each once, for ever.
CREATE TABLE asked_addresses (
  brand_id     uuid NOT NULL REFERENCES brands (id),
  address_hash bytea NOT NULL,                -- HMAC under the brand's key: it outlives erasure
  asked_at     timestamptz NOT NULL,
  PRIMARY KEY (brand_id, address_hash)
);

-- Questions by mail whether a permission stands.
CREATE TABLE askings (
  id            uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  kind          text NOT NULL CHECK (kind IN ('renewal', 'purpose', 'silent', 'import')),
  language      text NOT NULL,
  boxes         jsonb NOT NULL,               -- topic, words, and the event that it is about
  import_id     uuid REFERENCES imports (id),
  state         text NOT NULL CHECK (state IN ('open', 'yes', 'no', 'over')),
  asked_at      timestamptz NOT NULL,
  due_at        timestamptz,                  -- what follows where nobody answers; null: nothing does
  answered_at   timestamptz,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX askings_person ON askings (subscriber_id);
CREATE INDEX askings_due ON askings (due_at) WHERE state = 'open' AND due_at IS NOT NULL;

-- What a consent was asked about: never the same twice.
CREATE TABLE asked_consents (
  event_id  uuid NOT NULL REFERENCES consent_events (id),
  why       text NOT NULL,                    -- renewal, silent, or purpose and the time of the change
  asking_id uuid NOT NULL REFERENCES askings (id),
  PRIMARY KEY (event_id, why)
);
CREATE INDEX asked_consents_asking ON asked_consents (asking_id);

-- How far the look for silent people has come.
CREATE TABLE silence_walks (
  brand_id uuid PRIMARY KEY REFERENCES brands (id),
  place    uuid NOT NULL,                     -- the last subscriber looked at
  due_at   timestamptz NOT NULL
);

-- Copies of what was signed, or noted down at the telephone.
CREATE TABLE scans (
  id            uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  sealed        bytea NOT NULL,               -- type and file, AES-256-GCM under the subject's key
  at            timestamptz NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX scans_person ON scans (subscriber_id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
