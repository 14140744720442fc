-- +goose Up

-- ── communities: what subscribers wish for, and whom they invite ────────────
-- What a brand lets its subscribers do; no row: nothing.
CREATE TABLE communities (
  brand_id    text PRIMARY KEY NOT NULL REFERENCES brands (id),
  ideas       boolean NOT NULL,              -- propose topics, and second them
  invitations boolean NOT NULL,              -- invite friends
  form_id     text,                          -- whose words an invitation asks in
  texts       text NOT NULL,                -- language → a few words above the ideas
  updated_at  datetime NOT NULL,
  FOREIGN KEY (brand_id, form_id) REFERENCES forms (brand_id, id)
);

-- A topic that somebody would like to hear about. Others see it once it is shared.
CREATE TABLE ideas (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text,                        -- who proposed it; null once they are erased
  language      text NOT NULL,
  title         text NOT NULL,
  reason        text NOT NULL,
  state         text NOT NULL CHECK (state IN ('proposed', 'shared', 'opened', 'answered')),
  answer        text NOT NULL DEFAULT '',    -- why not, for whoever proposed it
  topic_id      text REFERENCES topics (id), -- that it became
  created_at    datetime NOT NULL,
  decided_at    datetime,
  UNIQUE (brand_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX ideas_state ON ideas (brand_id, state, created_at);
CREATE INDEX ideas_person ON ideas (subscriber_id);

-- Who would like it too, each once; whoever proposed it among them.
CREATE TABLE idea_seconds (
  idea_id       text NOT NULL,
  subscriber_id text NOT NULL,
  brand_id      text NOT NULL,
  at            datetime NOT NULL,
  told_at       datetime,                 -- when they were told that it is there
  PRIMARY KEY (idea_id, subscriber_id),
  FOREIGN KEY (brand_id, idea_id) REFERENCES ideas (brand_id, id),
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX idea_seconds_person ON idea_seconds (subscriber_id);

-- What somebody did to invite friends, for the limits: whether a mail went out
-- stands nowhere here.
CREATE TABLE friend_invitations (
  id            text PRIMARY KEY NOT NULL,
  brand_id      text NOT NULL,
  subscriber_id text NOT NULL,               -- who invited
  domain_key    blob NOT NULL,              -- keyed hash of the domain written to
  sent_at       datetime NOT NULL,
  FOREIGN KEY (brand_id, subscriber_id) REFERENCES subscribers (brand_id, id)
);
CREATE INDEX friend_invitations_person ON friend_invitations (subscriber_id, sent_at);
CREATE INDEX friend_invitations_domain ON friend_invitations (domain_key, sent_at);

-- Addresses that were ever invited, at whatever brand: none is a second time. A
-- keyed hash, which no erasure touches.
CREATE TABLE invited_addresses (
  address_key blob PRIMARY KEY NOT NULL,
  invited_at  datetime NOT NULL
);

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
