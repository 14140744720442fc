-- +goose Up
-- What was set since a look before is kept outside the database (ledger.Restraint).
CREATE INDEX suppressions_created ON suppressions (created_at, address_hash);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
