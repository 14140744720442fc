-- +goose Up
-- The question that came of an invitation, so that who invited can be taken out of
-- its mail once they are erased; NULL: no mail went out.
ALTER TABLE friend_invitations ADD COLUMN request_id text;
CREATE INDEX friend_invitations_request ON friend_invitations (request_id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
