-- +goose Up

-- ── the logo of a brand ────────────────────────────────────────────────────
ALTER TABLE brands ADD COLUMN logo_hash text NOT NULL DEFAULT '';      -- empty: it has none
ALTER TABLE brands ADD COLUMN logo_width integer NOT NULL DEFAULT 0;
ALTER TABLE brands ADD COLUMN logo_height integer NOT NULL DEFAULT 0;

-- Earlier ones stay a while: mails that were sent show them.
CREATE TABLE logos (
  brand_id uuid NOT NULL REFERENCES brands (id),
  hash     text NOT NULL,                  -- of the picture: the first half of its SHA-256, hexadecimal
  png      bytea NOT NULL,
  used_at  timestamptz NOT NULL,           -- when it became the brand's
  PRIMARY KEY (brand_id, hash)
);
CREATE INDEX logos_hash ON logos (hash);

-- ── from paper to a form ───────────────────────────────────────────────────
ALTER TABLE forms ADD COLUMN code text NOT NULL DEFAULT '';            -- digits, the end of the address that is typed from paper
UPDATE forms SET code = CAST(100000 + numbered.n * 7919 % 900000 AS text)
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM forms) AS numbered WHERE numbered.id = forms.id;
CREATE UNIQUE INDEX forms_code ON forms (code) WHERE code <> '';

ALTER TABLE signup_requests ADD COLUMN via text NOT NULL DEFAULT '';   -- how they found the form: paper, or empty where nobody knows
CREATE INDEX signup_requests_via ON signup_requests (form_id, state) WHERE via <> '';

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
