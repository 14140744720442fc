package compose

import (
	"flag"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assent/internal/i18n"
)

var update = flag.Bool("update", false, "rewrite the golden mails")

var someDay = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)

func envelope(lang string) Envelope {
	env := Envelope{
		From: Address{"Baharan Books", "letters@baharan.example"}, To: Address{"Sara Kamali", "sara@example.org"},
		ReplyTo:   Address{"", "hello@baharan.example"},
		MessageID: "0193a1c2-7b1e-7000-8000-000000000001@baharan.example", Date: someDay, Language: lang,
		Brand: Brand{Name: "Baharan Books", PostalAddress: "12 Enghelab Street, Tehran", Website: "https://baharan.example/", PrivacyURL: "https://baharan.example/privacy"},
		Topic: "Readers’ letter",
		Leave: "https://mail.baharan.example/u/leave-token", Preferences: "https://mail.baharan.example/p/preferences-token",
		Why: "https://mail.baharan.example/w/why-token", View: "https://mail.baharan.example/v/view-token",
		OneClick: true, ListID: "readers.baharan.example", FeedbackID: "c1:baharan:campaign:assent", Bulk: true,
	}
	if lang == "fa" {
		env.From.Name, env.To.Name = "کتاب بهاران", "سارا کمالی"
		env.Brand.Name, env.Brand.PostalAddress = "کتاب بهاران", "تهران، خیابان انقلاب، شمارهٔ ۱۲"
		env.Topic = "نامهٔ خوانندگان"
	}
	return env
}

var letters = map[string]Content{
	"en": {
		Language: "en", Subject: "Three books for {{ person.first_name | default: 'you' }}", Preheader: "And one essay.",
		HTML: `<h1 style="margin:0 0 16px;font-size:24px;line-height:1.4">Good morning{% if person.first_name %}, {{ person.first_name }}{% endif %}</h1>
<p style="margin:0 0 16px">Three books came in this week that you may like.</p>
<ul>{% for book in books %}<li><a href="https://baharan.example/b?id={{ book.id }}">{{ book.title }}</a></li>{% endfor %}</ul>
<p style="margin:0 0 16px">All of them are on <a href="https://baharan.example/new?from=letter&amp;week=47">the table by the door</a>.</p>
<p style="margin:0">Yours, <a href="mailto:hello@baharan.example">the booksellers</a></p>`,
	},
	"fa": {
		Language: "fa", Subject: "سه کتاب برای {{ person.first_name | default: 'شما' }}", Preheader: "و یک جستار.",
		HTML: `<h1 style="margin:0 0 16px;font-size:24px;line-height:1.6">{{ person.first_name }} جان، صبح به‌خیر</h1>
<p style="margin:0 0 16px">این هفته سه کتاب رسید که شاید دوست بدارید.</p>
<ul>{% for book in books %}<li><a href="https://baharan.example/b?id={{ book.id }}">{{ book.title }}</a></li>{% endfor %}</ul>
<p style="margin:0 0 16px">همه روی <a href="https://baharan.example/new?from=letter&amp;week=47">میز کنار در</a> است.</p>
<p style="margin:0">با مهر، <a href="mailto:hello@baharan.example">کتاب‌فروش‌ها</a></p>`,
	},
}

func reader(lang string) map[string]any {
	if lang == "fa" {
		return map[string]any{"person": map[string]any{"first_name": "سارا"}, "books": []any{
			map[string]any{"id": 7, "title": "بوف کور"}, map[string]any{"id": 8, "title": "سووشون"}, map[string]any{"id": 9, "title": "شازده احتجاب"}}}
	}
	return map[string]any{"person": map[string]any{"first_name": "Sara"}, "books": []any{
		map[string]any{"id": 7, "title": "The Blind Owl"}, map[string]any{"id": 8, "title": "Savushun <1969>"}, map[string]any{"id": 9, "title": "Prince Ehtejab"}}}
}

func asked(lang string) map[string]any {
	tehran := time.FixedZone("Asia/Tehran", 3*3600+1800)
	v := map[string]any{
		"name": "Sara", "page": "baharan.example/readers", "ip": "203.0.113.7", "requested_at": i18n.For(lang).DateTime(someDay, tehran),
		"wordings":    []string{"Send me the Readers’ letter: new books and one essay, at most once a week. I can stop it at any time."},
		"confirm_url": "https://mail.baharan.example/c/confirm-token", "not_me_url": "https://mail.baharan.example/c/confirm-token#no",
		"preferences_url": "https://mail.baharan.example/p/preferences-token",
		"checkpoint":      "mail.baharan.example/log\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— mail.baharan.example/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
		"old_address":     "sara@old.example", "new_address": "sara@new.example",
		"kind": i18n.For(lang).T("privacy.kind.correction"), "due_at": i18n.For(lang).Date(someDay.AddDate(0, 0, 7), tehran), "outcome": "refused", "answer": "First line.\nSecond line.",
		"data_url": "https://mail.baharan.example/p/token/data", "requests_url": "https://mail.baharan.example/admin/b/baharan/requests/1",
		"by": "Mina", "role": i18n.For(lang).T("admin.role.marketer"), "until": i18n.For(lang).Date(someDay.AddDate(0, 0, 7), tehran), "link_url": "https://mail.baharan.example/admin/invitation/invitation-token",
		"source": "Readers’ letter", "wish": "Letters from translators", "reason": "complaints", "stopped": true, "sent": 4000, "tried": 4100, "hard_bounces": 20, "complaints": 12, "policy_refusals": 0,
		"asked": 812, "answered": 3, "disowned": 21, "span": "day", "seen": 41, "seen_of": 12345, "usual": 20, "usual_of": 45678, "alarms_url": "https://mail.baharan.example/admin/b/baharan/alarms",
	}
	if lang == "fa" {
		v["name"], v["by"], v["source"] = "سارا", "مینا", "نامهٔ خوانندگان"
		v["wordings"] = []string{"نامهٔ خوانندگان را برایم بفرستید: کتاب‌های تازه و یک جستار، حداکثر هفته‌ای یک بار. هر وقت بخواهم متوقفش می‌کنم.",
			"می‌پذیرم که باز شدن نامه‌ها شمرده شود."}
	}
	return v
}

func mustCompile(t testing.TB, c Content) *Compiled {
	t.Helper()
	compiled, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func goldenMails(t *testing.T) map[string][]byte {
	mails := map[string][]byte{}
	for _, lang := range i18n.Languages {
		for _, name := range SystemMails {
			raw, err := System(name, lang, envelope(lang), asked(lang))
			if err != nil {
				t.Fatal(name, lang, err)
			}
			mails[name+"."+lang] = raw
		}
		env := envelope(lang)
		env.PixelURL = "https://mail.baharan.example/o/pixel-token"
		env.Link = func(int) string { return "https://mail.baharan.example/l/click-token" }
		raw, err := mustCompile(t, letters[lang]).Message(env, reader(lang))
		if err != nil {
			t.Fatal(lang, err)
		}
		mails["marketing."+lang] = raw
		env.Brand.Logo = Logo{"https://mail.baharan.example/logo/0123456789abcdef0123456789abcdef.png", 192, 64}
		if mails["logo."+lang], err = mustCompile(t, letters[lang]).Message(env, reader(lang)); err != nil {
			t.Fatal(lang, err)
		}
	}
	return mails
}

func TestGoldenMails(t *testing.T) {
	for name, raw := range goldenMails(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(path, raw, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != string(raw) {
				t.Errorf("%s has changed; look at it, then run with -update", path)
			}
			if _, err := mail.ReadMessage(strings.NewReader(string(raw))); err != nil {
				t.Error(err)
			}
		})
	}
}
