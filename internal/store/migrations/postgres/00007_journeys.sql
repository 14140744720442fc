-- +goose Up
-- Where everybody of a sequence stands, counted from the index alone; and who
-- waits before one step, in the order in which they are due.
CREATE INDEX enrollments_standing ON enrollments (sequence_id, version, step, state, reason, due_at, id);
-- The codes of an offer, the newest first.
CREATE INDEX offer_codes_offer ON offer_codes (offer_id, id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
