-- +goose Up

-- Parts of addresses and names are found by their trigrams. The extension comes
-- with PostgreSQL, and whoever owns the database may add it; where it is missing
-- or may not be added, the same search reads everybody.
-- +goose StatementBegin
DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX subscribers_words ON subscribers USING gin (lower((email || E'\n' || name) COLLATE "C") gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
  RAISE NOTICE 'no trigrams (%): a search for parts of addresses and names reads everybody', SQLERRM;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
