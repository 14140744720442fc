-- +goose Up

-- What became of the mails of a campaign, a sequence or an offer, by the quarter
-- of an hour: sent and left as it happens, opened and clicked when the brand's
-- quarters are folded.
CREATE TABLE stream_quarters (
  stream_id uuid NOT NULL,
  brand_id  uuid NOT NULL,
  at        timestamptz NOT NULL,            -- when it began
  kind      text NOT NULL CHECK (kind IN ('sent', 'opened', 'clicked', 'left')),
  n         bigint NOT NULL,
  PRIMARY KEY (stream_id, at, kind)
);

INSERT INTO stream_quarters (stream_id, brand_id, at, kind, n)
  SELECT stream_id, brand_id, date_bin('15 minutes', settled_at, '2000-01-01 00:00:00+00'), 'sent', count(*)
    FROM messages WHERE state = 'sent' AND kind = 'marketing' AND settled_at IS NOT NULL GROUP BY 1, 2, 3;

-- Opens and clicks by people, each mail once, as far as the brand's are folded:
-- the rest comes with the next fold.
INSERT INTO stream_quarters (stream_id, brand_id, at, kind, n)
  SELECT f.stream_id, f.brand_id, date_bin('15 minutes', f.at, '2000-01-01 00:00:00+00'), CASE f.kind WHEN 'open' THEN 'opened' ELSE 'clicked' END, count(*) FROM (
    SELECT m.stream_id, m.brand_id, h.kind, min(h.at) AS at FROM hits h JOIN messages m ON m.source_id = h.source_id AND m.id = h.message_id
      WHERE h.machine = '' AND m.state = 'sent' AND m.settled_at IS NOT NULL GROUP BY m.stream_id, m.brand_id, h.source_id, h.message_id, h.kind) f
    WHERE f.at < (SELECT upto FROM folds WHERE what = 'events') GROUP BY 1, 2, 3, 4;

-- By which mail somebody left is kept sealed. Of the past it is taken to be the
-- last one about the topic that they were sent before.
INSERT INTO stream_quarters (stream_id, brand_id, at, kind, n)
  SELECT l.stream_id, l.brand_id, date_bin('15 minutes', l.at, '2000-01-01 00:00:00+00'), 'left', count(*) FROM (
    SELECT e.brand_id, e.occurred_at AS at, (SELECT m.stream_id FROM messages m WHERE m.subscriber_id = e.subscriber_id AND m.topic_id = e.topic_id
        AND m.brand_id = e.brand_id AND m.state = 'sent' AND m.settled_at <= e.occurred_at ORDER BY m.created_at DESC LIMIT 1) AS stream_id
      FROM consent_events e WHERE e.state = 'withdrawn' AND e.method IN ('one-click', 'unsubscribe-page')) l
    WHERE l.stream_id IS NOT NULL GROUP BY 1, 2, 3;

-- +goose Down
-- There is no way down: a backup is the way back.
SELECT 1;
