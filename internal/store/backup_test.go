package store_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

// ── what is backed up ─────────────────────────────────────────────────────

const (
	persian = "سلام، «دنیا»: می‌خواهم ۱۲۳ ریال"
	awkward = "\"\\/\b\f\n\r\t\x01\x1f\x7f<>&\u2028\u2029\ufeff\ufffd {\"base64\":\"AP8=\"} 👩🏽‍🚀 \U0010ffff"
	deep    = `{"a": {"b": [1, -0.5, 1.50, 12345678901234567890, null, true, "\u06f1\"\\\n</script>", [], {}]}, "": "👩🏽‍🚀", "z": "می‌خواهم"}`
)

var (
	allBytes = func() []byte {
		b := make([]byte, 256)
		for i := range b {
			b[i] = byte(i)
		}
		return b
	}()
	early   = time.Date(1999, 12, 31, 23, 59, 59, 1000, time.UTC)
	late    = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	usual   = time.Date(2026, 3, 20, 20, 30, 0, 0, time.UTC)
	hundred = time.Date(2026, 11, 22, 10, 0, 0, 100000000, time.UTC)
)

// id gives the nth id of a month long ago, so that its partition is the default one.
func id(n int) string {
	u := store.FirstID(time.Date(2020, 1, 1, 0, 0, n, 0, time.UTC))
	u[6] |= 0x70
	u[15] = byte(n)
	return u.String()
}

type row = map[string]any

type record struct {
	table string
	row   row
}

// everything has rows for every table, each column once with a value and, where
// it may be, once without.
func everything() []record {
	brand, person, topic, event, content := id(1), id(2), id(3), id(4), id(5)
	stream, form, sequence, offer, user, source := id(6), id(7), id(8), id(9), id(10), id(11)
	all := []record{
		{"installation", row{"key": "secret-fingerprint", "value": awkward}},
		{"brands", row{"id": brand, "slug": "b", "name": persian, "postal_address": awkward, "sender_name": "", "sender_email": "a@b.example", "language": "fa",
			"languages": `["fa","en"]`, "texts": deep, "time_zone": "Asia/Tehran", "address_key": allBytes,
			"cap_max": math.MaxInt32, "cap_days": 7, "quiet_from": "22:00", "quiet_until": "07:30", "rate_per_hour": 5000, "warm_up_from": hundred, "logo_hash": "0f", "logo_width": 480, "logo_height": 160, "last_open_only": true, "anonymous_counts": true, "created_at": early, "updated_at": late}},
		{"brands", row{"id": id(53), "slug": "c", "name": "", "postal_address": "", "sender_name": "", "sender_email": "c@b.example", "language": "en",
			"languages": `[]`, "texts": `{}`, "time_zone": "UTC", "address_key": []byte{}, "warm_up_from": nil, "created_at": early, "updated_at": late}},
		{"logos", row{"brand_id": brand, "hash": "0f", "png": allBytes, "used_at": hundred}},
		{"dkim_keys", row{"id": id(20), "brand_id": brand, "domain": "b.example", "selector": "s1", "algorithm": "rsa", "private_key": []byte{0}, "public_key": "p", "active": true, "created_at": hundred, "activated_at": late, "retired_at": nil}},
		{"dkim_keys", row{"id": id(21), "brand_id": brand, "domain": "b.example", "selector": "s2", "algorithm": "ed25519", "private_key": []byte{}, "public_key": "p", "active": false, "created_at": hundred, "activated_at": nil, "retired_at": nil}},
		{"dkim_keys", row{"id": id(19), "brand_id": brand, "domain": "b.example", "selector": "s3", "algorithm": "rsa", "private_key": []byte{1}, "public_key": "p", "active": false, "created_at": hundred, "activated_at": usual, "retired_at": late}},
		{"users", row{"id": user, "email": "o@b.example", "name": persian, "password_hash": "$argon2id$", "language": "en", "session_epoch": 3, "created_at": usual, "updated_at": usual}},
		{"memberships", row{"user_id": user, "brand_id": brand, "role": "owner"}},
		{"invitations", row{"id": id(84), "brand_id": brand, "email": "n@b.example", "role": "reader", "language": "fa", "token_hash": []byte{1, 0}, "invited_by": user, "created_at": usual, "sent_at": usual, "expires_at": late, "accepted_at": hundred, "revoked_at": nil}},
		{"invitations", row{"id": id(85), "brand_id": brand, "email": "n@b.example", "role": "owner", "language": "en", "token_hash": []byte{}, "invited_by": user, "created_at": usual, "sent_at": hundred, "expires_at": late, "accepted_at": nil, "revoked_at": usual}},
		{"password_resets", row{"token_hash": allBytes[:32], "user_id": user, "created_at": usual, "expires_at": late}},
		{"sessions", row{"token_hash": allBytes[:32], "data": []byte("\x00\xff"), "expires_at": usual}},
		{"sign_in_failures", row{"key": "ip", "failures": math.MaxInt32, "locked_until": early, "updated_at": usual}},
		{"sign_in_failures", row{"key": "", "failures": math.MinInt32, "locked_until": nil, "updated_at": usual}},
		{"api_keys", row{"id": id(22), "brand_id": brand, "name": awkward, "hash": []byte{1}, "scopes": `["*"]`, "created_at": usual, "last_used_at": early, "revoked_at": late}},
		{"api_keys", row{"id": id(23), "brand_id": nil, "name": "", "hash": []byte{2}, "scopes": `[]`, "created_at": usual, "last_used_at": nil, "revoked_at": nil}},
		{"drafts", row{"user_id": user, "page": "/admin/b/b", "fields": deep, "saved_at": early}},
		{"undos", row{"id": id(81), "brand_id": brand, "user_id": user, "what": "people.tag-many", "subject_id": nil, "next": awkward, "state": persian, "fields": deep, "people": []byte{0, 1, 255}, "made_at": usual, "taken_at": hundred}},
		{"sent_forms", row{"user_id": user, "once": id(80), "next": awkward, "sent_at": usual}},
		{"deeds", row{"id": id(81), "brand_id": brand, "user_id": user, "key_id": nil, "at": usual, "what": "topic.create", "subject_id": id(82), "detail": deep}},
		{"deeds", row{"id": id(83), "brand_id": brand, "user_id": nil, "key_id": id(22), "at": hundred, "what": "topic.change", "subject_id": nil, "detail": `{}`}},
		{"idempotency_keys", row{"owner": "o", "key": "k", "fingerprint": allBytes, "status": 201, "body": []byte{}, "created_at": usual}},
		{"subscribers", row{"id": person, "brand_id": brand, "email": "ana@example.org", "address_hash": allBytes[128:], "name": persian, "language": "fa", "attributes": deep,
			"customer_since": early, "created_at": usual, "updated_at": hundred, "erased_at": nil, "objected_at": late}},
		{"subscribers", row{"id": id(24), "brand_id": brand, "email": "", "address_hash": []byte{0, 0}, "language": "en", "attributes": `{}`,
			"customer_since": nil, "created_at": usual, "updated_at": hundred, "erased_at": usual, "objected_at": nil}},
		{"notes", row{"id": id(25), "brand_id": brand, "subscriber_id": person, "user_id": user, "at": hundred, "sealed": allBytes}},
		{"carers", row{"subscriber_id": person, "brand_id": brand, "user_id": user, "since": usual}},
		{"subscriber_tags", row{"brand_id": brand, "subscriber_id": person, "tag": "دوست"}},
		{"subject_keys", row{"subscriber_id": person, "sealed_key": allBytes}},
		{"topics", row{"id": topic, "brand_id": brand, "slug": "news", "purpose": "marketing", "texts": deep, "promise_max": 2, "promise_days": 7, "archived_at": usual, "changed_at": usual, "created_at": usual, "updated_at": usual}},
		{"topics", row{"id": id(25), "brand_id": brand, "slug": "opens", "purpose": "opens", "texts": `null`, "archived_at": nil, "changed_at": nil, "valid_months": 6, "renew_days": 0, "own_similar": true, "created_at": usual, "updated_at": usual}},
		{"wordings", row{"hash": allBytes[:16], "language": "fa", "text": awkward, "created_at": usual}},
		{"consent_events", row{"id": event, "brand_id": brand, "subscriber_id": person, "topic_id": topic, "state": "requested", "basis": "explicit", "method": "form", "occurred_at": early,
			"valid_until": late, "wording_hash": allBytes[:16], "language": "fa", "form_id": form, "form_version": 1, "previous_id": nil, "leaf": []byte(deep)}},
		{"consent_events", row{"id": id(26), "brand_id": brand, "subscriber_id": person, "topic_id": topic, "state": "given", "basis": "explicit", "method": "form", "occurred_at": usual,
			"valid_until": nil, "wording_hash": nil, "language": "fa", "form_id": nil, "form_version": nil, "previous_id": event, "paused_until": late, "leaf": []byte{0xff, 0x00}}},
		{"consent_events", row{"id": id(92), "brand_id": brand, "subscriber_id": person, "topic_id": id(25), "state": "given", "basis": "explicit", "method": "form", "occurred_at": usual,
			"valid_until": nil, "wording_hash": nil, "language": "fa", "form_id": nil, "form_version": nil, "previous_id": nil, "leaf": []byte{1}}},
		{"consent_evidence", row{"event_id": event, "subscriber_id": person, "salt": allBytes[:32], "sealed": allBytes}},
		{"change_events", row{"id": id(90), "brand_id": brand, "subscriber_id": person, "kind": "language", "method": "preferences", "occurred_at": usual, "leaf": []byte(deep)}},
		{"change_events", row{"id": id(91), "brand_id": nil, "subscriber_id": nil, "kind": "log-begun", "method": "restore", "occurred_at": usual, "leaf": []byte{0xff}}},
		{"change_evidence", row{"event_id": id(90), "subscriber_id": person, "salt": allBytes[:32], "sealed": allBytes}},
		{"erasures", row{"subscriber_id": person, "at": usual}},
		{"requests", row{"id": id(92), "brand_id": brand, "subscriber_id": person, "kind": "access", "way": "letter", "opened_at": early, "due_at": late, "extended_at": nil, "warned_at": nil, "closed_at": nil, "outcome": ""}},
		{"requests", row{"id": id(93), "brand_id": brand, "subscriber_id": person, "kind": "erasure", "way": "preferences", "opened_at": usual, "due_at": usual, "extended_at": usual, "warned_at": hundred, "closed_at": late, "outcome": "done"}},
		{"request_acts", row{"id": id(94), "request_id": id(92), "at": usual, "what": "opened", "user_id": nil, "sealed": allBytes}},
		{"request_acts", row{"id": id(95), "request_id": id(92), "at": hundred, "what": "noted", "user_id": user, "sealed": nil}},
		{"logs", row{"number": 1, "origin": "example.org/log", "key": allBytes, "verifier": awkward, "size": 3, "root": allBytes[:32], "checkpoint": awkward, "shown": persian,
			"shown_size": 2, "stopped": persian, "began_at": early, "signed_at": usual, "ended_at": nil}},
		{"logs", row{"number": 2, "origin": "example.org/log/2", "key": allBytes, "verifier": "", "size": int64(math.MaxInt64), "root": allBytes[:32], "checkpoint": "", "shown": "",
			"shown_size": 0, "began_at": early, "signed_at": nil, "ended_at": usual}},
		{"log_pending", row{"bulk": true, "event_id": event}},
		{"log_pending", row{"bulk": false, "event_id": id(26)}},
		{"log_entries", row{"log": 1, "place": int64(math.MaxInt64), "event_id": event}},
		{"log_tiles", row{"log": 1, "level": 0, "n": int64(math.MaxInt64), "hashes": allBytes}},
		{"permissions", row{"subscriber_id": person, "topic_id": topic, "brand_id": brand, "state": "given", "event_id": id(26), "since": usual, "valid_until": late, "paused_until": hundred, "said_at": early}},
		{"permissions", row{"subscriber_id": person, "topic_id": id(25), "brand_id": brand, "state": "given", "event_id": id(92), "since": usual, "valid_until": nil, "said_at": nil}},
		{"asked_addresses", row{"brand_id": brand, "address_hash": allBytes, "asked_at": usual}},
		{"askings", row{"id": id(93), "brand_id": brand, "subscriber_id": person, "kind": "renewal", "language": "fa", "boxes": `[{"topic": "x"}]`, "import_id": nil, "state": "open", "asked_at": usual, "due_at": late, "answered_at": nil}},
		{"asked_consents", row{"event_id": event, "why": "renewal", "asking_id": id(93)}},
		{"silence_walks", row{"brand_id": brand, "place": person, "due_at": usual}},
		{"scans", row{"id": id(95), "brand_id": brand, "subscriber_id": person, "sealed": allBytes, "at": usual}},
		{"suppressions", row{"brand_id": brand, "address_hash": allBytes, "reason": "left", "detail": persian, "created_at": usual}},
		{"forms", row{"id": form, "brand_id": brand, "name": persian, "version": 1, "code": "482913", "closed_at": nil, "guard_at": nil, "created_at": usual, "updated_at": usual}},
		{"forms", row{"id": id(27), "brand_id": brand, "name": "", "version": 0, "closed_at": usual, "guard": "paused", "guard_at": late, "created_at": usual, "updated_at": usual}},
		{"form_versions", row{"form_id": form, "version": 1, "spec": deep, "created_at": usual}},
		{"signup_requests", row{"id": id(28), "brand_id": brand, "form_id": form, "form_version": 1, "subscriber_id": person, "language": "fa", "state": "confirmed", "boxes": `[{"topic": "x"}]`,
			"sealed": allBytes, "via": "paper", "created_at": usual, "expires_at": late, "answered_at": hundred, "doubted_at": usual}},
		{"signup_requests", row{"id": id(29), "brand_id": brand, "form_id": form, "form_version": 1, "subscriber_id": person, "language": "fa", "state": "pending", "boxes": `[]`,
			"sealed": nil, "created_at": usual, "expires_at": late, "answered_at": nil, "doubted_at": nil}},
		{"spent_proofs", row{"proof": allBytes, "expires_at": late}},
		{"confirmation_mails", row{"address_key": []byte{7}, "sent_at": hundred}},
		{"address_changes", row{"id": id(30), "brand_id": brand, "subscriber_id": person, "email": "b@example.org", "address_hash": []byte{3}, "created_at": usual, "expires_at": late, "confirmed_at": hundred}},
		{"address_changes", row{"id": id(31), "brand_id": brand, "subscriber_id": person, "email": "c@example.org", "address_hash": []byte{4}, "created_at": usual, "expires_at": late, "confirmed_at": nil}},
		{"contents", row{"id": content, "language": "fa", "brand_id": brand, "subject": persian, "preheader": awkward, "html": strings.Repeat(awkward, 50), "created_at": usual}},
		{"streams", row{"id": stream, "brand_id": brand, "queue": "bulk", "origin": "campaign", "paused_at": usual, "paused_for": persian, "priority": -1, "rate_per_hour": 14}},
		{"streams", row{"id": id(32), "brand_id": brand, "queue": "confirm", "origin": "confirm", "paused_at": nil, "closed": persian}},
		{"tallies", row{"stream_id": stream, "sent": int64(math.MaxInt64), "hard": int64(1<<53 + 1), "complaints": 3, "refusals": 20, "warned": awkward}},
		{"tallies", row{"stream_id": id(32)}},
		{"quarters", row{"brand_id": brand, "at": usual, "kind": "mail.sent", "source": persian, "topic": "", "n": int64(math.MaxInt64)}},
		{"stream_quarters", row{"stream_id": stream, "brand_id": brand, "at": usual, "kind": "left", "n": int64(math.MaxInt64)}},
		{"folds", row{"what": persian, "upto": hundred}},
		{"alarms", row{"id": id(47), "brand_id": brand, "kind": "leavers", "span": "day", "began_at": usual, "seen": int64(math.MaxInt64), "seen_of": 2, "usual": 3, "usual_of": 4, "last_seen": 5, "last_seen_of": 6, "ended_at": hundred}},
		{"slots", row{"subscriber_id": person, "topic_id": topic, "id": id(46), "taken_at": hundred}},
		{"nodes", row{"id": id(33), "host": "h", "boot_id": "b", "started_at": usual, "seen_at": usual, "lost_at": hundred}},
		{"jobs", row{"id": id(34), "kind": "k", "key": persian, "queue": "bulk", "due_at": usual, "state": "running", "lease_until": late, "epoch": int64(math.MaxInt64), "created_at": usual, "updated_at": usual}},
		{"jobs", row{"id": id(35), "kind": "k", "key": "", "queue": "bulk", "due_at": usual, "state": "dead", "lease_until": nil, "epoch": int64(math.MinInt64), "created_at": usual, "updated_at": usual}},
		{"sequences", row{"id": sequence, "brand_id": brand, "name": persian, "topic_id": topic, "state": "running", "version": 1, "created_at": usual, "updated_at": usual}},
		{"sequence_versions", row{"sequence_id": sequence, "version": 1, "steps": `[{"wait": {"days": 3}}]`, "created_at": usual}},
		{"enrollments", row{"id": id(36), "brand_id": brand, "sequence_id": sequence, "version": 1, "subscriber_id": person, "step": 0, "state": "active", "due_at": usual, "created_at": usual, "ended_at": nil}},
		{"enrollments", row{"id": id(37), "brand_id": brand, "sequence_id": sequence, "version": 1, "subscriber_id": id(24), "step": 1, "state": "done", "due_at": usual, "created_at": usual, "ended_at": hundred}},
		{"orders", row{"id": id(38), "brand_id": brand, "number": "۱", "subscriber_id": person, "placed_at": early, "total": int64(math.MaxInt64), "currency": "IRR", "items": math.MaxInt32, "created_at": usual}},
		{"orders", row{"id": id(39), "brand_id": brand, "number": "2", "subscriber_id": person, "placed_at": early, "total": int64(1<<53 + 1), "currency": "EUR", "items": -1, "created_at": usual}},
		{"offers", row{"id": offer, "brand_id": brand, "name": persian, "topic_id": topic, "content_id": content, "texts": deep, "value_kind": "amount", "value": int64(math.MinInt64),
			"valid_days": 1, "budget": 1, "state": "running", "issue_id": source, "created_at": usual, "updated_at": usual}},
		{"offer_codes", row{"id": id(40), "brand_id": brand, "offer_id": offer, "subscriber_id": person, "code": "A", "issued_at": usual, "expires_at": late, "redeemed_at": hundred}},
		{"offer_codes", row{"id": id(41), "brand_id": brand, "offer_id": offer, "subscriber_id": id(24), "code": "B", "issued_at": usual, "expires_at": late, "redeemed_at": nil}},
		{"campaigns", row{"id": id(42), "brand_id": brand, "name": awkward, "topic_id": topic, "content_id": content, "state": "sent", "edition_id": source, "scheduled_at": early, "recall_until": usual,
			"frozen_after": person, "frozen_at": usual, "finished_at": hundred, "created_at": usual, "updated_at": usual}},
		{"campaigns", row{"id": id(43), "brand_id": brand, "name": "", "topic_id": topic, "content_id": content, "state": "draft", "edition_id": id(44), "scheduled_at": nil, "recall_until": nil,
			"frozen_after": nil, "frozen_at": nil, "finished_at": nil, "created_at": usual, "updated_at": usual}},
		{"imports", row{"id": id(60), "brand_id": brand, "user_id": nil, "name": persian, "hash": allBytes[:32], "size": int64(math.MaxInt64), "lines": 2, "separator": "\t", "plan": deep, "state": "done",
			"rows_read": 1, "fresh": 1, "recorded": 1, "created_at": usual, "started_at": early, "finished_at": hundred, "updated_at": usual, "ask_next_at": late, "ask_per_hour": 5}},
		{"imports", row{"id": id(61), "brand_id": brand, "user_id": user, "name": awkward, "hash": []byte{}, "size": 0, "lines": 0, "separator": ",", "plan": deep, "state": "ready",
			"created_at": usual, "started_at": nil, "finished_at": nil, "updated_at": usual, "ask_next_at": nil}},
		{"askings", row{"id": id(94), "brand_id": brand, "subscriber_id": person, "kind": "import", "language": "fa", "boxes": `[]`, "import_id": id(60), "state": "yes", "asked_at": usual, "due_at": nil, "answered_at": hundred}},
		{"import_parts", row{"import_id": id(61), "n": 0, "sealed": allBytes}},
		{"import_waiting", row{"import_id": id(60), "line": 2, "lacks": "day", "sealed": allBytes}},
		{"import_refusals", row{"import_id": id(60), "line": 3, "place": persian, "why": "k", "args": deep, "left_it": true, "sealed": []byte{0}}},
		{"links", row{"content_id": content, "language": "fa", "n": 0, "url": "https://b.example/?a=1&b=%D8%B3"}},
		{"hits", row{"id": id(45), "at": early, "brand_id": brand, "subscriber_id": person, "source_id": source, "message_id": id(46), "kind": "click", "link": 1, "user_agent": awkward, "network": "192.0.2.0/24"}},
		{"hits", row{"id": id(47), "at": time.Now().Truncate(time.Microsecond), "brand_id": brand, "subscriber_id": person, "source_id": source, "message_id": id(46), "kind": "open", "user_agent": "", "network": ""}},
		{"last_opens", row{"subscriber_id": person, "brand_id": brand, "day": time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)}},
		{"anonymous_hits", row{"stream_id": stream, "brand_id": brand, "at": usual, "kind": "click", "n": int64(math.MaxInt64), "machines": 3}},
		{"tracking_questions", row{"subscriber_id": person, "topic_id": topic, "brand_id": brand, "asked_at": hundred}},
		{"communities", row{"brand_id": brand, "ideas": true, "invitations": false, "form_id": form, "texts": deep, "updated_at": usual}},
		{"communities", row{"brand_id": id(53), "ideas": false, "invitations": true, "form_id": nil, "texts": `{}`, "updated_at": hundred}},
		{"ideas", row{"id": id(94), "brand_id": brand, "subscriber_id": person, "language": "fa", "title": persian, "reason": awkward, "state": "opened", "answer": persian, "topic_id": topic, "created_at": usual, "decided_at": late}},
		{"ideas", row{"id": id(95), "brand_id": brand, "subscriber_id": nil, "language": "en", "title": "", "reason": "", "state": "proposed", "topic_id": nil, "created_at": usual, "decided_at": nil}},
		{"idea_seconds", row{"idea_id": id(94), "subscriber_id": person, "brand_id": brand, "at": usual, "told_at": hundred}},
		{"idea_seconds", row{"idea_id": id(94), "subscriber_id": id(24), "brand_id": brand, "at": usual, "told_at": nil}},
		{"friend_invitations", row{"id": id(96), "brand_id": brand, "subscriber_id": person, "domain_key": allBytes[:16], "sent_at": usual}},
		{"invited_addresses", row{"address_key": allBytes, "invited_at": usual}},
		{"events", row{"id": id(48), "at": early, "brand_id": brand, "subscriber_id": person, "kind": "mail.sent", "source_id": source, "message_id": id(46), "data": deep}},
		{"events", row{"id": id(49), "at": hundred, "brand_id": brand, "subscriber_id": nil, "kind": "k", "source_id": nil, "message_id": nil, "data": `"text"`}},
	}
	return append(all, messages()...)
}

// message is one of the person to whom everything else belongs.
func message(n int, kind, state string, change row) record {
	m := row{"id": id(n), "source_id": id(11), "brand_id": id(1), "stream_id": id(6), "subscriber_id": id(2), "part": n, "kind": kind, "language": "fa", "data": deep,
		"state": state, "due_at": usual, "created_at": usual}
	if kind == "marketing" {
		m["topic_id"], m["consent_event_id"], m["content_id"] = id(3), id(26), id(5)
	} else {
		m["template"] = "confirm"
	}
	maps.Copy(m, change)
	return record{"messages", m}
}

// onItsWay is the row that a queued message has in the outbox.
func onItsWay(n int, change row) record {
	o := row{"stream_id": id(6), "due_at": usual, "id": id(n), "source_id": id(11), "epoch": 3}
	maps.Copy(o, change)
	return record{"outbox", o}
}

// ahead is after every backup of these tests: what is due then cannot have gone out.
var ahead = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)

func messages() []record {
	return []record{
		onItsWay(50, nil), onItsWay(52, row{"due_at": ahead}),
		message(46, "marketing", "sent", row{"smtp_code": 250, "smtp_reply": awkward, "tracks_opens": true, "settled_at": hundred}),
		message(50, "confirm", "queued", row{"settled_at": nil, "recipient": persian}),
		message(51, "test", "failed", row{"subscriber_id": nil, "topic_id": nil, "attempt": math.MaxInt32}),
		message(52, "marketing", "queued", row{"source_id": store.NewID(time.Now()).String(), "due_at": ahead}), // of a month with a partition
	}
}

func insert(t testing.TB, db *store.DB, all ...record) {
	t.Helper()
	err := db.Write(context.Background(), func(tx *store.Tx) error {
		for _, x := range all {
			if err := tx.Table(x.table).Create(x.row).Error; err != nil {
				return fmt.Errorf("%s: %w", x.table, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump reads all rows, by other means than a backup does: each as its columns
// by name and value, as the two databases would both say it.
func dump(t testing.TB, db *store.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		var tables []string
		err := tx.Raw(tx.Pick(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`,
			`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'`)).Scan(&tables).Error
		for _, table := range tables {
			if table == "goose_db_version" {
				continue
			}
			rows, err := tx.Raw(`SELECT * FROM "` + table + `"`).Rows()
			if err != nil {
				return err
			}
			if all[table], err = texts(rows); err != nil {
				return err
			}
			slices.Sort(all[table])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func texts(rows *sql.Rows) ([]string, error) {
	types, err := rows.ColumnTypes()
	all := []string{}
	for err == nil && rows.Next() {
		values, places := make([]any, len(types)), make([]any, len(types))
		for i := range values {
			places[i] = &values[i]
		}
		err = rows.Scan(places...)
		r := row{}
		for i, c := range types {
			if b, ok := values[i].([]byte); ok && c.DatabaseTypeName() == "JSONB" {
				values[i] = string(b)
			}
			if n, ok := values[i].(int64); ok && c.DatabaseTypeName() == "BOOLEAN" {
				values[i] = n != 0
			}
			r[c.Name()] = plain(values[i])
		}
		all = append(all, fmt.Sprint(r)) // sorts the keys
	}
	return all, errors.Join(err, rows.Err(), rows.Close())
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []byte:
		return fmt.Sprintf("bytes %x", v)
	case string:
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") || v == `"text"` {
			d := json.NewDecoder(strings.NewReader(v))
			d.UseNumber()
			var tree any
			if d.Decode(&tree) == nil {
				return fmt.Sprintf("json %#v", tree)
			}
		}
		return "text " + v
	}
	return fmt.Sprint(v)
}

func differ(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for table := range want {
		if !slices.Equal(got[table], want[table]) {
			t.Errorf("%s:\n got %.2000q\nwant %.2000q", table, got[table], want[table])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d tables, want %d", len(got), len(want))
	}
}

func mustBeEmpty(t testing.TB, db *store.DB) {
	t.Helper()
	for table, rows := range dump(t, db) {
		if len(rows) > 0 {
			t.Fatalf("table %s has %d rows: %.300s", table, len(rows), rows[0])
		}
	}
}

func backup(t testing.TB, db *store.DB) ([]byte, store.Summary) {
	t.Helper()
	var b bytes.Buffer
	s, err := db.Backup(context.Background(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), s
}

func mustRestore(t testing.TB, db *store.DB, file []byte) store.Summary {
	t.Helper()
	s, err := db.Restore(context.Background(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused wants a problem with one of the keys and its sentence in both languages.
func refused(t testing.TB, err error, kind problem.Kind, keys ...string) {
	t.Helper()
	p, ok := problem.Of(err)
	if !ok || p.Kind != kind || !slices.Contains(keys, p.Key) {
		t.Fatalf("%v, want a problem %v of %v", err, keys, kind)
	}
	for _, lang := range []string{"en", "fa"} {
		if title, _ := i18n.For(lang).Problem(err); !i18n.For(lang).Has(p.Key) || strings.Contains(title, "{{") || strings.Contains(title, "<no value>") {
			t.Fatalf("in %s: %q", lang, title)
		}
	}
}

// ── there and back ────────────────────────────────────────────────────────

// Four round trips; what is restored is backed up and restored a second time.
func TestEveryRowComesBack(t *testing.T) {
	each(t, func(t *testing.T, from *store.DB) {
		insert(t, from, everything()...)
		want := dump(t, from)
		file, s := backup(t, from)
		for _, sum := range s.Tables {
			if int(sum.Rows) != len(want[sum.Name]) || sum.Rows == 0 {
				t.Errorf("table %s: %d rows in the backup, %d in the database; want some in every table", sum.Name, sum.Rows, len(want[sum.Name]))
			}
		}
		if len(s.Tables) != len(want) || s.From != from.Dialect() || s.Schema < 1 || time.Since(s.TakenAt) > time.Minute {
			t.Errorf("%d tables, want %d; %+v", len(s.Tables), len(want), s)
		}
		differ(t, dump(t, from), want)
		want["installation"] = append([]string{}, want["installation"]...)
		want["installation"] = append(want["installation"], fmt.Sprint(row{"key": "text sending-paused", "value": "text " + s.TakenAt.Format(time.RFC3339Nano)}))
		slices.Sort(want["installation"])
		each(t, func(t *testing.T, to *store.DB) {
			if got := mustRestore(t, to, file); !reflect.DeepEqual(got, s) {
				t.Errorf("restored %+v\nwant %+v", got, s)
			}
			differ(t, dump(t, to), want)
			again, _ := backup(t, to)
			t.Run("again", func(t *testing.T) {
				each(t, func(t *testing.T, last *store.DB) {
					mustRestore(t, last, again)
					differ(t, dump(t, last), want)
				})
			})
		})
	})
}

// The same rows give the same sums, also after a restore.
func TestSumsTellTheContent(t *testing.T) {
	each(t, func(t *testing.T, from *store.DB) {
		_, bare := backup(t, from)
		insert(t, from, everything()...)
		file, one := backup(t, from)
		_, two := backup(t, from)
		if !reflect.DeepEqual(one.Tables, two.Tables) || reflect.DeepEqual(one.Tables, bare.Tables) {
			t.Fatal("two backups of the same rows differ, or of other rows do not")
		}
		to := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
		mustRestore(t, to, file)
		_, three := backup(t, to)
		for i, sum := range three.Tables {
			if sum.Name != "installation" && sum != one.Tables[i] {
				t.Errorf("%+v, want %+v", sum, one.Tables[i])
			}
		}
	})
}

// Text that is no UTF-8 can lie in SQLite alone. It is kept exactly, and
// PostgreSQL says that it will not have it.
func TestTextThatIsNone(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		for name, text := range map[string]string{"latin1": "Gr\xfc\xdfe", "half": "\xf0\x9f", "nul": "a\x00b"} {
			from := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
			insert(t, from, record{"installation", row{"key": "k", "value": text}})
			file, _ := backup(t, from)
			to := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
			mustRestore(t, to, file)
			if n := count(t, to, "SELECT count(*) FROM installation WHERE CAST(value AS blob) = ?", []byte(text)); n != 1 {
				t.Errorf("%s: lost", name)
			}
			pg := open(t, testkit.PostgresTemplate(t, "store", migrate), nil)
			_, err := pg.Restore(t.Context(), bytes.NewReader(file))
			refused(t, err, problem.Malformed, "store.backup-refused")
			mustBeEmpty(t, pg)
		}
	})
}

// Rows may refer to rows of their table that come later, files later.
func TestReferencesForward(t *testing.T) {
	const n = 2500
	each(t, func(t *testing.T, from *store.DB) {
		insert(t, from, slices.DeleteFunc(everything(), func(r record) bool {
			return !slices.Contains([]string{"brands", "subscribers", "topics"}, r.table)
		})...)
		must(t, from.Write(t.Context(), func(tx *store.Tx) error {
			name := func(x string) string {
				return tx.Pick("CAST(lpad("+x+"::text, 32, '0') AS uuid)", "substr('00000000-0000-0000-0000-000000000000', 1, 36 - length("+x+")) || "+x)
			}
			_, err := tx.Run(`WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < ?)
				INSERT INTO consent_events (`+tx.Pick("", "rowid, ")+`id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf, previous_id)
				SELECT `+tx.Pick("", "n, ")+name("n")+`, b.brand_id, b.subscriber_id, b.topic_id, 'given', 'b', 'm', b.at, 'en', CAST( ? AS `+tx.Pick("bytea", "blob")+`), CASE WHEN n < ? THEN `+name("(n + 1)")+` END
				FROM g CROSS JOIN (SELECT s.brand_id, s.id AS subscriber_id, t.id AS topic_id, s.created_at AS at
					FROM subscribers s JOIN topics t ON t.brand_id = s.brand_id WHERE t.slug = 'news' AND s.email <> '') b`+
				tx.Pick("", " ORDER BY n DESC"), n, bytes.Repeat(allBytes, 8), n) // SQLite reads in the order of rowid, PostgreSQL as written
			return err
		}))
		file, _ := backup(t, from)
		if parts := len(names(unpack(t, file), "consent_events/")); parts < 2 {
			t.Fatalf("%d part, want several", parts)
		}
		each(t, func(t *testing.T, to *store.DB) {
			schema := facts(t, to)
			mustRestore(t, to, file)
			same(t, schema, facts(t, to))
			differ(t, map[string][]string{"": dump(t, to)["consent_events"]}, map[string][]string{"": dump(t, from)["consent_events"]})
		})
	})
}

// ── what follows a restore ────────────────────────────────────────────────

func TestNothingIsSentAfterARestore(t *testing.T) {
	each(t, func(t *testing.T, from *store.DB) {
		insert(t, from, everything()...)
		node := row{"node_id": id(60)}
		insert(t, from, record{"nodes", row{"id": id(60), "host": "h", "boot_id": "b", "started_at": usual, "seen_at": usual}},
			message(61, "marketing", "queued", nil), message(62, "test", "queued", nil), message(63, "confirm", "queued", nil), message(64, "service", "queued", nil),
			onItsWay(61, node), onItsWay(62, node), onItsWay(63, node), onItsWay(64, nil))
		if _, paused, err := from.SendingPaused(t.Context()); paused || err != nil {
			t.Fatalf("paused %v before any restore, %v", paused, err)
		}
		file, s := backup(t, from)
		if _, paused, err := from.SendingPaused(t.Context()); paused || err != nil {
			t.Fatalf("paused %v by a backup, %v", paused, err)
		}
		each(t, func(t *testing.T, to *store.DB) {
			mustRestore(t, to, file)
			settled(t, to)
			if since, paused, err := to.SendingPaused(t.Context()); !paused || err != nil || !since.Equal(s.TakenAt) {
				t.Errorf("paused %v since %v, %v; want since the backup, %v", paused, since, err, s.TakenAt)
			}
			later, _ := backup(t, to)
			for range 2 {
				must(t, to.ResumeSending(t.Context()))
				if _, paused, err := to.SendingPaused(t.Context()); paused || err != nil {
					t.Errorf("paused %v after ResumeSending, %v", paused, err)
				}
			}
			// A backup from the pause: the withdrawals of then are still missing.
			last := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
			mustRestore(t, last, later)
			if since, paused, err := last.SendingPaused(t.Context()); !paused || err != nil || !since.Equal(s.TakenAt) {
				t.Errorf("second restore: paused %v since %v, %v; want since the first backup, %v", paused, since, err, s.TakenAt)
			}
		})
	})
}

// settled looks at the four claims of TestNothingIsSentAfterARestore.
func settled(t *testing.T, db *store.DB) {
	t.Helper()
	type state struct {
		Part          int
		State, Reason string
		Waiting       bool
		Settled       bool
	}
	var got []state
	must(t, db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Raw(`SELECT part, state, reason, settled_at IS NOT NULL AS settled,
			EXISTS (SELECT 1 FROM outbox o WHERE o.id = messages.id AND o.node_id IS NULL) AS waiting FROM messages ORDER BY part`).Scan(&got).Error
	}))
	want := []state{{46, "sent", "", false, true}, {50, "queued", "", true, false}, {51, "failed", "", false, false},
		{52, "queued", "", true, false},
		{61, "uncertain", "restored from a backup", false, true}, {62, "uncertain", "restored from a backup", false, true},
		{63, "queued", "", true, false}, {64, "queued", "", true, false}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("messages %+v\nwant %+v", got, want)
	}
	if n := count(t, db, "SELECT count(*) FROM nodes WHERE lost_at IS NULL"); n != 0 {
		t.Errorf("%d nodes are not lost", n)
	}
	if n := count(t, db, "SELECT count(*) FROM nodes WHERE lost_at = ?", hundred); n != 1 {
		t.Error("a node that was lost before was lost again")
	}
}

// ── where a restore is refused ────────────────────────────────────────────

func TestOnlyAnEmptyDatabaseIsFilled(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		file, _ := backup(t, db)
		insert(t, db, everything()...)
		full, _ := backup(t, db)
		before := dump(t, db)
		for _, f := range [][]byte{file, full} {
			_, err := db.Restore(t.Context(), bytes.NewReader(f))
			refused(t, err, problem.Conflict, "store.not-empty")
		}
		differ(t, dump(t, db), before)
	})
}

func TestOneRowIsNotEmpty(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		file, _ := backup(t, db)
		insert(t, db, record{"installation", row{"key": "k", "value": "v"}})
		_, err := db.Restore(t.Context(), bytes.NewReader(file))
		refused(t, err, problem.Conflict, "store.not-empty")
	})
}

// The second restore begins in the middle of the first, and waits for it; so
// does one who writes.
func TestARestoreIsDoneOnce(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		from := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
		insert(t, from, everything()...)
		long := make([]byte, 1<<20)
		rand.Read(long)
		insert(t, from, record{"wordings", row{"hash": []byte{1}, "language": "en", "text": hex.EncodeToString(long), "created_at": usual}}) // the middle of the file
		whole, _ := backup(t, from)
		second, writer := make(chan error, 1), make(chan error, 1)
		between := readFunc(func([]byte) (int, error) {
			go func() {
				_, err := db.Restore(context.Background(), bytes.NewReader(whole))
				second <- err
			}()
			go func() {
				writer <- db.Write(context.Background(), func(tx *store.Tx) error {
					_, err := tx.Run("INSERT INTO installation (key, value) VALUES ('late', CAST((SELECT count(*) FROM events) AS text))")
					return err
				})
			}()
			time.Sleep(500 * time.Millisecond) // long enough to do harm
			return 0, io.EOF
		})
		_, err := db.Restore(t.Context(), io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), between, bytes.NewReader(whole[len(whole)/2:])))
		must(t, errors.Join(err, <-writer))
		refused(t, <-second, problem.Conflict, "store.not-empty")
		if n := count(t, db, "SELECT count(*) FROM installation WHERE key <> 'late' OR value = '2'"); n != 3 {
			t.Errorf("%d rows, want that of the backup, the pause, and one from after both events were there", n)
		}
	})
}

func TestOnlyAMigratedDatabaseIsFilled(t *testing.T) {
	testkit.EachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url, nil)
		_, err := db.Backup(t.Context(), io.Discard)
		refused(t, err, problem.Conflict, "store.schema-older")
		_, err = db.Restore(t.Context(), strings.NewReader(""))
		refused(t, err, problem.Conflict, "store.schema-older")
	})
}

func TestANewerSchemaIsNeitherBackedUpNorFilled(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		v, err := db.SchemaVersion(t.Context())
		must(t, err)
		must(t, run(t, db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", v.Known+1, true))
		_, err = db.Backup(t.Context(), io.Discard)
		refused(t, err, problem.Conflict, "store.schema-newer")
		_, err = db.Restore(t.Context(), strings.NewReader(""))
		refused(t, err, problem.Conflict, "store.schema-newer")
	})
}

// ── files that are torn, changed or foreign ───────────────────────────────

func TestTornFilesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		file, step := sample(t), 101
		if db.Dialect() == store.Postgres {
			step = 997
		}
		for cut := 0; cut < len(file); cut += step {
			_, err := db.Restore(t.Context(), bytes.NewReader(file[:cut]))
			refused(t, err, problem.Malformed, "store.backup-broken", "store.backup-foreign")
		}
		for cut := len(file) - 30; cut < len(file); cut++ {
			_, err := db.Restore(t.Context(), bytes.NewReader(file[:cut]))
			refused(t, err, problem.Malformed, "store.backup-broken")
		}
		mustBeEmpty(t, db)
		mustRestore(t, db, file)
	})
}

// sample is a backup with a row in every table.
func sample(t testing.TB) []byte {
	db, err := store.Open(context.Background(), testkit.SQLiteTemplate(t, "store", migrate), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	insert(t, db, everything()...)
	file, _ := backup(t, db)
	return file
}

// One changed byte anywhere is noticed, or changes nothing: a remark in gzip's
// header, another way to compress the same.
func TestChangedBytesAreNoticed(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		file, step := sample(t), 61
		if db.Dialect() == store.Postgres {
			step = 997
		}
		want, err := gunzip(file)
		must(t, err)
		noticed, harmless := 0, 0
		for at := 0; at < len(file); at += step {
			changed := bytes.Clone(file)
			changed[at] ^= 1 << (at % 8)
			if got, err := gunzip(changed); err == nil && bytes.Equal(got, want) {
				harmless++
				continue
			}
			noticed++
			_, err := db.Restore(t.Context(), bytes.NewReader(changed))
			if p, ok := problem.Of(err); !ok || !strings.HasPrefix(p.Key, "store.backup-") {
				t.Fatalf("byte %d of %d: %v", at, len(file), err)
			}
		}
		mustBeEmpty(t, db)
		if harmless > 2+noticed/50 {
			t.Errorf("%d of %d changed bytes say nothing", harmless, harmless+noticed)
		}
	})
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

type file struct {
	name string
	body string
	kind byte
}

func unpack(t testing.TB, b []byte) (all []file) {
	t.Helper()
	plain, err := gunzip(b)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		body, err2 := io.ReadAll(r)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		all = append(all, file{h.Name, string(body), h.Typeflag})
	}
}

func pack(t testing.TB, all []file) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, f := range all {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: 0o600, Size: int64(len(f.body))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func names(all []file, prefix string) (out []string) {
	for _, f := range all {
		if strings.HasPrefix(f.name, prefix) {
			out = append(out, f.name)
		}
	}
	return out
}

// sealed computes the sums anew, as one who forges a backup would.
func sealed(t testing.TB, all []file) []file {
	t.Helper()
	var old struct{ Tables []store.TableSummary }
	if err := json.Unmarshal([]byte(all[len(all)-1].body), &old); err != nil {
		t.Fatal(err)
	}
	digest := func(s string) string {
		d := sha256.Sum256([]byte(s))
		return hex.EncodeToString(d[:])
	}
	s := struct {
		Manifest string               `json:"manifest"`
		Tables   []store.TableSummary `json:"tables"`
	}{Manifest: digest(all[0].body)}
	for _, x := range old.Tables {
		var body string
		for _, f := range all {
			if strings.HasPrefix(f.name, x.Name+"/") {
				body += f.body
			}
		}
		s.Tables = append(s.Tables, store.TableSummary{Name: x.Name, Rows: int64(strings.Count(body, "\n")), SHA256: digest(body)})
	}
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.Clone(all)
	all[len(all)-1].body = string(body)
	return all
}

// edit replaces the first such text in a file of that name, which must be there.
func edit(t testing.TB, all []file, name, old, new string) []file {
	t.Helper()
	all = slices.Clone(all)
	i := slices.IndexFunc(all, func(f file) bool { return f.name == name })
	if i < 0 || !strings.Contains(all[i].body, old) {
		t.Fatalf("no %q in %s", old, name)
	}
	all[i].body = strings.Replace(all[i].body, old, new, 1)
	return all
}

func TestForgedFilesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		good := unpack(t, sample(t))
		mustNotRestore := func(name string, b []byte, kind problem.Kind, key string) {
			t.Helper()
			_, err := db.Restore(t.Context(), bytes.NewReader(b))
			if p, ok := problem.Of(err); !ok || p.Key != key {
				t.Fatalf("%s: %v, want %s", name, err, key)
			}
			refused(t, err, kind, key)
			mustBeEmpty(t, db)
		}
		now, err := db.SchemaVersion(t.Context())
		must(t, err)
		schema := func(n int64) string { return fmt.Sprintf(`"schema": %d`, n) }
		part := func(table string) string { return table + "/000001.ndjson" }
		for _, c := range []struct {
			name, in, old, new, key string
			kind                    problem.Kind
		}{
			{"another program", "manifest.json", `"assent"`, `"other"`, "store.backup-foreign", problem.Malformed},
			{"another format", "manifest.json", `"format": 1`, `"format": 2`, "store.backup-format", problem.Conflict},
			{"newer schema", "manifest.json", schema(now.Current), schema(now.Current + 8), "store.backup-newer", problem.Conflict},
			{"older schema", "manifest.json", schema(now.Current), schema(now.Current - 1), "store.backup-older", problem.Conflict},
			{"no time", "manifest.json", `"tables": [`, `"taken_at": "0001-01-01T00:00:00Z", "tables": [`, "store.backup-broken", problem.Malformed},
			{"unknown dialect", "manifest.json", `"sqlite"`, `"oracle"`, "store.backup-broken", problem.Malformed},
			{"unknown field", "manifest.json", `"format"`, `"extra": 1, "format"`, "store.backup-broken", problem.Malformed},
			{"second value", "manifest.json", "\n}\n", "\n}\n{}", "store.backup-broken", problem.Malformed},
			{"unknown table", "manifest.json", `"name": "users"`, `"name": "guests"`, "store.backup-shape", problem.Conflict},
			{"unknown column", "manifest.json", `"password_hash"`, `"password"`, "store.backup-shape", problem.Conflict},
			{"column left out", "manifest.json", `"password_hash",`, ``, "store.backup-shape", problem.Conflict},
			{"column too many", "manifest.json", `"password_hash"`, `"password_hash", "x"`, "store.backup-shape", problem.Conflict},

			{"unknown field in a row", part("installation"), `,"value"`, `,"x":1,"value"`, "store.backup-broken", problem.Malformed},
			{"unknown field behind", part("installation"), "}\n", ",\"x\":1}\n", "store.backup-broken", problem.Malformed},
			{"field left out", part("memberships"), `,"role":"owner"`, ``, "store.backup-broken", problem.Malformed},
			{"field twice", part("memberships"), `,"role":"owner"`, `,"role":"owner","role":"owner"`, "store.backup-broken", problem.Malformed},
			{"fields exchanged", part("users"), `"id":`, `"email":`, "store.backup-broken", problem.Malformed},
			{"no line end", part("memberships"), "}\n", "}", "store.backup-broken", problem.Malformed},
			{"empty line", part("memberships"), "}\n", "}\n\n", "store.backup-broken", problem.Malformed},
			{"not UTF-8", part("users"), "o@b", "\xff@b", "store.backup-broken", problem.Malformed},
			{"control character", part("users"), "o@b", "\x01@b", "store.backup-broken", problem.Malformed},
			{"unknown escape", part("users"), "o@b", `\q@b`, "store.backup-broken", problem.Malformed},
			{"bad base64", part("confirmation_mails"), `"Bw=="`, `"Bx=="`, "store.backup-broken", problem.Malformed},
			{"base64 with a line", part("confirmation_mails"), `"Bw=="`, `"Bw==\n"`, "", 0},
			{"bytes with more", part("confirmation_mails"), `"Bw=="`, `"Bw==","x":1`, "store.backup-broken", problem.Malformed},
			{"a number with a point", part("links"), `"n":0`, `"n":0.0`, "store.backup-broken", problem.Malformed},
			{"a number of 65 bits", part("links"), `"n":0`, `"n":9223372036854775808`, "store.backup-broken", problem.Malformed},
			{"a number with a zero", part("links"), `"n":0`, `"n":00`, "store.backup-broken", problem.Malformed},
			{"an object", part("links"), `"n":0`, `"n":{}`, "store.backup-broken", problem.Malformed},
			{"nothing", part("links"), `"n":0`, `"n":`, "store.backup-broken", problem.Malformed},

			{"text for a number", part("links"), `"n":0`, `"n":"0"`, "store.backup-refused", problem.Malformed},
			{"number for text", part("memberships"), `"owner"`, `1`, "store.backup-refused", problem.Malformed},
			{"bytes for a time", part("confirmation_mails"), `"2026-11-22T10:00:00.100000Z"`, `{"base64":""}`, "store.backup-refused", problem.Malformed},
			{"time of milliseconds", part("confirmation_mails"), `00.100000Z`, `00.100Z`, "store.backup-refused", problem.Malformed},
			{"time of nowhere", part("confirmation_mails"), `2026-11-22`, `2026-02-30`, "store.backup-refused", problem.Malformed},
			{"number for a boolean", part("dkim_keys"), `"active":true`, `"active":1`, "store.backup-refused", problem.Malformed},
			{"null where none may be", part("memberships"), `"owner"`, `null`, "store.backup-refused", problem.Malformed},
			{"a value the check refuses", part("memberships"), `"owner"`, `"king"`, "store.backup-refused", problem.Malformed},
			{"a row twice", part("installation"), "}\n", "}\n{\"key\":\"secret-fingerprint\",\"value\":\"\"}\n", "store.backup-refused", problem.Malformed},
			{"a reference to nothing", part("memberships"), id(10), id(99), "store.backup-reference", problem.Malformed},
			{"an event's reference to nothing", part("consent_events"), `"previous_id":"` + id(4), `"previous_id":"` + id(99), "store.backup-reference", problem.Malformed},
		} {
			if c.key == "" { // says the same in other bytes: the sums find it
				c.key, c.kind = "store.backup-broken", problem.Malformed
			} else {
				mustNotRestore(c.name+", with its sums", pack(t, sealed(t, edit(t, good, c.in, c.old, c.new))), c.kind, c.key)
			}
			if c.in != "manifest.json" {
				_, err := db.Restore(t.Context(), bytes.NewReader(pack(t, edit(t, good, c.in, c.old, c.new))))
				refused(t, err, problem.Malformed, "store.backup-broken", c.key)
			}
		}
		mustNotRestore("a value changed, not its sum", pack(t, edit(t, good, part("users"), "o@b", "p@b")), problem.Malformed, "store.backup-broken")
		mustNotRestore("a manifest changed, not its sum", pack(t, edit(t, good, "manifest.json", `"taken_at": "2`, `"taken_at": "1`)), problem.Malformed, "store.backup-broken")
		mustRestore(t, db, pack(t, sealed(t, good)))
	})
}

// What only PostgreSQL can tell is refused there.
func TestForgedValuesAreRefused(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		db := open(t, testkit.PostgresTemplate(t, "store", migrate), nil)
		good := unpack(t, sample(t))
		for _, c := range []struct{ in, old, new string }{
			{"links/000001.ndjson", `"n":0`, `"n":2147483648`},
			{"links/000001.ndjson", `"content_id":"`, `"content_id":"urn:uuid:`},
			{"users/000001.ndjson", `"o@b`, `"\u0000@b`},
			{"users/000001.ndjson", `"o@b.example"`, `{"base64":"/w=="}`},
			{"brands/000001.ndjson", `"languages":"[`, `"languages":"[[`},
			{"brands/000001.ndjson", `"languages":"[`, `"languages":"[\"\\u0000\",`},
		} {
			_, err := db.Restore(t.Context(), bytes.NewReader(pack(t, sealed(t, edit(t, good, c.in, c.old, c.new)))))
			refused(t, err, problem.Malformed, "store.backup-refused")
			mustBeEmpty(t, db)
		}
	})
}

func TestFilesOutOfPlaceAreRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		whole := sample(t)
		good := unpack(t, whole)
		at := func(name string) int { return slices.IndexFunc(good, func(f file) bool { return f.name == name }) }
		victim, last := at("permissions/000001.ndjson"), len(good)-1 // nothing refers to them
		rename := func(i int, name string) []file {
			all := slices.Clone(good)
			all[i].name = name
			return all
		}
		retype := func(i int, kind byte) []file {
			all := slices.Clone(good)
			all[i].kind, all[i].body = kind, ""
			return all
		}
		swap := slices.Clone(good)
		swap[victim], swap[victim+1] = swap[victim+1], swap[victim]
		empty := pack(t, nil)
		broken, foreign := "store.backup-broken", "store.backup-foreign"
		for name, c := range map[string]struct {
			file []byte
			key  string
		}{
			"nothing":             {nil, foreign},
			"text":                {[]byte("PGDMP, but not quite: a dump of something else"), foreign},
			"an empty archive":    {empty, foreign},
			"a foreign archive":   {pack(t, []file{{"README", "hello", tar.TypeReg}}), foreign},
			"gzip of nothing":     {[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"), foreign},
			"no manifest":         {pack(t, good[1:]), foreign},
			"a manifest alone":    {pack(t, good[:1]), broken},
			"manifest too long":   {pack(t, []file{{"manifest.json", strings.Repeat(" ", 2<<20), tar.TypeReg}}), broken},
			"manifest twice":      {pack(t, slices.Insert(slices.Clone(good), 1, good[0])), broken},
			"a part missing":      {pack(t, slices.Delete(slices.Clone(good), victim, victim+1)), broken},
			"a part twice":        {pack(t, slices.Insert(slices.Clone(good), victim, good[victim])), broken},
			"a number left out":   {pack(t, rename(victim, "permissions/000002.ndjson")), broken},
			"an unknown table":    {pack(t, rename(victim, "guests/000001.ndjson")), broken},
			"a path":              {pack(t, rename(victim, "../memberships/000001.ndjson")), broken},
			"parts exchanged":     {pack(t, swap), broken},
			"a folder":            {pack(t, retype(victim, tar.TypeDir)), broken},
			"no sums":             {pack(t, good[:last]), broken},
			"a file behind":       {pack(t, append(slices.Clone(good), file{"more", "", tar.TypeReg})), broken},
			"sums of fewer":       {pack(t, edit(t, good, "sums.json", `"name": "wordings"`, `"name": "words"`)), broken},
			"another gzip behind": {append(bytes.Clone(whole), empty...), broken},
			"a byte behind":       {append(bytes.Clone(whole), 0), broken},
		} {
			_, err := db.Restore(t.Context(), bytes.NewReader(c.file))
			if p, _ := problem.Of(err); p == nil || p.Kind != problem.Malformed || p.Key != c.key {
				t.Errorf("%s: %v, want %s", name, err, c.key)
			}
		}
		refused(t, func() error { _, err := db.Restore(t.Context(), bytes.NewReader(empty)); return err }(), problem.Malformed, foreign)
		mustBeEmpty(t, db)
		mustRestore(t, db, whole)
	})
}

// A disk that cannot be read is not the file's fault; nor is one that is full.
func TestFailuresOfTheDiskAreNoProblemsOfTheFile(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		whole, disk := sample(t), errors.New("input/output error")
		for _, n := range []int{0, 5, 600, len(whole) / 2, len(whole) - 3} {
			_, err := db.Restore(t.Context(), io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(disk)))
			if _, is := problem.Of(err); is || !errors.Is(err, disk) {
				t.Errorf("a disk that fails after %d bytes: %v", n, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		half := io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), readFunc(func([]byte) (int, error) { cancel(); return 0, ctx.Err() }))
		if _, err := db.Restore(ctx, half); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in the middle: %v", err)
		}
		mustBeEmpty(t, db)
		mustRestore(t, db, whole)
		for _, n := range []int{0, 20, 2000} {
			if _, err := db.Backup(t.Context(), &full{left: n}); !errors.Is(err, errFull) {
				t.Errorf("a disk full after %d bytes: %v", n, err)
			}
		}
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

var errFull = errors.New("no space left on device")

type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return f.left, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// ── at work ───────────────────────────────────────────────────────────────

// What is committed while a backup is taken is not in it, in no table.
func TestABackupIsOneMoment(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		insert(t, db, everything()...)
		want := dump(t, db)
		stop, stopped := make(chan struct{}), make(chan error, 1)
		var b bytes.Buffer
		writes := 0
		w := writeFunc(func(p []byte) (int, error) {
			if writes++; writes == 1 { // the manifest is written: rows come next
				addEverywhere(t, db, 0)
				go func() { stopped <- keepAdding(db, stop) }()
			}
			return b.Write(p)
		})
		s, err := db.Backup(t.Context(), w)
		close(stop)
		must(t, errors.Join(err, <-stopped))
		if n := len(dump(t, db)["wordings"]); n < len(want["wordings"])+2 {
			t.Fatalf("%d wordings: nothing was written during the backup", n)
		}
		to := open(t, testkit.SQLiteTemplate(t, "store", migrate), nil)
		mustRestore(t, to, b.Bytes())
		must(t, run(t, to, "DELETE FROM installation WHERE key = 'sending-paused'"))
		differ(t, dump(t, to), want)
		if int(s.Rows()) != func() (n int) {
			for _, rows := range want {
				n += len(rows)
			}
			return n
		}() {
			t.Errorf("%d rows", s.Rows())
		}
	})
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// addEverywhere adds rows to the first, a middle and the last table of a backup, in one transaction.
func addEverywhere(t testing.TB, db *store.DB, n int) {
	t.Helper()
	insert(t, db, added(n)...)
}

func added(n int) []record {
	return []record{
		{"brands", row{"id": id(200 + n), "slug": fmt.Sprint("n", n), "name": "", "postal_address": "", "sender_name": "", "sender_email": "", "language": "en",
			"languages": `[]`, "texts": `{}`, "time_zone": "UTC", "address_key": []byte{}, "created_at": usual, "updated_at": usual}},
		{"subscribers", row{"id": id(20000 + n), "brand_id": id(200 + n), "email": "", "address_hash": []byte{}, "language": "en", "attributes": `{}`, "created_at": usual, "updated_at": usual}},
		{"events", row{"id": id(40000 + n), "at": usual, "brand_id": id(200 + n), "kind": "k", "data": `{}`}},
		{"wordings", row{"hash": []byte(fmt.Sprint(n)), "language": "en", "text": "", "created_at": usual}},
	}
}

func keepAdding(db *store.DB, stop <-chan struct{}) error {
	for n := 1; ; n++ {
		err := db.Write(context.Background(), func(tx *store.Tx) error {
			for _, x := range added(n) {
				if err := tx.Table(x.table).Create(x.row).Error; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// Memory does not grow with the table.
func TestABackupIsStreamed(t *testing.T) {
	const n, allowed = 60_000, 24 << 20
	each(t, func(t *testing.T, db *store.DB) {
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Run(`WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < ?)
				INSERT INTO events (id, at, brand_id, subscriber_id, kind, source_id, message_id, data)
				SELECT assent_uuid7(1700000000000 + n), ?, ?, assent_uuid7(n), 'mail.sent', assent_uuid7(n), assent_uuid7(n), `+
				tx.Pick(`('{"x": "' || repeat(md5(n::text), 8) || '"}')::jsonb`, `'{"x": "' || hex(randomblob(128)) || '"}'`)+` FROM g`,
				n, tx.Pick("2023-11-14T22:13:20Z", "2023-11-14 22:13:20+00:00"), id(1))
			return err
		}))
		path := filepath.Join(t.TempDir(), "backup")
		f, err := os.Create(path)
		must(t, err)
		defer f.Close()
		heap, start := watchHeap(), time.Now()
		s, err := db.Backup(t.Context(), writeFunc(func(p []byte) (int, error) { heap.look(); return f.Write(p) }))
		must(t, err)
		took := time.Since(start)
		if s.Rows() != n || heap.grew() > allowed {
			t.Errorf("backing up %d rows took %d MiB", s.Rows(), heap.grew()>>20)
		}
		grewBackup := heap.grew()

		to := open(t, emptyURL(t, db), nil)
		_, err = f.Seek(0, io.SeekStart)
		must(t, err)
		heap, start = watchHeap(), time.Now()
		got, err := to.Restore(t.Context(), readFunc(func(p []byte) (int, error) { heap.look(); return f.Read(p) }))
		must(t, err)
		if got.Rows() != n || heap.grew() > allowed {
			t.Errorf("restoring %d rows took %d MiB", got.Rows(), heap.grew()>>20)
		}
		size, err := f.Seek(0, io.SeekEnd)
		must(t, err)
		t.Logf("%d rows, %d MiB: backup %v, %d MiB of heap; restore %v, %d MiB", n, size>>20, took, grewBackup>>20, time.Since(start), heap.grew()>>20)
		if c := count(t, to, "SELECT count(*) FROM events WHERE kind = 'mail.sent'"); c != n {
			t.Errorf("%d rows are there", c)
		}
	})
}

func emptyURL(t *testing.T, like *store.DB) string {
	if like.Dialect() == store.Postgres {
		return testkit.PostgresTemplate(t, "store", migrate)
	}
	return testkit.SQLiteTemplate(t, "store", migrate)
}

// heapWatch knows the most that lay on the heap, garbage and all.
type heapWatch struct {
	base, most uint64
	sample     []metrics.Sample
}

func watchHeap() *heapWatch {
	runtime.GC()
	runtime.GC() // the second ends the sweeping of the first
	h := &heapWatch{sample: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	h.look()
	h.base = h.most
	return h
}

func (h *heapWatch) look() {
	metrics.Read(h.sample)
	h.most = max(h.most, h.sample[0].Value.Uint64())
}

func (h *heapWatch) grew() int64 { return int64(h.most - h.base) }

// ── anything at all ───────────────────────────────────────────────────────

// FuzzRestore gives the bytes as a file, as an archive, and as the rows of a
// table under sums that fit. Either nothing is restored, and the fault is the
// file's, or what is restored can be backed up and restored again. Fuzz it with
// -fuzzminimizetime=1x: SQLite never takes quite the same way twice, and Go
// would look for the shortest input that does.
func FuzzRestore(f *testing.F) {
	blank, err := os.ReadFile(strings.TrimPrefix(testkit.SQLiteTemplate(f, "store", migrate), "sqlite:"))
	if err != nil {
		f.Fatal(err)
	}
	dir, opened := f.TempDir(), 0
	fresh := func(tb testing.TB) *store.DB {
		opened++
		path := filepath.Join(dir, fmt.Sprint(opened))
		if err := os.WriteFile(path, blank, 0o600); err != nil {
			tb.Fatal(err)
		}
		db, err := store.Open(context.Background(), "sqlite:"+path, store.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		return db
	}
	db := fresh(f)
	f.Cleanup(func() { db.Close() })
	bare, s := backup(f, db)
	empty := unpack(f, bare)
	anyRow := "SELECT 0"
	for _, x := range s.Tables {
		anyRow += ` OR EXISTS (SELECT 1 FROM "` + x.Name + `")`
	}
	f.Add(bare)
	plain, err := gunzip(bare)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, data []byte) {
		var zipped bytes.Buffer
		gz := gzip.NewWriter(&zipped)
		gz.Write(data)
		gz.Close()
		rows := slices.Insert(slices.Clone(empty), len(empty)-1, file{"wordings/000001.ndjson", string(data), tar.TypeReg})
		for _, whole := range [][]byte{data, zipped.Bytes(), pack(t, sealed(t, rows))} {
			s, err := db.Restore(t.Context(), bytes.NewReader(whole))
			if err != nil {
				if _, ok := problem.Of(err); !ok {
					t.Fatalf("not the file's fault: %v", err)
				}
				if n := count(t, db, anyRow); n != 0 {
					t.Fatalf("rows are there after: %v", err)
				}
				continue
			}
			again, one := backup(t, db)
			db.Close()
			db = fresh(f)
			mustRestore(t, db, again)
			if _, two := backup(t, db); !reflect.DeepEqual(one.Tables, two.Tables) || one.Rows() != s.Rows()+1 {
				t.Fatalf("restored %+v, then %+v, then %+v", s.Tables, one.Tables, two.Tables)
			}
			db.Close()
			db = fresh(f)
		}
	})
}
