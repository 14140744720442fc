-- +goose Up

-- What the team writes down about a person, sealed under the person's own key.
CREATE TABLE notes (
  id            uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  user_id       uuid NOT NULL REFERENCES users (id),
  at            timestamptz NOT NULL,
  sealed        bytea NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX notes_person ON notes (subscriber_id, id);

-- Who of the team looks after a person. Whoever leaves the team leaves their people.
CREATE TABLE carers (
  subscriber_id uuid PRIMARY KEY,
  brand_id      uuid NOT NULL,
  user_id       uuid NOT NULL,
  since         timestamptz NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  FOREIGN KEY (user_id, brand_id) REFERENCES memberships (user_id, brand_id) ON DELETE CASCADE
);
CREATE INDEX carers_user ON carers (brand_id, user_id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
