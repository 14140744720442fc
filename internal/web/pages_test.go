package web_test

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/problem"
	"assent/internal/web"
	"assent/internal/web/admin"
	"assent/internal/web/public"
	"assent/templates"
)

// sample is a page with data in it.
type sample struct {
	name string // of the picture
	page string
	data any
}

var (
	asked  = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)
	tehran = time.FixedZone("Asia/Tehran", int(3.5*3600))
)

// in picks the text of the language.
func in(lang, en, fa string) string {
	if lang == "fa" {
		return fa
	}
	return en
}

func frame(lang string) public.Frame {
	return public.Frame{
		Brand: in(lang, "Baharan Books", "کتاب بهاران"), Address: in(lang, "12 Enghelab Street, Tehran", "تهران، خیابان انقلاب، شمارهٔ ۱۲"),
		Website: "https://baharan.example/", Privacy: "https://baharan.example/privacy", Zone: tehran,
		Languages: []public.Language{{Code: "en", Name: "English", URL: "?lang=en", Current: lang == "en"}, {Code: "fa", Name: "فارسی", URL: "?lang=fa", Current: lang == "fa"}},
	}
}

func words(lang string) []string {
	return []string{
		in(lang, "Send me the Readers’ letter: new books and one essay. I can stop it at any time.\nAt most once a week", "نامهٔ خوانندگان را برایم بفرستید: کتاب‌های تازه و یک جستار. هر وقت بخواهم متوقفش می‌کنم.\nحداکثر هفته‌ای یک بار"),
		in(lang, "You may see whether I open the mails.", "می‌توانید ببینید نامه‌ها را باز می‌کنم یا نه."),
	}
}

func boxes(lang string) (topics, tracking []public.Box) {
	return []public.Box{
			{Name: "topic:letter", Wording: in(lang, "Send me the Readers’ letter: new books and one essay. I can stop it at any time.", "نامهٔ خوانندگان را برایم بفرستید: کتاب‌های تازه و یک جستار. هر وقت بخواهم متوقفش می‌کنم."), Promise: in(lang, "At most once a week", "حداکثر هفته‌ای یک بار")},
			{Name: "topic:offers", Wording: in(lang, "Send me special offers for readers.", "پیشنهادهای ویژهٔ خوانندگان را برایم بفرستید."), Promise: in(lang, "At most twice a month", "حداکثر ماهی دو بار")},
		}, []public.Box{
			{Name: "topic:opens", Wording: words(lang)[1]},
			{Name: "topic:clicks", Wording: in(lang, "You may see which links I follow.", "می‌توانید ببینید کدام پیوندها را دنبال می‌کنم.")},
		}
}

func form(lang string) public.Form {
	f := public.Form{Frame: frame(lang), Action: "/f/token", Token: "abc", Honeypot: "website",
		Title: in(lang, "Letters from Baharan", "نامه‌هایی از بهاران"), Intro: in(lang, "New books, one essay, now and then an offer. You choose.", "کتاب‌های تازه، یک جستار و گاهی یک پیشنهاد. انتخاب با شماست."),
		Fields: []public.Field{
			{Name: "email", Label: in(lang, "E-mail address", "نشانی ایمیل"), Type: "email", Autocomplete: "email", Required: true, MaxLength: 254},
			{Name: "name", Label: in(lang, "Your name", "نام شما"), Type: "text", Autocomplete: "name", Hint: in(lang, "As you like to be called", "همان‌گونه که دوست دارید صدایتان کنند")},
			{Name: "city", Label: in(lang, "City", "شهر"), Type: "select", Options: []public.Option{{Value: "thr", Label: in(lang, "Tehran", "تهران")}, {Value: "sh", Label: in(lang, "Shiraz", "شیراز"), Selected: true}}},
		}}
	f.Topics, f.Tracking = boxes(lang)
	return f
}

func wrongForm(lang string) public.Form {
	f := form(lang)
	f.Fields[0].Value, f.Fields[0].Error = "sara@example", in(lang, "This is not an e-mail address.", "این نشانی ایمیل نیست.")
	f.Fields[1].Error = in(lang, "This is too long.", "این بلند است.")
	f.TopicsError = in(lang, "Please choose at least one.", "لطفاً دست‌کم یکی را برگزینید.")
	f.Tracking[1].Checked = true
	f.Faults = []public.Fault{{Field: "email", Text: f.Fields[0].Error}, {Field: "name", Text: f.Fields[1].Error}, {Field: "topics", Text: f.TopicsError}}
	return f
}

func preferences(lang string) public.Preferences {
	return public.Preferences{Frame: frame(lang), Action: "/p/token", Email: "sara@example.org", Saved: i18n.For(lang).T("public.preferences.saved"),
		Topics: []public.Choice{
			{Name: "topic:letter", Title: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Wording: words(lang)[0], On: true, Since: asked, Until: asked.AddDate(2, 0, 0), Receipt: "/r/1"},
			{Name: "topic:offers", Title: in(lang, "Special offers", "پیشنهادهای ویژه"), Description: in(lang, "Books at a better price, for readers who come often.", "کتاب با بهای بهتر، برای خوانندگان همیشگی."), Wording: in(lang, "Send me special offers for readers.", "پیشنهادهای ویژهٔ خوانندگان را برایم بفرستید."), Promise: in(lang, "At most twice a month", "حداکثر ماهی دو بار")},
		},
		Tracking: []public.Choice{
			{Name: "topic:opens", Title: in(lang, "Opened mails", "باز شدن نامه"), Wording: words(lang)[1]},
			{Name: "topic:clicks", Title: in(lang, "Links followed", "کلیک روی پیوندها"), Wording: in(lang, "You may see which links I follow.", "می‌توانید ببینید کدام پیوندها را دنبال می‌کنم."), On: true, Since: asked},
		},
		Speaks: []public.Option{{Value: "en", Label: "English", Selected: lang == "en"}, {Value: "fa", Label: "فارسی", Selected: lang == "fa"}}}
}

func otherPreferences(lang, stopped string) public.Preferences {
	p := preferences(lang)
	p.Saved, p.Stopped, p.Waiting = "", stopped, "new@example.org"
	return p
}

func wrongAddress(lang string) public.Preferences {
	p := preferences(lang)
	p.Saved, p.NewEmail, p.EmailError = "", "new@", in(lang, "This is not an e-mail address.", "این نشانی ایمیل نیست.")
	return p
}

func why(lang, method string, given bool) public.Why {
	w := public.Why{Frame: frame(lang), Email: "sara@example.org", Subject: in(lang, "Your gift, Sara", "هدیهٔ شما، سارا"), SentAt: asked.AddDate(0, 0, 3), Topic: in(lang, "Special offers", "پیشنهادهای ویژه"),
		Leave: "/u/token", Preferences: "/p/token"}
	if given {
		w.Cause = in(lang, "The offer “Loyal readers”, for those with three orders or more", "پیشنهاد «خوانندگان همیشگی» برای کسانی که سه سفارش یا بیشتر داده‌اند")
		w.Given, w.Now, w.GivenAt, w.Method, w.Page, w.Words, w.Receipt = true, true, asked, method, "baharan.example/readers", words(lang)[0], "/r/1"
		w.Data = []public.Datum{{Name: in(lang, "Name", "نام"), Value: "Sara"}, {Name: in(lang, "Orders", "سفارش‌ها"), Value: i18n.For(lang).Number(5)}}
	}
	return w
}

// samples are all pages, full, in every state that changes what they say.
func samples(lang string) []sample {
	f := frame(lang)
	confirm := public.Confirm{Frame: f, Action: "/c/token", Name: in(lang, "Sara", "سارا"), Email: "sara@example.org", At: asked, Page: "baharan.example/readers", Words: words(lang), Until: asked.AddDate(0, 0, 3)}
	notMe, bare := confirm, confirm
	notMe.NotMe, bare.Name, bare.Page = true, "", ""
	done := public.ConfirmDone{Frame: f, Name: confirm.Name, Email: confirm.Email, At: asked, Words: words(lang), Preferences: "/p/token"}
	leave := public.Leave{Frame: f, Action: "/u/token", Email: confirm.Email, Topic: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Promise: in(lang, "At most once a week", "حداکثر هفته‌ای یک بار"), On: true, Preferences: "/p/token"}
	off := leave
	off.On = false
	still := []public.Standing{{Name: in(lang, "Special offers", "پیشنهادهای ویژه"), Promise: in(lang, "At most twice a month", "حداکثر ماهی دو بار")}}
	address := public.AddressConfirm{Frame: f, Action: "/c/token", Email: "new@example.org", Old: "sara@example.org", At: asked, Until: asked.AddDate(0, 0, 3)}
	strange := address
	strange.NotMe = true
	all := []sample{
		{"form", "public/form", form(lang)},
		{"form-wrong", "public/form", wrongForm(lang)},
		{"form-done", "public/form-done", public.FormDone{Frame: f, Form: "/f/token"}},
		{"confirm", "public/confirm", confirm},
		{"confirm-bare", "public/confirm", bare},
		{"confirm-not-me", "public/confirm", notMe},
		{"confirm-done", "public/confirm-done", done},
		{"confirm-already", "public/confirm-already", done},
		{"declined", "public/declined", public.Declined{Frame: f, Again: "/c/token", Until: asked.AddDate(0, 0, 3)}},
		{"notme-done", "public/notme-done", public.NotMe{Frame: f, Email: confirm.Email}},
		{"confirm-expired", "public/confirm-expired", public.Expired{Frame: f, Action: "/c/token"}},
		{"confirm-lapsed", "public/confirm-expired", public.Expired{Frame: f, Form: "/f/token"}},
		{"leave", "public/leave", leave},
		{"leave-off", "public/leave", off},
		{"leave-done", "public/leave-done", public.LeaveDone{Frame: f, Email: confirm.Email, Topic: leave.Topic, Still: still, Preferences: "/p/token"}},
		{"leave-done-all", "public/leave-done", public.LeaveDone{Frame: f, Email: confirm.Email, Preferences: "/p/token"}},
		{"preferences", "public/preferences", preferences(lang)},
		{"preferences-wrong", "public/preferences", wrongAddress(lang)},
		{"why", "public/why", why(lang, consent.MethodDoubleOptIn, true)},
		{"why-unknown", "public/why", why(lang, "", false)},
		{"view", "public/view", public.View{Frame: f, Subject: in(lang, "Your gift, Sara", "هدیهٔ شما، سارا"), From: f.Brand, At: asked, Body: "/body", Why: "/w/token", Leave: "/u/token", Preferences: "/p/token"}},
		{"address-confirm", "public/address-confirm", address},
		{"address-not-me", "public/address-confirm", strange},
		{"link", "public/link", struct {
			public.Frame
			URL string
		}{f, "https://baharan.example/books?list=new"}},
		{"address-done", "public/address-done", public.AddressDone{Frame: f, Email: address.Email, Preferences: "/p/token"}},
	}
	for _, reason := range []string{consent.HardBounce, consent.Complaint, consent.NotMe, consent.Manual} {
		all = append(all, sample{"preferences-" + reason, "public/preferences", otherPreferences(lang, reason)})
	}
	for kind := problem.Internal; kind <= problem.Unavailable; kind++ {
		all = append(all, sample{"error-" + kind.String(), "public/error", public.Error{Frame: f, Status: 404, Kind: kind.String(),
			Text: i18n.For(lang).T("problem." + kind.String()), Details: []string{in(lang, "One detail", "یک نکته")}, RequestID: "5f1c"}})
	}
	return append(all, deskSamples(lang)...)
}

func deskSamples(lang string) []sample {
	l := i18n.For(lang)
	f := admin.Frame{User: "mina@baharan.example", SignOut: "/admin/signout", Zone: tehran, Nav: []admin.NavItem{
		{Label: l.T("admin.nav.overview"), URL: "/admin", Current: true}, {Label: l.T("admin.nav.mailbox"), URL: "/mailbox", Count: 12}, {Label: l.T("admin.nav.api"), URL: "/api/docs"}}}
	for _, lang := range i18n.Languages {
		f.Languages = append(f.Languages, admin.Language{Code: lang, Name: i18n.For(lang).T("admin.language"), URL: "?lang=" + lang, Current: lang == l.Lang()})
	}
	dashboard := admin.Dashboard{Frame: f, Brand: in(lang, "Baharan Books", "کتاب بهاران"), Now: asked, People: 48210, Writable: 41388, New: 612, Left: 74,
		Messages: admin.States{Queued: 320, Claimed: 100, Sent: 118204, Failed: 81, Skipped: 940, Uncertain: 2},
		Topics:   []admin.Topic{{Name: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Promise: in(lang, "At most once a week", "حداکثر هفته‌ای یک بار"), Given: 41388, Asked: 214, Withdrawn: 2040}, {Name: in(lang, "Special offers", "پیشنهادهای ویژه"), Given: 9120, Asked: 80, Withdrawn: 311}},
		Events: []admin.Happening{{At: asked, Tone: "yes", Who: "sara@example.org", Text: in(lang, "Confirmed Readers’ letter", "نامهٔ خوانندگان را تأیید کرد"), Extra: in(lang, "two minutes after asking", "دو دقیقه پس از درخواست")},
			{At: asked, Tone: "ask", Who: "ali@example.org", Text: in(lang, "Asked for Special offers", "پیشنهادهای ویژه را خواست")}, {At: asked, Text: in(lang, "Bought for 23 €", "خرید کرد"), Who: "ana@example.org"}, {At: asked, Tone: "no", Text: in(lang, "Took back Readers’ letter", "نامهٔ خوانندگان را پس گرفت"), Who: "bob@example.org"}},
		Queues: []admin.Queue{{Name: "send", Waiting: 3, Active: 2, Later: 1, Oldest: 1400 * time.Millisecond}, {Name: "default"}}, Live: "/live"}
	mails := []admin.Mail{{URL: "/mailbox/2", From: "letters@baharan.example", To: "sara@example.org", Subject: in(lang, "May Baharan Books write to you?", "اجازه هست کتاب بهاران برایتان بنویسد؟"), At: asked, Selected: true},
		{URL: "/mailbox/1", From: "letters@baharan.example", To: "ali@example.org", Subject: "", At: asked.Add(-time.Hour)}}
	box := admin.Mailbox{Frame: f, Address: "127.0.0.1:2525", Action: "/mailbox", Mails: mails, Live: "/live"}
	sheet := admin.Sheet{Action: "/admin/b/baharan/topics/1", Page: "/admin/b/baharan/topics/1", Version: "2026-11-22T09:00:00Z", Drafts: "/admin/b/baharan/drafts", KeptAt: asked,
		Values: url.Values{"texts.en.name": {"Readers’ letter"}, "texts.fa.name": {"نامهٔ خوانندگان"}, "promise_max": {"1"}},
		Faults: []admin.Fault{{Name: "promise_days", Text: in(lang, "This is not a whole number.", "این عدد صحیح نیست.")}}}
	changed := admin.Sheet{Changed: true, Theirs: []admin.Theirs{{Label: in(lang, "Name", "نام"), Value: "Letter"}}}
	languages := []admin.LanguageFields{{Code: "en", Name: "English", Dir: "ltr", First: true}, {Code: "fa", Name: "فارسی", Dir: "rtl"}}
	desk := []sample{
		{"topics", "admin/topics", admin.Topics{Frame: f, New: "/new", Topics: []admin.TopicLine{{Topic: dashboard.Topics[0], URL: "/topics/1", Wording: in(lang, "Yes, write to me.", "بله، برایم بنویسید."), Valid: 365}, {Topic: dashboard.Topics[1], Archived: &asked}}}},
		{"topic", "admin/topic", admin.TopicForm{Frame: f, Sheet: sheet, Title: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Texts: languages, Archive: "/archive", Back: "/topics"}},
		{"topic-new", "admin/topic", admin.TopicForm{Frame: f, Sheet: changed, Title: in(lang, "New topic", "موضوع تازه"), New: true, Texts: languages, Back: "/topics"}},
		{"campaigns", "admin/campaigns", admin.Campaigns{Frame: f, New: "/new", Next: "/next", Campaigns: []admin.CampaignLine{
			{Name: in(lang, "November letter", "نامهٔ آبان"), URL: "/campaigns/1", Topic: dashboard.Topics[0].Name, Tag: "shop", State: in(lang, "Sent", "فرستاده شد"), Tone: "yes", When: in(lang, "yesterday", "دیروز"), Counted: true, Sent: 1204, Total: 1210}}}},
		{"campaign-form", "admin/campaign-form", admin.CampaignForm{Frame: f, Sheet: admin.Sheet{Action: "/new", Page: "/new", Drafts: "/drafts"}, Title: in(lang, "New campaign", "کارزار تازه"), Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name}}, Texts: languages, Back: "/campaigns"}},
		{"campaign", "admin/campaign", admin.CampaignPage{Frame: f, Title: in(lang, "November letter", "نامهٔ آبان"), State: in(lang, "Being sent", "در حال فرستادن"), Tone: "ask", Topic: dashboard.Topics[0].Name,
			Lead: in(lang, "1,204 of 1,210 have it.", "۱۲۰۴ نفر از ۱۲۱۰ نفر گرفته‌اند."), Live: "/live", Counted: true, Counts: dashboard.Messages, Held: []admin.ReasonLine{{Text: in(lang, "Quiet hours", "ساعت سکوت"), N: 14, Do: in(lang, "They go in the morning.", "صبح می‌روند.")}},
			Acts: []admin.CampaignAct{{ID: "pause", Label: in(lang, "Pause", "مکث"), To: "/pause", Sheet: sheet}}}},
		{"campaign-schedule", "admin/campaign-schedule", admin.SchedulePage{Frame: f, Title: in(lang, "November letter", "نامهٔ آبان"), Lead: in(lang, "1,204 people will get this at 09:00.", "۱۲۰۴ نفر این را ساعت ۹ می‌گیرند."), Sheet: admin.Sheet{Action: "/schedule", Page: "/schedule"}, Ask: "/schedule", Back: "/campaigns/1", People: 1204, ZoneName: "Asia/Tehran"}},
		{"imports", "admin/imports", admin.Imports{Frame: f, New: "/new", Next: "/next", Imports: []admin.ImportLine{{URL: "/imports/1", Name: "list.csv", State: in(lang, "done", "پایان‌یافته"), Tone: "yes", When: in(lang, "yesterday", "دیروز"), Begun: true, Rows: 1204, Recorded: 1100, Waiting: 12}, {URL: "/imports/2", Name: "new.csv", State: in(lang, "not begun", "آغازنشده"), Tone: "ask"}}}},
		{"import-new", "admin/import-new", admin.ImportUpload{Frame: f, Sheet: admin.Sheet{Action: "/imports/new", Faults: []admin.Fault{{Name: "file", Text: in(lang, "There is nothing in this file.", "در این پرونده چیزی نیست.")}}}, Back: "/imports", Most: 200}},
		{"import-plan", "admin/import-plan", admin.ImportPlan{Frame: f, Title: "list.csv", Lead: in(lang, "About 1,204 rows.", "نزدیک به ۱۲۰۴ ردیف."), Sheet: admin.Sheet{Action: "/plan", Values: url.Values{"column.0": {"email"}}, Faults: []admin.Fault{{Name: "topics", Text: in(lang, "Please choose.", "لطفاً برگزینید.")}, {Name: "attribute.column.0", Text: in(lang, "No name.", "نام نیست.")}}},
			Columns: []admin.ImportColumn{{N: 1, Name: "E-mail", Examples: []string{"sara@example.org"}, Field: "column.0", Attribute: "attribute.column.0"}, {N: 2, Field: "column.1", Attribute: "attribute.column.1"}}, Uses: []admin.Choice{{Value: "email", Label: in(lang, "e-mail", "ایمیل")}},
			Dates: []admin.Choice{{Value: "iso", Label: "x"}}, Same: []admin.SameFile{{URL: "/imports/1", Text: in(lang, "It was imported before.", "پیش‌تر آورده شده است.")}}, Ask: "?", Throw: "/throw", Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name, Hint: in(lang, "A year.", "یک سال.")}},
			EvidenceFields: admin.EvidenceFields{Bases: []admin.Choice{{Value: "explicit", Label: in(lang, "they said yes", "بله گفته‌اند")}}, Speaks: []admin.Choice{{Value: "en", Label: "English"}, {Value: "fa", Label: "فارسی"}}}}},
		{"import", "admin/import", admin.ImportPage{Frame: f, Title: "list.csv", State: in(lang, "being read", "در حال خواندن"), Tone: "ask", When: in(lang, "now", "اکنون"), Lead: in(lang, "1,204 rows read.", "۱۲۰۴ ردیف خوانده شد."), Live: "/live", Acts: []admin.CampaignAct{{ID: "act-stop", Label: in(lang, "Stop", "نگه دار"), To: "/stop"}}, Begun: true, Size: 4000, Place: 1000,
			Counts: importer.Counts{RowsRead: 1204, Recorded: 1100, Waiting: 100, Dropped: 2, Refused: 2}, Waiting: "/waiting", Topics: []string{dashboard.Topics[0].Name, dashboard.Topics[1].Name}, Basis: in(lang, "they said yes", "بله گفته‌اند"), Columns: []admin.ImportUse{{Name: "E-mail", Use: in(lang, "e-mail", "ایمیل")}}, Until: asked, Download: "/report", Next: "/next",
			Refusals: []admin.RefusalLine{{Line: 12, Place: "E-mail", Value: "sara@", Text: in(lang, "No address.", "نشانی نیست.")}, {Line: 14, Left: true, Text: in(lang, "Left.", "رفته است.")}}}},
		{"import-waiting", "admin/import-waiting", admin.ImportWaiting{Frame: f, Title: "list.csv", Lead: in(lang, "12 rows.", "۱۲ ردیف."), Until: asked, Topics: []string{dashboard.Topics[0].Name}, Sheet: &admin.Sheet{Action: "/waiting"}, Drop: "/drop", Ask: "?", Back: "/imports/1", First: "/first",
			Lines: []admin.WaitingLine{{Line: 12, Email: "sara@example.org", Name: "Sara", Lacks: in(lang, "the day is missing", "روز معلوم نیست")}}}},
		{"log", "admin/log", admin.AuditLog{Frame: f, Next: "/log?before=1", First: "/log", Deeds: []admin.DeedLine{{At: asked, Who: "Mina", Text: in(lang, "Made the topic", "موضوع را ساخت"), Name: "letter"}}}},
		{"parts", "admin/parts", admin.Parts{Frame: f, Sheet: sheet, Wrong: sheet, Changed: changed, Now: asked, Choices: []admin.Choice{{Value: "first", Label: in(lang, "The first", "نخست"), Hint: in(lang, "Usual.", "معمول.")}}}},
	}
	all := []sample{{"signin", "admin/signin", admin.SignIn{Action: "/admin/signin", Email: "mina@baharan.example", Next: "/admin", Languages: f.Languages}},
		{"signin-wrong", "admin/signin", admin.SignIn{Action: "/admin/signin", Email: "mina@baharan.example", Error: in(lang, "Address and password do not match.", "نشانی و گذرواژه با هم نمی‌خوانند.")}},
		{"dashboard", "admin/dashboard", dashboard}, {"mailbox", "admin/mailbox", box}}
	for _, view := range []string{"html", "text", "headers", "source"} {
		letter := admin.Letter{From: in(lang, "Baharan Books", "کتاب بهاران") + " <letters@baharan.example>", To: "sara@example.org", Subject: mails[0].Subject, At: asked, View: view, HTML: "/body",
			Text: in(lang, "Dear Sara,\n\nmay we write to you?", "سارای گرامی،\n\nاجازه هست برایتان بنویسیم؟"), Source: "Subject: =?utf-8?q?x?=\r\nTo: sara@example.org\r\n\r\nDear Sara",
			Headers: []admin.Header{{Name: "Subject", Value: mails[0].Subject}, {Name: "List-Unsubscribe", Value: "<https://mail.baharan.example/u/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789>"}}}
		for _, v := range []string{"html", "text", "headers", "source"} {
			letter.Tabs = append(letter.Tabs, admin.Tab{View: v, URL: "/mailbox/2?view=" + v, Current: v == view})
		}
		open := box
		open.Selected = &letter
		all = append(all, sample{"mailbox-" + view, "admin/mailbox", open})
	}
	return append(all, desk...)
}

// bare are all pages with nothing in them but what they cannot be without.
func bare() []sample {
	return []sample{
		{"", "public/form", public.Form{Title: "x"}}, {"", "public/form-done", public.FormDone{}},
		{"", "public/confirm", public.Confirm{}}, {"", "public/confirm", public.Confirm{NotMe: true}},
		{"", "public/confirm-done", public.ConfirmDone{}}, {"", "public/confirm-already", public.ConfirmDone{}},
		{"", "public/declined", public.Declined{}}, {"", "public/declined", public.Declined{Again: "/c/x"}},
		{"", "public/notme-done", public.NotMe{}}, {"", "public/confirm-expired", public.Expired{}},
		{"", "public/leave", public.Leave{}}, {"", "public/leave-done", public.LeaveDone{}},
		{"", "public/preferences", public.Preferences{}}, {"", "public/view", public.View{}},
		{"", "public/why", public.Why{}}, {"", "public/why", public.Why{Given: true, Method: consent.MethodAPI}},
		{"", "public/address-confirm", public.AddressConfirm{}}, {"", "public/address-done", public.AddressDone{}},
		{"", "public/error", public.Error{Kind: "internal"}},
		{"", "admin/signin", admin.SignIn{}}, {"", "admin/dashboard", admin.Dashboard{}},
		{"", "admin/topics", admin.Topics{}}, {"", "admin/topic", admin.TopicForm{}}, {"", "admin/log", admin.AuditLog{}}, {"", "admin/parts", admin.Parts{}},
		{"", "admin/mailbox", admin.Mailbox{}}, {"", "admin/mailbox", admin.Mailbox{Search: "x", Selected: &admin.Letter{}}},
		{"", "admin/mailbox", admin.Mailbox{Selected: &admin.Letter{View: "text"}}},
		{"", "admin/campaigns", admin.Campaigns{}}, {"", "admin/campaign-form", admin.CampaignForm{}}, {"", "admin/campaign", admin.CampaignPage{}}, {"", "admin/campaign-schedule", admin.SchedulePage{}},
		{"", "admin/people", admin.People{}}, {"", "admin/person", admin.Person{}}, {"", "admin/suppressions", admin.Suppressions{}}, {"", "admin/suppression", admin.Suppression{}},
		{"", "admin/imports", admin.Imports{}}, {"", "admin/import-new", admin.ImportUpload{}}, {"", "admin/import-plan", admin.ImportPlan{Title: "x"}}, {"", "admin/import", admin.ImportPage{Title: "x"}}, {"", "admin/import-waiting", admin.ImportWaiting{}},
	}
}

func renderer(t *testing.T) *web.Renderer {
	t.Helper()
	r, err := web.NewRenderer(templates.FS)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryPage draws every page in both languages, full and bare, and looks at
// what came out.
func TestEveryPage(t *testing.T) {
	r := renderer(t)
	for _, lang := range i18n.Languages {
		seen := map[string]bool{}
		for _, s := range append(samples(lang), bare()...) {
			seen[s.page] = true
			t.Run(lang+"/"+s.page+"/"+s.name, func(t *testing.T) {
				var b bytes.Buffer
				if err := r.Render(&b, s.page, i18n.For(lang), s.data); err != nil {
					t.Fatal(err)
				}
				inspect(t, lang, b.String())
			})
		}
		for _, name := range r.Names() {
			if !seen[name] && !strings.HasPrefix(name, "demo/") {
				t.Errorf("no test draws %s", name)
			}
		}
	}
}

// Every way in which a consent can have come about has its sentence.
func TestWhyKnowsEveryMethod(t *testing.T) {
	r := renderer(t)
	for _, method := range []string{consent.MethodForm, consent.MethodDoubleOptIn, consent.MethodPreferences, consent.MethodOneClick, consent.MethodUnsubscribe, consent.MethodComplaint,
		consent.MethodAPI, consent.MethodImport, consent.MethodOperator, consent.MethodLapse, consent.MethodNotMe, consent.MethodRequestExpired} {
		for _, lang := range i18n.Languages {
			var b bytes.Buffer
			if err := r.Render(&b, "public/why", i18n.For(lang), why(lang, method, true)); err != nil {
				t.Fatal(err)
			}
			inspect(t, lang, b.String())
		}
	}
}

// A box of a sign-up is never ticked unless the person ticked it.
func TestNothingIsTickedBeforehand(t *testing.T) {
	var b bytes.Buffer
	if err := renderer(t).Render(&b, "public/form", i18n.For("en"), form("en")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), " checked") {
		t.Error("a box is ticked beforehand")
	}
}

// keyless finds what a missing text leaves behind: its key.
var keyless = regexp.MustCompile(`(?:public|admin|problem|calendar)\.[a-z-]+(?:\.[a-z-]+)*|<no value>|%!|\{\{|\x{E000}`)

func inspect(t *testing.T, lang, page string) {
	t.Helper()
	if at := keyless.FindString(strings.ReplaceAll(page, "{{ subscriber.", "")); at != "" { // what a marketer is told to write
		t.Errorf("the page says %q", at)
	}
	closed(t, page)
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	d := dom{labels: map[string]bool{}, ids: map[string]int{}}
	d.walk(doc, false)
	if len(d.headings) == 0 || d.headings[0] != 1 || slices.Index(d.headings[1:], 1) >= 0 {
		t.Errorf("the headings are %v: a page begins with its one h1", d.headings)
	}
	for i := 1; i < len(d.headings); i++ {
		if d.headings[i] > d.headings[i-1]+1 {
			t.Errorf("the headings are %v: a level is left out", d.headings)
		}
	}
	if d.root["lang"] != lang || d.root["dir"] != i18n.For(lang).Dir() {
		t.Errorf("the page is %v", d.root)
	}
	if d.title == "" {
		t.Error("the page has no title")
	}
	for id, n := range d.ids {
		if n > 1 {
			t.Errorf("the id %s is there %d times", id, n)
		}
	}
	for _, in := range d.inputs {
		if id := in["id"]; in["type"] != "hidden" && in["in label"] == "" && in["aria-label"] == "" && (id == "" || !d.labels[id]) {
			t.Errorf("no label for %v", in)
		}
	}
	for _, ref := range d.refs {
		if d.ids[ref] == 0 {
			t.Errorf("something points to %q, which is not there", ref)
		}
	}
	if lang == "fa" && regexp.MustCompile(`>[^<]*\d{2,}[^<]*<`).MatchString(withoutForeign(page)) {
		t.Errorf("a Persian page has digits of another script: %s", regexp.MustCompile(`>[^<]*\d{2,}[^<]*<`).FindString(withoutForeign(page)))
	}
}

// withoutForeign leaves out what may have digits as they came: addresses,
// codes and the sources of mails.
func withoutForeign(page string) string {
	return regexp.MustCompile(`(?s)<bdi dir="ltr".*?</bdi>|<pre.*?</pre>|<table class="headers".*?</table>`).ReplaceAllString(page, "")
}

type dom struct {
	root     map[string]string
	title    string
	headings []int
	inputs   []map[string]string
	labels   map[string]bool
	ids      map[string]int
	refs     []string
}

func (d *dom) walk(n *html.Node, inLabel bool) {
	attrs := map[string]string{}
	for _, a := range n.Attr {
		attrs[a.Key] = a.Val
	}
	if n.Type == html.ElementNode {
		d.note(n, attrs, inLabel)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		d.walk(c, inLabel || n.Data == "label")
	}
}

func (d *dom) note(n *html.Node, attrs map[string]string, inLabel bool) {
	if id := attrs["id"]; id != "" {
		d.ids[id]++
	}
	for _, ref := range []string{"aria-describedby", "aria-labelledby"} {
		d.refs = append(d.refs, strings.Fields(attrs[ref])...)
	}
	if to, ok := strings.CutPrefix(attrs["href"], "#"); ok {
		d.refs = append(d.refs, to)
	}
	switch n.Data {
	case "html":
		d.root = attrs
	case "title":
		if n.FirstChild != nil {
			d.title = n.FirstChild.Data
		}
	case "h1", "h2", "h3":
		level, _ := strconv.Atoi(n.Data[1:])
		d.headings = append(d.headings, level)
	case "label":
		d.labels[attrs["for"]] = true
	case "input", "select", "textarea":
		if inLabel {
			attrs["in label"] = "yes"
		}
		d.inputs = append(d.inputs, attrs)
	}
}

// void elements have no end; those that may be left open are not left open here.
var void = strings.Fields("meta link input br img hr")

// closed holds that every element that begins also ends, in its order: what a
// browser would mend silently is a slip here.
func closed(t *testing.T, page string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("left open: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}
