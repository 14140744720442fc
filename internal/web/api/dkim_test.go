package api_test

import (
	"strings"
	"testing"
)

func TestKeysAreMadeAndRotated(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		first := h.get("/brand/dkim-keys").must(200).items()
		if len(first) != 1 || first[0]["state"] != "active" || first[0]["algorithm"] != "rsa" || strings.Contains(string(h.get("/brand/dkim-keys").raw), "rivate") {
			t.Fatalf("a new brand has the keys %v", first)
		}
		made := h.post("/brand/dkim-keys", map[string]any{"selector": "next"}).must(201)
		id, record := made.str("id"), made.object()["dns"].(map[string]any)
		if made.str("state") != "made" || record["name"] != "next._domainkey.north-tea.example" || record["type"] != "TXT" || !strings.HasPrefix(record["value"].(string), "v=DKIM1; k=rsa; p=MII") {
			t.Errorf("made %s", made.raw)
		}
		zone := record["zone"].(string)
		if parts := strings.Split(zone, `"`); len(parts) != 5 || len(parts[1]) != 255 || parts[1]+parts[3] != record["value"] || parts[0] != "next._domainkey.north-tea.example. IN TXT " {
			t.Errorf("the line for a zone file is %s", zone)
		}
		path := "/brand/dkim-keys/" + id
		if d := h.post(path+"/activate", nil).problem(409, "brand.dkim.unpublished"); !strings.Contains(d.Detail, "next._domainkey.north-tea.example") {
			t.Errorf("told %q", d.Detail)
		}
		if fa := h.ask(h.key, "POST", path+"/activate", nil, "Accept-Language", "fa").problem(409, "brand.dkim.unpublished"); !strings.Contains(fa.Detail, "رکورد") {
			t.Errorf("told in Persian %q", fa.Detail)
		}
		w.dns.TXT("next._domainkey.north-tea.example", "v=DKIM1; p=")
		h.post(path+"/activate", nil).problem(409, "brand.dkim.published-otherwise")
		w.dns.Break("next._domainkey.north-tea.example")
		h.post(path+"/activate", nil).problem(503, "brand.dkim.unseen")
		if h.get(path).str("state") != "made" {
			t.Error("activated without its record")
		}
		w.dns.Clear("next._domainkey.north-tea.example")
		w.dns.TXT("next._domainkey.north-tea.example", record["value"].(string))
		if h.post(path+"/activate", nil, "Idempotency-Key", "1").must(200).str("state") != "active" || h.post(path+"/activate", nil, "Idempotency-Key", "1").must(200).str("state") != "active" {
			t.Error("published, and not activated")
		}
		old := h.get("/brand/dkim-keys/" + first[0]["id"].(string)).must(200)
		if old.str("state") != "retired" || old.str("keep_record_until") != "2026-11-29T09:00:00Z" {
			t.Errorf("the key before is %s", old.raw)
		}
		h.ask(h.key, "DELETE", "/brand/dkim-keys/"+old.str("id"), nil).problem(409, "brand.dkim.keep")
		h.ask(h.key, "DELETE", path, nil).problem(409, "brand.dkim.in-use")
		h.post(path+"/retire", nil).problem(409, "brand.dkim.last")
		beside := h.post("/brand/dkim-keys", map[string]any{"algorithm": "ed25519"}).must(201)
		spare := beside.str("id")
		if beside.str("algorithm") != "ed25519" || !strings.HasPrefix(beside.str("selector"), "assent-") {
			t.Errorf("made %s", beside.raw)
		}
		h.post("/brand/dkim-keys/"+spare+"/retire", nil).problem(409, "brand.dkim.never-signed")
		h.ask(h.key, "DELETE", "/brand/dkim-keys/"+spare, nil).must(200)
		h.get("/brand/dkim-keys/"+spare).problem(404, "brand.dkim.unknown")
		h.post("/brand/dkim-keys/"+old.str("id")+"/activate?force=true", nil).must(200)
		h.post("/brand/dkim-keys/"+old.str("id")+"/retire?force=true", nil).must(200)
		h.post("/brand/dkim-keys", map[string]any{"algorithm": "dsa"}).problem(422, "problem.invalid")
	})
}

func TestTheRelayMaySign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		if b := h.get("/brand").must(200); b.str("signed_by") != "us" || len(b.object()["dns"].([]any)) != 1 {
			t.Errorf("a new brand is %s", b.raw)
		}
		b := h.ask(h.key, "PATCH", "/brand", map[string]any{"signed_by": "relay"}).must(200)
		if b.str("signed_by") != "relay" || b.object()["dns"] != nil {
			t.Errorf("now it is %s", b.raw)
		}
		h.ask(h.key, "PATCH", "/brand", map[string]any{"signed_by": "nobody"}).problem(422, "problem.invalid")
	})
}
