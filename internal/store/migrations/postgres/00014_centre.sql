-- +goose Up

-- Until when a person wants no mail on the topic, though they allow it. It is
-- part of the consent: an event with every change of it.
ALTER TABLE consent_events ADD COLUMN paused_until timestamptz;
ALTER TABLE permissions ADD COLUMN paused_until timestamptz;

-- Since when a person wants neither mail nor scoring nor segments (GDPR art. 21).
ALTER TABLE subscribers ADD COLUMN objected_at timestamptz;

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
