package api_test

import (
	"strings"
	"testing"
)

// part gives the findings about a part, as state and code.
func part(r response, name string) string {
	r.t.Helper()
	var all []string
	for _, f := range r.object()["findings"].([]any) {
		if f := f.(map[string]any); f["part"] == name {
			all = append(all, f["state"].(string)+" "+f["code"].(string))
		}
	}
	return strings.Join(all, "; ")
}

func TestDomainCheck(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		before := w.tables()
		bare := h.get("/brand/domain-check").must(200)
		if bare.str("domain") != "north-tea.example" || bare.str("state") != "missing" || bare.str("checked_at") != "2026-11-22T09:00:00Z" {
			t.Errorf("an empty DNS is told as %s", bare.raw)
		}
		for name, want := range map[string]string{"spf": "missing mailauth.spf.missing", "dkim": "missing mailauth.dkim.missing", "dmarc": "missing mailauth.dmarc.missing", "mx": "missing mailauth.mx.missing", "tls": "ok mailauth.tls.local", "ptr": ""} {
			if got := part(bare, name); got != want {
				t.Errorf("%s: %s", name, got)
			}
		}
		for _, f := range bare.object()["findings"].([]any) { // what is told to be published is published
			f := f.(map[string]any)
			record, ok := f["publish"].(map[string]any)
			if ok && !strings.Contains(record["zone"].(string), record["name"].(string)+". IN TXT \"v=") {
				t.Errorf("the line for a zone file is %v", record["zone"])
			}
			if ok {
				w.dns.TXT(record["name"].(string), record["value"].(string))
			}
			if f["state"] != "ok" && f["fix"] == nil {
				t.Errorf("nothing to do about %v", f)
			}
		}
		w.dns.TXT("north-tea.example", "v=spf1 ip4:198.51.100.7 -all")
		w.dns.MX("north-tea.example", "10 mx.north-tea.example")
		w.dns.Host("mx.north-tea.example", "198.51.100.8")
		w.dns.PTR("198.51.100.7", "mail.north-tea.example")
		w.dns.Host("mail.north-tea.example", "198.51.100.7")
		if well := h.get("/brand/domain-check?source=198.51.100.7").must(200); well.str("state") != "ok" || part(well, "ptr") != "ok mailauth.ptr.ok" || part(well, "spf") != "ok mailauth.spf.ok; ok mailauth.spf.source-pass" {
			t.Errorf("a whole DNS is told as %s", well.raw)
		}
		fa := h.ask(h.key, "GET", "/brand/domain-check?source=198.51.100.9,198.51.100.7", nil, "Accept-Language", "fa").must(200)
		if got := part(fa, "spf"); got != "ok mailauth.spf.ok; ok mailauth.spf.source-pass; wrong mailauth.spf.source-fail" || !strings.Contains(string(fa.raw), "اجازه نمی‌دهد") || !strings.Contains(string(fa.raw), "v=spf1 ip4:198.51.100.9 ip4:198.51.100.7 -all") {
			t.Errorf("another address is told as %s: %s", got, fa.raw)
		}
		if after := w.tables(); after != before {
			t.Errorf("looking changed something:\n%s\n%s", before, after)
		}
	})
}

func TestDomainCheckIsSparing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		for range 3 {
			h.get("/brand/domain-check").must(200)
		}
		r := h.get("/brand/domain-check")
		r.problem(429, "problem.too-many")
		if r.header.Get("Retry-After") == "" {
			t.Error("does not say when to come back")
		}
		other := w.house(h.root, "south-tea")
		other.get("/brand/domain-check?source=10.0.0.1").must(200)
		for _, source := range []string{"north", "192.0.2.1/24", "fe80::1%25eth0", strings.Repeat("192.0.2.1,", 11)} {
			if r := other.get("/brand/domain-check?source=" + source); r.status != 422 && r.status != 429 {
				t.Errorf("%s answers %d: %s", source, r.status, r.raw)
			}
		}
	})
}
