-- +goose Up

-- What the team writes down about a person, sealed under the person's own key.
CREATE TABLE notes (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,
  user_id       text NOT NULL REFERENCES users (id),
  at            datetime NOT NULL,
  sealed        blob NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX notes_person ON notes (subscriber_id, id);

-- Who of the team looks after a person. Whoever leaves the team leaves their people.
CREATE TABLE carers (
  subscriber_id text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  user_id       text NOT NULL,
  since         datetime NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id),
  FOREIGN KEY (user_id, brand_id) REFERENCES memberships (user_id, brand_id) ON DELETE CASCADE
);
CREATE INDEX carers_user ON carers (brand_id, user_id);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
