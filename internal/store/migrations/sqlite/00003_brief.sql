-- +goose Up

-- What a campaign starts from, and is read beside at its end.
ALTER TABLE campaigns ADD COLUMN audience text NOT NULL DEFAULT '';
ALTER TABLE campaigns ADD COLUMN pledge text NOT NULL DEFAULT '';
ALTER TABLE campaigns ADD COLUMN reason text NOT NULL DEFAULT '';

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
