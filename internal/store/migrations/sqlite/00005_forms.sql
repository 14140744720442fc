-- +goose Up

-- The words that a form's versions were seen with; few, found by skipping.
CREATE INDEX consent_events_form ON consent_events (form_id, form_version, topic_id, wording_hash) WHERE form_id IS NOT NULL;

-- What became of the sign-ups of a form's versions.
CREATE INDEX signup_requests_form ON signup_requests (brand_id, form_id, form_version, state);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
