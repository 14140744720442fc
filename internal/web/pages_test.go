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
	"assent/internal/privacy"
	"assent/internal/problem"
	"assent/internal/receipt"
	"assent/internal/signup"
	"assent/internal/web"
	"assent/internal/web/admin"
	"assent/internal/web/admin/help"
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

func proveForm(lang string) public.Form {
	f := form(lang)
	f.Prove = &public.Prove{Challenge: "{}", Settings: `{"strings":{},"language":"en"}`}
	return f
}

func waitForm(lang string) public.Form {
	f, l := form(lang), i18n.For(lang)
	f.Prove = &public.Prove{Wait: "abc", Seconds: 20, Note: l.T("public.prove.wait-more"),
		Question: l.T("public.prove.question", "A", l.T("public.prove.number.3"), "B", l.T("public.prove.number.4"))}
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

// centre are the pages below a person's choices.
func centre(lang string) []sample {
	f, email, back := frame(lang), "sara@example.org", "../token"
	letter, offers := in(lang, "Readers’ letter", "نامهٔ خوانندگان"), in(lang, "Special offers", "پیشنهادهای ویژه")
	l := i18n.For(lang)
	often := public.Often{Frame: f, Action: "often", Back: back, Email: email, Answer: l.T("public.centre.answer.none", "Brand", f.Brand), Saved: l.T("public.often.saved"),
		Topics: []public.OftenTopic{
			{Name: "topic:letter", Title: letter, Now: "x", Paused: asked.AddDate(0, 1, 0), Rates: []public.Option{{Value: "1/7", Label: in(lang, "As promised: Once a week at most", "همان که قول داده شده: حداکثر هفته‌ای یک بار"), Selected: true}, {Value: "1/30", Label: in(lang, "Once a month at most", "حداکثر ماهی یک بار")}}},
			{Name: "topic:offers", Title: offers, Rates: []public.Option{{Value: "0/0", Label: l.T("public.often.promised", "Promise", l.T("public.often.open")), Selected: true}}}},
		Presets: []public.Option{{Value: "7", Label: l.T("public.often.for.7", "Until", l.Date(asked, tehran))}, {Value: "30", Label: l.T("public.often.for.30", "Until", l.Date(asked, tehran))}},
		Soonest: l.Day(asked, tehran), Latest: l.Day(asked.AddDate(1, 0, 0), tehran)}
	wrong := often
	wrong.Saved, wrong.Wrong, wrong.For, wrong.Until, wrong.UntilError = "", l.T("consent.promise-more"), "day", "13", l.T("consent.pause")
	about := public.About{Frame: f, Action: "about", Back: back, Groups: "groups", Email: email, Contact: "letters@baharan.example", Tags: 2,
		Fields: []public.Field{{Name: "name", Label: in(lang, "Name", "نام"), Type: "text", Value: in(lang, "Sara", "سارا"), Autocomplete: "name"},
			{Name: "city", Label: in(lang, "City", "شهر"), Type: "select", Options: []public.Option{{Value: "tehran", Label: in(lang, "Tehran", "تهران"), Selected: true}}},
			{Name: "time_zone", Label: l.T("public.about.zone"), Type: "text", Hint: l.T("public.about.zone-hint", "Zone", "Asia/Tehran"), Error: in(lang, "There is no such zone.", "چنین منطقه‌ای نیست.")}},
		Faults: []public.Fault{{Field: "time_zone", Text: in(lang, "There is no such zone.", "چنین منطقه‌ای نیست.")}},
		Others: []public.Datum{{Name: l.T("public.about.customer"), Value: l.Date(asked, tehran)}}}
	groups := public.Groups{Frame: f, Action: "groups", Back: back, Email: email,
		Tags: []public.Group{{Name: in(lang, "tehran", "تهرانی"), Uses: []string{l.T("public.groups.letter", "Topic", letter, "At", l.Date(asked, tehran))}}, {Name: in(lang, "regulars", "همیشگی")}},
		Offers: []public.Rule{{Title: in(lang, "A gift", "یک هدیه"), Rule: l.N("public.rule.orders", 3) + l.T("public.rule.or") + l.N("public.rule.months", 12), Meets: true,
			Known: []public.Datum{{Name: l.T("public.rule.your-orders"), Value: l.Number(5)}}}, {Title: in(lang, "Another", "یکی دیگر"), Rule: l.N("public.rule.orders", 1), Has: true}, {Title: in(lang, "A third", "سومی"), Rule: l.N("public.rule.months", 1)}},
		Series: []string{l.T("public.groups.series", "Topic", letter, "At", l.Date(asked, tehran), "Had", 1, "Mails", 3)}}
	objected := public.Groups{Frame: f, Action: "groups", Back: back, Email: email, Objected: asked, Saved: l.T("public.groups.objected-now")}
	mails := public.Mails{Frame: f, Back: back, Email: email, Older: "mails?before=x", Newer: "mails", Mails: []public.MailLine{
		{Subject: in(lang, "Your gift, Sara", "هدیهٔ شما، سارا"), At: asked, Topic: offers, View: "/v/token", Why: "/w/token"}, {Subject: l.T("public.mail.confirm"), At: asked, Why: "/w/token"}}}
	reader := preferences(lang)
	reader.Saved, reader.Answer = "", l.T("public.centre.answer.most", "Topics", l.N("public.centre.topics", 1), "Most", l.N("public.centre.month", 1))
	reader.Topics[0].Often, reader.Topics[0].Paused = in(lang, "Once a month at most", "حداکثر ماهی یک بار"), asked.AddDate(0, 1, 0)
	chosen := why(lang, consent.MethodDoubleOptIn, true)
	chosen.Place, chosen.Matched = l.T("public.why.place", "Place", 2, "Max", 3, "Days", 7), []public.Datum{{Name: l.T("public.rule.your-orders"), Value: l.Number(5)}}
	service := why(lang, "", false)
	service.Topic, service.Service = "", l.T("public.why.service.confirm", "Brand", f.Brand)
	return []sample{{"often", "public/often", often}, {"often-wrong", "public/often", wrong}, {"often-none", "public/often", public.Often{Frame: f, Action: "often", Back: back, Email: email}},
		{"about", "public/about", about}, {"groups", "public/groups", groups}, {"groups-objected", "public/groups", objected}, {"mails", "public/mails", mails},
		{"preferences-less", "public/preferences", reader}, {"why-rule", "public/why", chosen}, {"why-service", "public/why", service}}
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

func theirRequests(lang string) []public.Asked {
	l := i18n.For(lang)
	return []public.Asked{
		{Kind: l.T("privacy.kind.correction"), At: asked, Due: asked.AddDate(0, 1, 0), State: l.T("privacy.open"), Open: true},
		{Kind: l.T("privacy.kind.access"), At: asked, Due: asked.AddDate(0, 1, 0), Closed: asked.AddDate(0, 0, 3), State: l.T("privacy.outcome.done")},
	}
}

func askForm(lang, wrong string) public.AskForm {
	l := i18n.For(lang)
	a := public.AskForm{Frame: frame(lang), Email: "sara@example.org", Action: "request", Data: "data", Text: in(lang, "My name is spelled Sarah.", "نامم را درست بنویسید."), KindError: wrong, TextError: wrong}
	for _, k := range []string{"correction", "objection", "access", "portability"} {
		a.Kinds = append(a.Kinds, public.Ask{Value: k, Label: l.T("privacy.kind." + k), Hint: l.T("privacy.kind." + k + ".text"), Selected: wrong == "" && k == "correction"})
	}
	return a
}

// samples are all pages, full, in every state that changes what they say.
func samples(lang string) []sample {
	f := frame(lang)
	confirm := public.Confirm{Frame: f, Action: "/c/token", Name: in(lang, "Sara", "سارا"), Email: "sara@example.org", At: asked, Page: "baharan.example/readers", Words: words(lang), Until: asked.AddDate(0, 0, 3)}
	notMe, bare := confirm, confirm
	notMe.NotMe, bare.Name, bare.Page = true, "", ""
	done := public.ConfirmDone{Frame: f, Name: confirm.Name, Email: confirm.Email, At: asked, Words: words(lang), Preferences: "/p/token",
		Receipts: []public.ReceiptLink{{Topic: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), URL: "/r/token"}}}
	l := i18n.For(lang)
	var tracks []public.TrackingChoice
	for _, slug := range []string{"opens", "clicks"} {
		tracks = append(tracks, public.TrackingChoice{Slug: slug, Title: l.T("consent." + slug + ".name"), Description: l.T("consent."+slug+".description", "Brand", f.Brand), Wording: l.T("consent."+slug+".wording", "Brand", f.Brand)})
	}
	ask := public.TrackingAsk{Action: "/p/token/tracking", Words: lang + ":00", Asked: tracks}
	invited := confirm
	invited.By, invited.Page = in(lang, "Mina", "مینا"), ""
	ideas := []public.IdeaLine{{ID: "1", Title: in(lang, "Letters from translators", "نامه‌های مترجمان"), Reason: in(lang, "They know both sides.", "هر دو سو را می‌شناسند."), State: "shared", Tone: "ask", Seconds: 12, Own: true, Seconded: true},
		{ID: "2", Title: in(lang, "Poetry", "شعر"), Reason: in(lang, "There is none.", "هیچ نیست."), State: "answered", Tone: "no", Answer: in(lang, "We know too little of it.", "از آن کم می‌دانیم."), Seconds: 1}}
	askedDone, stand := done, slices.Clone(tracks)
	askedDone.Ask = ask
	stand[0].On, stand[0].Since, stand[1].No = true, asked, true
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
		{"form-prove", "public/form", proveForm(lang)},
		{"form-wait", "public/form", waitForm(lang)},
		{"confirm-second", "public/confirm-second", public.ConfirmSecond{Frame: frame(lang), Action: "/c/token", Email: "sara@example.org",
			Topics: []signup.Named{{Name: in(lang, "Readers’ letter", "نامهٔ خوانندگان")}, {Name: in(lang, "Special offers", "پیشنهادهای ویژه")}}}},
		{"form-done", "public/form-done", public.FormDone{Frame: f, Form: "/f/token"}},
		{"confirm", "public/confirm", confirm},
		{"confirm-bare", "public/confirm", bare},
		{"confirm-not-me", "public/confirm", notMe},
		{"confirm-done", "public/confirm-done", done},
		{"confirm-done-asked", "public/confirm-done", askedDone},
		{"tracking", "public/tracking", public.Tracking{Frame: f, Email: confirm.Email, Ask: ask, Stand: ask.Asked, Preferences: "/p/token"}},
		{"tracking-later", "public/tracking", public.Tracking{Frame: f, Email: confirm.Email, Ask: ask, Later: true, Stand: stand, Preferences: "/p/token"}},
		{"tracking-saved", "public/tracking", public.Tracking{Frame: f, Email: confirm.Email, Ask: ask, Saved: true, Stand: stand, Preferences: "/p/token"}},
		{"confirm-already", "public/confirm-already", done},
		{"keep", "public/keep", public.Keep{Frame: f, Action: "/k/token", Kind: "renewal", Email: confirm.Email, Words: confirm.Words, Until: asked.AddDate(0, 0, 14), Preferences: "/p/token"}},
		{"keep-changed", "public/keep", public.Keep{Frame: f, Action: "/k/token", Kind: "purpose", Email: confirm.Email, Words: confirm.Words, Preferences: "/p/token"}},
		{"keep-imported", "public/keep", public.Keep{Frame: f, Action: "/k/token", Kind: "import", Email: confirm.Email, Words: confirm.Words, Preferences: "/p/token"}},
		{"keep-yes", "public/keep-done", public.Keep{Frame: f, State: "yes", Words: confirm.Words, Preferences: "/p/token"}},
		{"keep-no", "public/keep-done", public.Keep{Frame: f, State: "no", Preferences: "/p/token"}},
		{"keep-over", "public/keep-done", public.Keep{Frame: f, State: "over", Preferences: "/p/token"}},
		{"keep-left", "public/keep-done", public.Keep{Frame: f, State: "left", Preferences: "/p/token"}},
		{"confirm-invited", "public/confirm", invited},
		{"ideas", "public/ideas", public.Ideas{Frame: f, Action: "ideas", Email: confirm.Email, Intro: in(lang, "Tell us what is missing.", "بگویید چه کم است."), Member: true, Left: 2, Shared: ideas, Mine: ideas, Preferences: "/p/token"}},
		{"ideas-wrong", "public/ideas", public.Ideas{Frame: f, Action: "ideas", Email: confirm.Email, Member: true, Left: 2, TitleError: l.T("problem.field.required"), Fault: l.T("problem.invalid"), Preferences: "/p/token"}},
		{"invite", "public/invite", public.Invite{Frame: f, Action: "invite", Email: confirm.Email, Member: true, Left: 4, Topics: []public.Box{{Name: "topic:news", Wording: words(lang)[0]}}, Preferences: "/p/token"}},
		{"invite-sent", "public/invite", public.Invite{Frame: f, Action: "invite", Email: confirm.Email, Member: true, Saved: l.T("public.invite.sent"), Preferences: "/p/token"}},
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
		{"data", "public/data", public.PersonalData{Frame: f, Email: confirm.Email, Action: "data", Ask: "request", Forget: "forget", Preferences: "/p/token", Requests: theirRequests(lang)}},
		{"data-none", "public/data", public.PersonalData{Frame: f, Email: confirm.Email, Action: "data", Ask: "request", Forget: "forget", Preferences: "/p/token"}},
		{"forget", "public/forget", public.Forget{Frame: f, Email: confirm.Email, Action: "forget", Data: "data", Preferences: "/p/token"}},
		{"forgotten", "public/forgotten", public.Forgotten{Frame: f}},
		{"request", "public/request", askForm(lang, "")},
		{"request-wrong", "public/request", askForm(lang, in(lang, "Please choose one.", "یکی را برگزینید."))},
		{"request-done", "public/request-done", public.AskDone{Frame: f, Asked: theirRequests(lang)[0], Preferences: "/p/token"}},
		{"request-objected", "public/request-done", public.AskDone{Frame: f, Asked: theirRequests(lang)[0], Objected: true, Preferences: "/p/token"}},
		{"view", "public/view", public.View{Frame: f, Subject: in(lang, "Your gift, Sara", "هدیهٔ شما، سارا"), From: f.Brand, At: asked, Body: "/body", Why: "/w/token", Leave: "/u/token", Preferences: "/p/token"}},
		{"address-confirm", "public/address-confirm", address},
		{"address-not-me", "public/address-confirm", strange},
		{"link", "public/link", struct {
			public.Frame
			URL string
		}{f, "https://baharan.example/books?list=new"}},
		{"address-done", "public/address-done", public.AddressDone{Frame: f, Email: address.Email, Preferences: "/p/token"}},
	}
	all = append(all, centre(lang)...)
	all = append(all, receiptSamples(lang)...)
	for _, reason := range []string{consent.HardBounce, consent.Complaint, consent.NotMe, consent.Manual} {
		all = append(all, sample{"preferences-" + reason, "public/preferences", otherPreferences(lang, reason)})
	}
	for kind := problem.Internal; kind <= problem.Unavailable; kind++ {
		all = append(all, sample{"error-" + kind.String(), "public/error", public.Error{Frame: f, Status: 404, Kind: kind.String(),
			Text: i18n.For(lang).T("problem." + kind.String()), Details: []string{in(lang, "One detail", "یک نکته")}, RequestID: "5f1c"}})
	}
	return append(all, deskSamples(lang)...)
}

// receiptSamples are receipts of every state and kind, and the log's own page.
func receiptSamples(lang string) (all []sample) {
	f, l := frame(lang), i18n.For(lang)
	root := "mail.baharan.example/log\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— mail.baharan.example/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
	r := public.Receipt{Frame: f, Action: "/r/token", Paper: receipt.Paper{Number: "5f3a9d1e-2b44-4c1a-9e0d-7f6a5b4c3d2e", State: "given", Tone: "yes", Topic: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), At: asked, Stands: true, Open: true,
		Email: "sara@example.org", Words: words(lang)[0], WordsLang: lang, WordsDir: i18n.For(lang).Dir(), Promise: in(lang, "At most once a week", "حداکثر هفته‌ای یک بار"), Method: i18n.For(lang).T("public.why.method.double-opt-in"),
		Basis: i18n.For(lang).T("public.receipt.basis.explicit"), By: i18n.For(lang).T("public.receipt.by.subject"), Page: "https://baharan.example/readers", FormVersion: 3, AskedAt: asked.Add(-2 * time.Minute), AskedIP: "203.0.113.7",
		ConfirmedAt: asked, ConfirmedIP: "203.0.113.7", Delay: i18n.For(lang).N("public.receipt.minutes", 2), Evidence: []receipt.Shown{{Code: true, Name: i18n.For(lang).T("public.receipt.evidence.user_agent"), Value: "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"}},
		Until: asked.AddDate(2, 0, 0), Postal: in(lang, "12 Enghelab Street\nTehran", "تهران، خیابان انقلاب\nشمارهٔ ۱۲"), Contact: "letters@baharan.example", Jurisdiction: "IR", Logged: true, Origin: "mail.baharan.example/log", Index: 20852100, Size: 20852163, SignedAt: asked.Add(time.Second),
		Fingerprint: strings.Repeat("9f86d081884c7d65", 4), Checkpoint: root, JSON: "token.json", Proof: "token.tlog-proof", Log: "/log"}}
	fresh := r
	fresh.Logged, fresh.Done = false, in(lang, "Done.", "انجام شد.")
	back := r
	back.Stands, back.Open, back.Until = false, false, time.Time{}
	back.Later = []receipt.Step{{At: asked.AddDate(0, 1, 0), Tone: "yes", State: "renewed", Method: r.Method, URL: "/r/2"}, {At: asked.AddDate(0, 2, 0), Tone: "no", State: "withdrawn", Method: i18n.For(lang).T("public.why.method.one-click"), URL: "/r/3"}}
	erased := public.Receipt{Frame: f, Paper: receipt.Paper{State: "given", Tone: "yes", Topic: r.Topic, At: asked, Erased: true, Number: r.Number, Words: r.Words, WordsLang: lang, WordsDir: r.WordsDir, Method: r.Method, Basis: r.Basis, By: r.By, Logged: true, Origin: r.Origin, Index: 1, Size: 2, Fingerprint: r.Fingerprint, Checkpoint: root, JSON: r.JSON, Proof: r.Proof, Log: r.Log}}
	all = []sample{{"receipt", "public/receipt", r}, {"receipt-fresh", "public/receipt", fresh}, {"receipt-withdrawn", "public/receipt", back}, {"receipt-erased", "public/receipt", erased},
		{"log", "public/log", public.LogPage{Frame: public.Frame{Zone: tehran, Languages: f.Languages}, Origin: r.Origin, Key: "mail.baharan.example/log+4d1f2c3b+Ab0123456789abcdefghijklmnopqrstuvwxyzABCDEFG=", Size: r.Size, Began: asked.AddDate(-1, 0, 0), SignedAt: asked, Checkpoint: root, Tool: "https://mail.baharan.example/log/", Program: "package main\n", Run: "go run .", Audit: "fsck", File: "main.go", Ended: []public.EndedLog{{Origin: "mail.baharan.example/log0", Size: 12, At: asked}}}}}
	for _, mark := range []string{"single", "paper", "import", "operator", "implied"} {
		marked := r
		marked.Mark = mark
		if mark == "paper" || mark == "import" || mark == "operator" {
			marked.Stated, marked.Page, marked.AskedAt, marked.ConfirmedAt, marked.Delay = true, "", time.Time{}, time.Time{}, ""
			marked.Evidence = []receipt.Shown{{Name: l.T("public.receipt.evidence.place"), Value: in(lang, "Leeds shop", "فروشگاه لیدز")}, {Name: l.T("public.receipt.evidence.said_at"), Value: l.Date(asked, tehran)}}
		}
		all = append(all, sample{"receipt-" + mark, "public/receipt", marked})
	}
	for _, state := range []string{"requested", "renewed", "refused", "withdrawn", "expired", "invalidated"} {
		other := back
		other.State, other.Earlier, other.Tone = state, true, "no"
		all = append(all, sample{"receipt-" + state + "-event", "public/receipt", other})
	}
	return all
}

// deskReceipt is what the team sees of the receipt that a person has.
func deskReceipt(f admin.Frame, lang string) admin.ReceiptPage {
	theirs := receiptSamples(lang)[2].data.(public.Receipt).Paper
	return admin.ReceiptPage{Frame: f, Paper: theirs, Brand: in(lang, "Baharan Books", "کتاب بهاران"), Privacy: "https://baharan.example/privacy", Back: "/admin/b/baharan/people/1#proof"}
}

func deskSamples(lang string) []sample {
	l := i18n.For(lang)
	f := admin.Frame{User: "mina@baharan.example", SignOut: "/admin/signout", Zone: tehran, Nav: []admin.NavItem{
		{Label: l.T("admin.nav.overview"), URL: "/admin", Current: true}, {Label: l.T("admin.nav.mailbox"), URL: "/mailbox", Count: 12}, {Label: l.T("admin.nav.api"), URL: "/api/docs"}}}
	for _, lang := range i18n.Languages {
		f.Languages = append(f.Languages, admin.Language{Code: lang, Name: i18n.For(lang).T("admin.language"), URL: "?lang=" + lang, Current: lang == l.Lang()})
	}
	idea := admin.IdeaLine{URL: "/admin/b/baharan/ideas/1", Title: in(lang, "Letters from translators", "نامه‌های مترجمان"), Reason: in(lang, "They know both sides.", "هر دو سو را می‌شناسند."), Seconds: 12, State: l.T("admin.ideas.state.shared"), Tone: "ask", At: asked}
	dashboard := admin.Dashboard{Frame: f, Brand: in(lang, "Baharan Books", "کتاب بهاران"), Now: asked, People: 48210, Writable: 41388, New: 612, Left: 74,
		Messages: admin.States{Queued: 320, Claimed: 100, Sent: 118204, Failed: 81, Skipped: 940, Uncertain: 2},
		Topics:   []admin.Topic{{Name: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Promise: in(lang, "At most once a week", "حداکثر هفته‌ای یک بار"), Given: 41388, Asked: 214, Withdrawn: 2040}, {Name: in(lang, "Special offers", "پیشنهادهای ویژه"), Given: 9120, Asked: 80, Withdrawn: 311}},
		Events: []admin.Happening{{At: asked, Tone: "yes", Who: "sara@example.org", Text: in(lang, "Confirmed Readers’ letter", "نامهٔ خوانندگان را تأیید کرد"), Extra: in(lang, "two minutes after asking", "دو دقیقه پس از درخواست")},
			{At: asked, Tone: "ask", Who: "ali@example.org", Text: in(lang, "Asked for Special offers", "پیشنهادهای ویژه را خواست")}, {At: asked, Text: in(lang, "Bought for 23 €", "خرید کرد"), Who: "ana@example.org"}, {At: asked, Tone: "no", Text: in(lang, "Took back Readers’ letter", "نامهٔ خوانندگان را پس گرفت"), Who: "bob@example.org"}},
		Queues: []admin.Queue{{Name: "send", Waiting: 3, Active: 2, Later: 1, Oldest: 1400 * time.Millisecond, Age: "a second"}, {Name: "default"}}, Live: "/live"}
	plotted := dashboard
	plotted.Decisions = []admin.Decision{{Tone: "no", Text: in(lang, "“Autumn” was stopped by a safeguard.", "«پاییز» به‌طور خودکار متوقف شد."), More: in(lang, "120 mails of it wait.", "۱۲۰ نامه از آن منتظر است."), URL: "/campaigns/1", Label: in(lang, "Look", "ببینید")}, {Tone: "ask", Text: in(lang, "Sending has not been tried yet.", "ارسال هنوز امتحان نشده است.")}}
	plotted.Windows, plotted.Over = []admin.Tab{{View: l.T("admin.window.7"), URL: "?for=7"}, {View: l.T("admin.window.30"), URL: "?for=30", Current: true}}, l.T("admin.window.over.30")
	plotted.Growth = admin.Plot{ID: "plot-growth", Title: in(lang, "Growth", "رشد"), Text: in(lang, "By source.", "به تفکیک منبع."), Ticks: "0|" + l.Number(0) + ";5000|" + l.Number(5000),
		Lines: []admin.PlotLine{{Label: in(lang, "signed up", "ثبت‌نام"), Look: "ask", Sum: 6120}, {Label: in(lang, "by form", "با فرم"), Look: "yes", Sum: 3040}}}
	for i := range 14 {
		at := asked.AddDate(0, 0, i-14)
		plotted.Growth.Bins = append(plotted.Growth.Bins, admin.PlotBin{Short: l.ShortDate(at, tehran), Long: l.Date(at, tehran), Cells: []admin.PlotCell{{Label: in(lang, "signed up", "ثبت‌نام"), N: int64(300*i + 20)}, {Label: in(lang, "by form", "با فرم"), N: int64(170 * i)}}})
	}
	plotted.Sending, plotted.Leaving = plotted.Growth, admin.Plot{ID: "plot-leaving", Title: in(lang, "Leavers", "ترک‌کنندگان"), Empty: true, Lines: []admin.PlotLine{{Label: in(lang, "taken back", "پس‌گرفته"), Look: "no"}}}
	plotted.Sending.ID, plotted.Sending.Title = "plot-sending", in(lang, "Sent", "فرستاده‌شده")
	plotted.Rates = []admin.Rate{{Label: in(lang, "opened", "بازشده"), Text: in(lang, "22.0%", "۲۲٫۰٪"), Base: in(lang, "220 of 1,000", "۲۲۰ از ۱٬۰۰۰")}}
	alarmed := admin.AlarmLine{ID: "alarm-1", Title: l.T("admin.alarm.leavers"), Numbers: in(lang, "60 of 1,000 mails", "۶۰ مورد از ۱٬۰۰۰ نامه"), Now: in(lang, "70 of 1,000 mails", "۷۰ مورد از ۱٬۰۰۰ نامه"), Usual: in(lang, "120 of 30,000", "۱۲۰ از ۳۰٬۰۰۰"), Began: asked,
		Do: []string{in(lang, "Read the last mail.", "آخرین نامه را بخوانید.")}, Links: []admin.NavItem{{Label: l.T("admin.nav.campaigns"), URL: "/campaigns"}}, Acknowledge: &admin.Sheet{}, To: "/alarms/1/acknowledge"}
	mine, over := alarmed, alarmed
	mine.ID, mine.Taken, mine.TakenAt, mine.Acknowledge = "alarm-2", "Mina", asked, nil
	over.ID, over.Ended = "alarm-3", asked.Add(time.Hour)
	mails := []admin.Mail{{URL: "/mailbox/2", From: "letters@baharan.example", To: "sara@example.org", Subject: in(lang, "May Baharan Books write to you?", "اجازه هست کتاب بهاران برایتان بنویسد؟"), At: asked, Selected: true},
		{URL: "/mailbox/1", From: "letters@baharan.example", To: "ali@example.org", Subject: "", At: asked.Add(-time.Hour)}}
	box := admin.Mailbox{Frame: f, Address: "127.0.0.1:2525", Action: "/mailbox", Mails: mails, Live: "/live"}
	sheet := admin.Sheet{Action: "/admin/b/baharan/topics/1", Page: "/admin/b/baharan/topics/1", Version: "2026-11-22T09:00:00Z", Drafts: "/admin/b/baharan/drafts", KeptAt: asked,
		Values: url.Values{"texts.en.name": {"Readers’ letter"}, "texts.fa.name": {"نامهٔ خوانندگان"}, "promise_max": {"1"}},
		Faults: []admin.Fault{{Name: "promise_days", Text: in(lang, "This is not a whole number.", "این عدد صحیح نیست.")}}}
	changed := admin.Sheet{Changed: true, Theirs: []admin.Theirs{{Label: in(lang, "Name", "نام"), Value: "Letter"}}}
	languages := []admin.LanguageFields{{Code: "en", Name: "English", Dir: "ltr", First: true}, {Code: "fa", Name: "فارسی", Dir: "rtl"}}
	slip := admin.Sheet{Action: "/admin/there", Page: "/admin/there", Values: url.Values{"email": {"mina@baharan.example"}, "name": {"Mina"}}}
	spoken := []admin.Choice{{Value: "en", Label: "English"}, {Value: "fa", Label: "فارسی"}}
	someLogo := web.Logo{URL: "/static/logo.svg", Width: 192, Height: 64}
	somePaper := admin.Paper{Address: "mail.baharan.example/s/482913", SVG: "/static/favicon.svg", PNG: "/code.png", File: "baharan-482913", Card: "/forms/1/card", Asked: 12, Confirmed: 9}
	formLook := admin.Look{Page: "/body", URL: "/body", Views: []admin.Choice{{Value: "page", Label: in(lang, "On a page of its own", "در صفحهٔ جداگانه")}}, Languages: []admin.Choice{{Value: "en", Label: "English"}, {Value: "fa", Label: "فارسی"}}}
	looked := &admin.Checks{Lead: in(lang, "One thing to look at.", "یک نکته هست."), Look: []admin.CheckLine{{Tone: "ask", Grade: in(lang, "look at it", "نگاهی بیندازید"), Text: in(lang, "The subject is long.", "عنوان بلند است."), More: in(lang, "Shorten it.", "کوتاهش کنید."), URL: "/edit", Label: in(lang, "Mend it", "درست کردن")}},
		Fine: []admin.CheckLine{{Tone: "yes", Grade: in(lang, "well", "درست"), Text: in(lang, "Mail leaves.", "نامه‌ها می‌روند.")}}}
	desk := []sample{
		{"topics", "admin/topics", admin.Topics{Frame: f, New: "/new", Topics: []admin.TopicLine{{Topic: dashboard.Topics[0], URL: "/topics/1", Wording: in(lang, "Yes, write to me.", "بله، برایم بنویسید."), Valid: 365}, {Topic: dashboard.Topics[1], Archived: &asked}}}},
		{"topic", "admin/topic", admin.TopicForm{Frame: f, Sheet: sheet, Title: in(lang, "Readers’ letter", "نامهٔ خوانندگان"), Texts: languages, Archive: "/archive", Back: "/topics"}},
		{"permission", "admin/permission", admin.PermissionForm{Frame: f, Sheet: admin.Sheet{Files: true, Action: "/permission", Values: url.Values{"way": {"paper"}}}, Title: "Sara", Email: "sara@example.org", Most: 5, Back: "/people", Soft: "UWG § 7(3)",
			Ways: []admin.Choice{{Value: "paper", Label: "Paper", Hint: "They signed."}, {Value: "phone", Label: "Phone"}}, Topics: []admin.Choice{{Value: "1", Label: "Letters"}}, Speaks: []admin.Choice{{Value: "en", Label: "English"}, {Value: "fa", Label: "فارسی"}}}},
		{"topic-new", "admin/topic", admin.TopicForm{Frame: f, Sheet: changed, Title: in(lang, "New topic", "موضوع تازه"), New: true, Texts: languages, Back: "/topics"}},
		{"campaigns", "admin/list", admin.List{Frame: f, Title: in(lang, "Campaigns", "کارزارها"), Text: in(lang, "The newest first.", "تازه‌ترین در آغاز."), Help: "/help/campaigns", Name: in(lang, "Name", "نام"), State: in(lang, "State", "وضعیت"), New: "/new", Make: in(lang, "New campaign", "کارزار تازه"), First: "/first", Next: "/next",
			Columns: []admin.Column{{Label: in(lang, "When", "کی")}, {Label: in(lang, "Sent", "فرستاده"), Num: true}}, Lines: []admin.Line{{Name: in(lang, "November letter", "نامهٔ آبان"), URL: "/campaigns/1", Topic: dashboard.Topics[0].Name, Tag: "shop", State: in(lang, "Sent", "فرستاده شد"), Tone: "yes",
				Cells: []admin.Cell{{Text: in(lang, "yesterday", "دیروز"), Under: in(lang, "at noon", "نیمروز")}, {Text: in(lang, "not yet", "هنوز نه"), Soft: true}}}}}},
		{"campaign-form", "admin/campaign-form", admin.CampaignForm{Frame: f, Sheet: admin.Sheet{Action: "/new", Page: "/new", Drafts: "/drafts"}, Title: in(lang, "New campaign", "کارزار تازه"), Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name}}, Texts: languages, Back: "/campaigns"}},
		{"campaign", "admin/campaign", admin.CampaignPage{Frame: f, Title: in(lang, "November letter", "نامهٔ آبان"), State: in(lang, "Being sent", "در حال فرستادن"), Tone: "ask", Topic: dashboard.Topics[0].Name,
			Lead: in(lang, "1,204 of 1,210 have it.", "۱۲۰۴ نفر از ۱۲۱۰ نفر گرفته‌اند."), Live: "/live", Counted: true, Counts: dashboard.Messages, Held: []admin.ReasonLine{{Text: in(lang, "Quiet hours", "ساعت سکوت"), N: 14, Do: in(lang, "They go in the morning.", "صبح می‌روند.")}},
			See: map[string]string{"queued": "/messages"}, Course: []admin.Plot{plotted.Growth, plotted.Leaving}, Spans: []admin.Tab{{View: in(lang, "by the hour", "ساعت به ساعت"), URL: "?by=hours", Current: true}, {View: in(lang, "by the day", "روز به روز"), URL: "?by=days"}},
			Acts: []admin.Act{{ID: "pause", Label: in(lang, "Pause", "مکث"), To: "/pause", Sheet: sheet}}}},
		{"campaign-schedule", "admin/campaign-schedule", admin.SchedulePage{Frame: f, Title: in(lang, "November letter", "نامهٔ آبان"), Lead: in(lang, "1,204 people will get this at 09:00.", "۱۲۰۴ نفر این را ساعت ۹ می‌گیرند."), Sheet: admin.Sheet{Action: "/schedule", Page: "/schedule"}, Ask: "/schedule", Back: "/campaigns/1", People: 1204, Checks: looked, ZoneName: "Asia/Tehran"}},
		{"campaign-draft", "admin/campaign", admin.CampaignPage{Frame: f, Title: in(lang, "Winter letter", "نامهٔ دی"), State: in(lang, "Draft", "پیش‌نویس"), Draft: true, Checks: looked}},
		{"people", "admin/people", admin.People{Frame: f, Total: 1204, Filter: admin.Sheet{Action: "/people"}, Bulk: "/bulk", Export: "/export", Topics: []admin.Choice{{Label: in(lang, "any topic", "هر موضوع")}},
			People: []admin.PersonLine{{URL: "/people/1", Email: "sara@example.org", Name: "سارا", Since: asked, Tags: []string{"autumn"}, Permissions: []admin.PermissionChip{{Topic: dashboard.Topics[0].Name, State: in(lang, "given", "داده شده"), Tone: "yes"}}}}}},
		{"people-bulk", "admin/people-bulk", admin.Bulk{Frame: f, Sheet: admin.Sheet{Action: "/people/tags"}, Count: 1204, Tag: "autumn", Fields: url.Values{"stand": {"given"}}, Button: in(lang, "Give the tag", "افزودن برچسب"), Back: "/people"}},
		{"setup", "admin/setup", admin.Setup{Frame: f, Done: 1, Steps: []admin.SetupStep{{Title: in(lang, "The brand", "برند"), Text: in(lang, "It is there.", "هست."), Done: true, URL: "/settings", Label: in(lang, "Look at it", "دیدن")},
			{Title: in(lang, "Sending", "ارسال"), Text: in(lang, "Send a test.", "آزمایشی بفرستید."), Next: true, URL: "/sending", Label: in(lang, "Go", "برو")}, {Title: in(lang, "First topic", "نخستین موضوع"), Text: in(lang, "What people allow.", "آنچه افراد اجازه می‌دهند.")}}}},
		{"welcome", "admin/welcome", admin.Welcome{Sheet: slip, Ask: true, Choices: spoken, Languages: f.Languages}}, {"welcome-wrong", "admin/welcome", admin.Welcome{Wrong: true, Languages: f.Languages}},
		{"forgotten", "admin/forgotten", admin.Forgotten{Sheet: slip, Back: "/admin/sign-in", Languages: f.Languages}}, {"forgotten-sent", "admin/forgotten", admin.Forgotten{Sheet: slip, Sent: true, Back: "/admin/sign-in"}},
		{"reset", "admin/reset", admin.Reset{Sheet: slip, Email: "mina@baharan.example"}}, {"reset-over", "admin/reset", admin.Reset{Over: in(lang, "Its hour is over.", "یک ساعتش گذشته است."), Again: "/admin/forgotten"}},
		{"invitation", "admin/invitation", admin.InvitationPage{Sheet: slip, Brand: dashboard.Brand, Email: "sara@baharan.example", By: "Mina", Role: in(lang, "Marketer", "بازاریاب"), Ways: "new", Choices: spoken}},
		{"invitation-accept", "admin/invitation", admin.InvitationPage{Sheet: slip, Brand: dashboard.Brand, Email: "sara@baharan.example", By: "Mina", Role: in(lang, "Marketer", "بازاریاب"), Ways: "accept"}},
		{"invitation-other", "admin/invitation", admin.InvitationPage{Sheet: slip, Brand: dashboard.Brand, Email: "sara@baharan.example", Ways: "other", As: "ali@baharan.example", SignOut: "/admin/sign-out"}},
		{"invitation-known", "admin/invitation", admin.InvitationPage{Sheet: slip, Brand: dashboard.Brand, Email: "sara@baharan.example", Ways: "sign-in", SignIn: "/admin/sign-in"}},
		{"account", "admin/account", admin.Own{Frame: f, Email: "mina@baharan.example", Sheet: slip, Password: admin.Sheet{Action: "/admin/account/password", Values: url.Values{}}, Choices: spoken, MayBrands: "/admin/brands/new",
			Brands: []admin.NavItem{{Label: dashboard.Brand, URL: "/admin/b/baharan", Heading: in(lang, "Owner", "صاحب")}}}},
		{"brand-new", "admin/brand-new", admin.BrandForm{Frame: f, Sheet: slip, Texts: languages, Choices: spoken, Zones: []string{"Asia/Tehran"}, Back: "/admin"}},
		{"tracking", "admin/tracking", admin.TrackingPage{Frame: f, Sheet: slip, Topics: []admin.Topic{{Name: in(lang, "Seeing that a mail was opened", "دانستن اینکه نامه باز شده است"), Given: 412}}, May: true, Back: "/admin/b/baharan/topics"}},
		{"tracking-reader", "admin/tracking", admin.TrackingPage{Frame: f, Sheet: slip}},
		{"ideas", "admin/ideas", admin.Ideas{Frame: f, On: true, Settings: "/admin/b/baharan/ideas/settings", Views: []admin.Tab{{View: l.T("admin.ideas.view.proposed"), URL: "/x", Current: true}, {View: l.T("admin.ideas.view.shared"), URL: "/y"}}, Lines: []admin.IdeaLine{idea}}},
		{"idea", "admin/idea", admin.IdeaPage{Frame: f, Idea: idea, Sheet: slip, Texts: languages, Answer: slip, Share: "/share", Open: true, Back: "/ideas"}},
		{"community", "admin/community", admin.CommunityPage{Frame: f, Sheet: slip, Texts: languages, Forms: spoken, Back: "/ideas"}},
		{"settings", "admin/settings", admin.BrandForm{Frame: f, Sheet: slip, Texts: languages, Choices: spoken, Zones: []string{"Asia/Tehran"}, Slug: "baharan", Domain: "baharan.example", Another: "/admin/brands/new", Most: 1}},
		{"settings-logo", "admin/settings", admin.BrandForm{Frame: f, Sheet: admin.Sheet{Action: "/settings", Files: true, Faults: []admin.Fault{{Name: "logo", Text: in(lang, "This is no picture.", "این تصویر نیست.")}}}, Texts: languages, Choices: spoken, Slug: "baharan", Domain: "baharan.example", Another: "/admin/brands/new", Logo: someLogo, Name: dashboard.Brand, Most: 1}},
		{"team", "admin/team", admin.Team{Frame: f, Sheet: slip, Choices: spoken, Roles: []admin.Choice{{Value: "owner", Label: in(lang, "Owner", "صاحب"), Hint: in(lang, "Everything.", "همه کار.")}},
			Members: []admin.MemberLine{{Name: "Mina", Email: "mina@baharan.example", Role: in(lang, "Owner", "صاحب"), You: true, Only: true}, {Name: "سارا", Email: "sara@baharan.example", Change: "/role", Remove: "/remove", Ask: in(lang, "Sure?", "مطمئنید؟"), Sheet: slip}},
			Invited: []admin.InvitedLine{{Email: "ali@baharan.example", Role: in(lang, "Reader", "خواننده"), Sent: asked, Until: asked, Again: "/again", Revoke: "/revoke"}, {Email: "bob@baharan.example", Until: asked, Over: true, Again: "/again", Revoke: "/revoke"}}}},
		{"keys", "admin/keys", admin.Keys{Frame: f, Sheet: slip, Secret: "ak_x", API: "/api/docs", Scopes: []admin.ScopeLine{{Label: in(lang, "Topics", "موضوع‌ها"), Read: "topics:read", Write: "topics:write"}, {Label: in(lang, "Messages", "نامه‌ها"), Read: "messages:read"}},
			Keys: []admin.KeyLine{{Name: "Shop", Scopes: []string{"orders:write", "*"}, Made: asked, Used: &asked, Revoke: "/revoke", Ask: in(lang, "Sure?", "مطمئنید؟")}, {Name: "Old", Scopes: []string{"*"}, Made: asked, Revoked: &asked}}}},
		{"forms", "admin/forms", admin.Forms{Frame: f, New: "/new", Next: "/next", Forms: []admin.FormLine{{Name: in(lang, "Footer of the shop", "پای صفحهٔ فروشگاه"), URL: "/forms/1", Topics: []string{dashboard.Topics[0].Name}, Asked: 20, Confirmed: 12, Edited: asked}, {Name: "fair", URL: "/forms/2", Closed: true, Edited: asked}}}},
		{"form", "admin/form", admin.FormPage{Frame: f, Title: in(lang, "Footer of the shop", "پای صفحهٔ فروشگاه"), Asked: 20, Confirmed: 12, Pending: 3, Topics: []string{dashboard.Topics[0].Name}, Tracking: []string{"opens"}, Origins: []string{"https://shop.example"}, Sheet: sheet,
			Hosted: "/f/1", Snippet: "<script></script>", Button: "<script></script>", Preview: formLook, Next: "/next", Edit: "/edit", Switch: "/close", Ask: in(lang, "It takes no more.", "دیگر نمی‌پذیرد."), Paper: somePaper,
			Versions: []admin.FormVersion{{Version: 2, Since: asked, Texts: []admin.FormWords{{LanguageFields: languages[0], Boxes: []admin.FormBox{{Topic: "Letter", Words: "Send me the letter."}}}, {LanguageFields: languages[1]}}, Fields: []string{"City"}, Preview: "/p"}, {Version: 1, Since: asked, Until: asked, Asked: 20, Confirmed: 12, Preview: "/p"}}}},
		{"form-card", "admin/form-card", admin.FormCard{Frame: f, Title: "Footer", Closed: true, Paper: somePaper, Logo: someLogo, Tabs: []admin.Tab{{View: in(lang, "All languages", "همهٔ زبان‌ها"), URL: "/card", Current: true}, {View: "English", URL: "/card?in=en"}}, Back: "/forms/1",
			Cards: []admin.Card{{LanguageFields: languages[0], Brand: dashboard.Brand, Title: in(lang, "Letters & tea", "نامه و چای"), Topics: []admin.CardTopic{{Name: dashboard.Topics[0].Name, Promise: dashboard.Topics[0].Promise}, {Name: dashboard.Topics[1].Name}}, Scan: in(lang, "Scan it,", "اسکن کنید،"), Type: in(lang, "or type:", "یا بنویسید:"), After: in(lang, "We ask once more.", "یک بار دیگر می‌پرسیم.")}}}},
		{"form-designer", "admin/form-designer", admin.FormDesigner{Frame: f, Sheet: admin.Sheet{Action: "/forms/1/edit", Page: "/forms/1/edit", Drafts: "/drafts", KeptAt: asked, Values: url.Values{"topics": {"letter"}, "fields.1.type": {"select"}}, Faults: []admin.Fault{{Name: "fields.0.name", Text: in(lang, "Not a name.", "نام نیست.")}}}, Title: in(lang, "Footer of the shop", "پای صفحهٔ فروشگاه"), Confirmed: 12, Preview: formLook, Back: "/forms/1", Types: []admin.Choice{{Value: "text", Label: in(lang, "Text", "متن")}},
			Topics:   []admin.TopicBox{{Slug: "letter", Name: dashboard.Topics[0].Name, Promise: dashboard.Topics[0].Promise, Wording: words(lang)[0]}, {Slug: "offers", Name: dashboard.Topics[1].Name, Up: true}},
			Tracking: []admin.TopicBox{{Slug: "opens", Name: in(lang, "Opened mails", "باز شدن نامه"), Wording: words(lang)[1]}}, Rows: []admin.FieldRow{{Key: "fields.0"}, {At: 1, Key: "fields.1", Name: "City", Up: true}},
			Texts: []admin.DesignerLanguage{{LanguageFields: languages[0]}, {LanguageFields: languages[1]}}}},
		{"dashboard-plots", "admin/dashboard", plotted},
		{"alarms", "admin/alarms", admin.Alarms{Frame: f, Lead: l.N("admin.alarms.lead", 2), Open: []admin.AlarmLine{alarmed, mine}, Past: []admin.AlarmLine{over}, Next: "/alarms?before=1", Live: "/live"}},
		{"sequence-form", "admin/sequence-form", admin.SequenceForm{Frame: f, Sheet: admin.Sheet{Action: "/new", Page: "/new", Drafts: "/drafts", Values: url.Values{"name": {in(lang, "Welcome", "خوشامد")}, "steps.0.wait.amount": {"3"}}, Faults: []admin.Fault{{Name: "steps.0.wait.until", Text: in(lang, "Please write the hour like this: 09:00.", "لطفاً ساعت را چنین بنویسید.")}}},
			Title: in(lang, "New sequence", "زنجیرهٔ تازه"), Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name}}, Units: []admin.Choice{{Value: "days", Label: in(lang, "days", "روز")}}, Told: in(lang, "A draft.", "پیش‌نویس."), Back: "/sequences",
			Steps: []admin.StepFields{{Name: "steps.0", Title: in(lang, "Letter 1", "نامهٔ ۱"), Letter: true, First: true, Focus: "step", Texts: languages}, {I: 1, Name: "steps.1", Title: in(lang, "A further wait", "صبری دیگر"), Last: true, Focus: "up"}}}},
		{"sequence-begin", "admin/sequence-form", admin.SequenceForm{Frame: f, Title: in(lang, "New sequence", "زنجیرهٔ تازه"), Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name}}, Template: "/new?from=welcome", Empty: "/new?from=empty"}},
		{"sequence", "admin/sequence", admin.SequencePage{Frame: f, Title: in(lang, "Welcome", "خوشامد"), State: in(lang, "running", "در جریان"), Tone: "yes", Topic: dashboard.Topics[0].Name, Lead: in(lang, "412 people are under way.", "۴۱۲ نفر در راه‌اند."), Live: "/live", Edit: "/edit", Enroll: "/enroll", Version: in(lang, "version 4", "نسخهٔ ۴"),
			Versions: []admin.Tab{{View: in(lang, "version 4", "نسخهٔ ۴"), URL: "?version=4", Current: true}, {View: in(lang, "version 3", "نسخهٔ ۳"), URL: "?version=3"}}, Acts: []admin.Act{{ID: "pause", Label: in(lang, "Pause", "توقف"), To: "/pause", Sheet: sheet}}, Joined: 31880, Done: 28406, Left: 212,
			Letters: []admin.StoryLetter{{Waits: []string{in(lang, "at once", "بی‌درنگ")}, Title: in(lang, "Hello, and what to expect", "سلام، و آنچه در راه است"), Lang: lang, Dir: l.Dir(), URL: "/letter", Reached: 31880, Written: 31870, Here: 3, People: "/people", Way: 2,
				Rates: []admin.Rate{{Label: in(lang, "Sent", "فرستاده‌شده"), Text: in(lang, "99.9%", "۹۹٫۹٪"), Base: in(lang, "31,868 of 31,880", "۳۱٬۸۶۸ از ۳۱٬۸۸۰")}}, Gone: []admin.ReasonLine{{Text: in(lang, "permission taken back", "اجازه پس گرفته شد"), N: 7}}, GoneSum: 7,
				Skipped: []admin.ReasonLine{{Text: in(lang, "address stopped", "نشانی مسدود"), N: 2}}, SkippedSum: 2}, {Waits: []string{in(lang, "3 days later", "۳ روز بعد")}, Title: in(lang, "Three books", "سه کتاب"), Lang: lang, Dir: l.Dir(), URL: "/letter", Untracked: in(lang, "Nobody lets it be seen.", "هیچ‌کس اجازه نداده است.")}}}},
		{"sequence-letter", "admin/sequence-letter", admin.LetterPage{Frame: f, Title: in(lang, "Welcome", "خوشامد"), Name: in(lang, "Letter 2 of 3", "نامهٔ ۲ از ۳"), Waits: []string{in(lang, "3 days later", "۳ روز بعد")}, Before: "/1", After: "/3", Back: "/sequences/1",
			Preview: admin.Preview{Tabs: []admin.Tab{{View: "English", URL: "?in=en", Current: true}, {View: "فارسی", URL: "?in=fa"}}, Subject: in(lang, "Three books", "سه کتاب"), Dir: l.Dir(), Lang: lang, HTML: "/body"}}},
		{"sequence-people", "admin/sequence-people", admin.WaitingPage{Frame: f, Title: in(lang, "Welcome", "خوشامد"), Name: in(lang, "Letter 2 of 3", "نامهٔ ۲ از ۳"), State: in(lang, "Paused.", "متوقف."), Back: "/sequences/1", Next: "/next", First: "/first",
			People: []admin.WaitingLine{{URL: "/people/1", Email: "sara@example.org", Name: in(lang, "Sara", "سارا"), Due: asked, Since: asked, Late: true}}}},
		{"sequence-enroll", "admin/sequence-enroll", admin.EnrollPage{Frame: f, Title: in(lang, "Welcome", "خوشامد"), Lead: in(lang, "1,204 people would join.", "۱٬۲۰۴ نفر می‌پیوندند."), More: in(lang, "At once.", "بی‌درنگ."), People: 1204, Sheet: admin.Sheet{Action: "/enroll", Page: "/enroll"}, Back: "/sequences/1"}},
		{"offer-form", "admin/offer-form", admin.OfferForm{Frame: f, Title: in(lang, "New offer", "پیشنهاد تازه"), Sheet: admin.Sheet{Action: "/new", Page: "/new", Drafts: "/drafts"}, Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[1].Name}}, Kinds: []admin.Choice{{Value: "percent", Label: in(lang, "A part of the price", "بخشی از بها")}}, Texts: languages, Back: "/offers"}},
		{"offer-edit", "admin/offer-form", admin.OfferForm{Frame: f, Title: in(lang, "Thanks 2026", "سپاس ۱۴۰۵"), Text: in(lang, "It was started.", "آغاز شده است."), Sheet: admin.Sheet{Action: "/edit", Page: "/edit", Values: url.Values{"budget": {"20"}}, Faults: []admin.Fault{{Name: "budget", Text: in(lang, "No fewer.", "کمتر نه.")}}},
			Fixed: []admin.OfferFact{{Label: in(lang, "What it gives", "چه می‌دهد"), Value: in(lang, "15%", "۱۵٪")}}, Terms: []admin.OfferText{{Name: in(lang, "English", "فارسی"), Lang: lang, Title: in(lang, "Thanks", "سپاس"), Terms: in(lang, "Once.", "یک بار.")}},
			Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[1].Name}}, Texts: languages, Back: "/offers/1"}},
		{"offer", "admin/offer", admin.OfferPage{Frame: f, Title: in(lang, "Thanks 2026", "سپاس ۱۴۰۵"), State: in(lang, "running", "در جریان"), Tone: "yes", Topic: dashboard.Topics[1].Name, Worth: in(lang, "15%", "۱۵٪"), For: in(lang, "3 orders", "۳ سفارش"), Lead: in(lang, "73 of 500 codes are given.", "۷۳ کد داده شده است."),
			Live: "/live", Budget: 500, Issued: 73, Left: 427, Redeemed: 21, Expired: 2, Open: 50, ValidDays: 30, Until: &asked, Codes: "/codes", Counts: dashboard.Messages, Rates: []admin.Rate{{Label: in(lang, "Redeemed", "به‌کاررفته"), Text: in(lang, "28.8%", "۲۸٫۸٪"), Base: in(lang, "21 of 73", "۲۱ از ۷۳")}},
			Given: []admin.GivenLine{{Label: in(lang, "Orders with a code", "سفارش‌های با کد"), Value: in(lang, "€120", "۱۲۰ یورو"), Base: in(lang, "9 of 21", "۹ از ۲۱")}}, Terms: []admin.OfferText{{Name: in(lang, "English", "فارسی"), Lang: lang, Dir: l.Dir(), Title: in(lang, "A thank-you", "سپاس"), Terms: in(lang, "Once.", "یک بار.")}},
			Acts: []admin.Act{{ID: "pause", Label: in(lang, "Pause", "توقف"), To: "/pause", Sheet: sheet}}, Redeem: &admin.Sheet{Action: "/redeem", Page: "/redeem", Values: url.Values{"code": {"NAR-7Q2K-4MXD-H8TE"}}, Faults: []admin.Fault{{Name: "anyway", Text: in(lang, "It is somebody else’s.", "از دیگری است.")}}}, Anyway: true}},
		{"offer-codes", "admin/offer-codes", admin.OfferCodes{Frame: f, Title: in(lang, "Thanks 2026", "سپاس ۱۴۰۵"), Filter: admin.Sheet{Action: "/codes", Values: url.Values{"q": {"NAR"}}}, All: "/codes", Back: "/offers/1", Next: "/next", Language: lang,
			Codes: []admin.CodeRow{{Code: "NAR-7Q2K-4MXD-H8TE", Person: "/people/1", Email: "sara@example.org", Name: in(lang, "Sara", "سارا"), State: in(lang, "redeemed", "به‌کاررفته"), Tone: "yes", Order: "BB-1001", Issued: asked, Until: asked, Redeemed: &asked}}}},
		{"imports", "admin/imports", admin.Imports{Frame: f, New: "/new", Next: "/next", Imports: []admin.ImportLine{{URL: "/imports/1", Name: "list.csv", State: in(lang, "done", "پایان‌یافته"), Tone: "yes", When: in(lang, "yesterday", "دیروز"), Begun: true, Rows: 1204, Recorded: 1100, Waiting: 12}, {URL: "/imports/2", Name: "new.csv", State: in(lang, "not begun", "آغازنشده"), Tone: "ask"}}}},
		{"import-new", "admin/import-new", admin.ImportUpload{Frame: f, Sheet: admin.Sheet{Action: "/imports/new", Faults: []admin.Fault{{Name: "file", Text: in(lang, "There is nothing in this file.", "در این پرونده چیزی نیست.")}}}, Back: "/imports", Most: 200}},
		{"import-plan", "admin/import-plan", admin.ImportPlan{Frame: f, Title: "list.csv", Lead: in(lang, "About 1,204 rows.", "نزدیک به ۱۲۰۴ ردیف."), Sheet: admin.Sheet{Action: "/plan", Values: url.Values{"column.0": {"email"}}, Faults: []admin.Fault{{Name: "topics", Text: in(lang, "Please choose.", "لطفاً برگزینید.")}, {Name: "attribute.column.0", Text: in(lang, "No name.", "نام نیست.")}}},
			Columns: []admin.ImportColumn{{N: 1, Name: "E-mail", Examples: []string{"sara@example.org"}, Field: "column.0", Attribute: "attribute.column.0"}, {N: 2, Field: "column.1", Attribute: "attribute.column.1"}}, Uses: []admin.Choice{{Value: "email", Label: in(lang, "e-mail", "ایمیل")}},
			Dates: []admin.Choice{{Value: "iso", Label: "x"}}, Same: []admin.SameFile{{URL: "/imports/1", Text: in(lang, "It was imported before.", "پیش‌تر آورده شده است.")}}, Ask: "?", Throw: "/throw", Topics: []admin.Choice{{Value: "1", Label: dashboard.Topics[0].Name, Hint: in(lang, "A year.", "یک سال.")}},
			EvidenceFields: admin.EvidenceFields{Bases: []admin.Choice{{Value: "explicit", Label: in(lang, "they said yes", "بله گفته‌اند")}}, Speaks: []admin.Choice{{Value: "en", Label: "English"}, {Value: "fa", Label: "فارسی"}}}}},
		{"import", "admin/import", admin.ImportPage{Frame: f, Title: "list.csv", State: in(lang, "being read", "در حال خواندن"), Tone: "ask", When: in(lang, "now", "اکنون"), Lead: in(lang, "1,204 rows read.", "۱۲۰۴ ردیف خوانده شد."), Live: "/live", Acts: []admin.Act{{ID: "act-stop", Label: in(lang, "Stop", "نگه دار"), To: "/stop"}}, Begun: true, Size: 4000, Place: 1000,
			Counts: importer.Counts{RowsRead: 1204, Recorded: 1100, Waiting: 100, Dropped: 2, Refused: 2}, Waiting: "/waiting", Topics: []string{dashboard.Topics[0].Name, dashboard.Topics[1].Name}, Basis: in(lang, "they said yes", "بله گفته‌اند"), Columns: []admin.ImportUse{{Name: "E-mail", Use: in(lang, "e-mail", "ایمیل")}}, Until: asked, Download: "/report", Next: "/next",
			Refusals: []admin.RefusalLine{{Line: 12, Place: "E-mail", Value: "sara@", Text: in(lang, "No address.", "نشانی نیست.")}, {Line: 14, Left: true, Text: in(lang, "Left.", "رفته است.")}}}},
		{"import-waiting", "admin/import-waiting", admin.ImportWaiting{Frame: f, Title: "list.csv", Lead: in(lang, "12 rows.", "۱۲ ردیف."), Until: asked, Topics: []string{dashboard.Topics[0].Name}, Sheet: &admin.Sheet{Action: "/waiting"}, Drop: "/drop", Ask: "?", Back: "/imports/1", First: "/first",
			Lines: []admin.QuarantineLine{{Line: 12, Email: "sara@example.org", Name: "Sara", Lacks: in(lang, "the day is missing", "روز معلوم نیست")}}}},
		{"log", "admin/log", admin.AuditLog{Frame: f, Next: "/log?before=1", First: "/log", Deeds: []admin.DeedLine{{At: asked, Who: "Mina", Text: in(lang, "Made the topic", "موضوع را ساخت"), Name: "letter"}}}},
		{"help", "admin/help", helpStart(f, lang)},
		{"help-page", "admin/help-page", admin.HelpPage{Frame: f, Title: helpBook(lang)[0].Title, Lead: "<p>…</p>", Sections: []admin.HelpSection{{ID: "one", Title: "1"}, {ID: "two", Title: "2"}, {ID: "three", Title: "3", Body: "<p>…</p>"}}, Words: true,
			Pages: helpBook(lang), Before: &helpBook(lang)[0], After: &helpBook(lang)[1], About: f.Nav, All: "/help"}},
		{"parts", "admin/parts", admin.Parts{Frame: f, Sheet: sheet, Wrong: admin.Sheet{Faults: []admin.Fault{{Name: "wrong", Text: in(lang, "This cannot be read.", "این خواندنی نیست.")}}}, Changed: changed, Now: asked, Pick: "/pick", Here: "/parts", Theme: "dark",
			Themes: []admin.Tab{{View: in(lang, "Light", "روشن"), URL: "/parts?theme=light"}, {View: in(lang, "Dark", "تیره"), URL: "/parts?theme=dark", Current: true}}, Choices: []admin.Choice{{Value: "first", Label: in(lang, "The first", "نخست"), Hint: in(lang, "Usual.", "معمول.")}}}},
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
	all = append(append(all, sample{"desk-receipt", "admin/receipt", deskReceipt(f, lang)}), requestSamples(lang, f)...)
	return append(append(all, desk...), sendingSamples(lang, f)...)
}

// requestSamples are what people ask for under the law, with its clock.
func requestSamples(lang string, f admin.Frame) []sample {
	l := i18n.For(lang)
	line := admin.RequestLine{URL: "/admin/b/baharan/requests/1", Who: "sara@example.org", Kind: l.T("privacy.kind.access"), Way: l.T("privacy.way.letter"),
		At: asked, Due: asked.AddDate(0, 1, 0), State: l.T("privacy.open"), Left: l.N("admin.requests.left", 12)}
	late, ended, erased := line, line, line
	late.Kind, late.Overdue, late.Left, late.Way = l.T("privacy.kind.erasure"), true, l.N("admin.requests.late", 2), l.T("privacy.way.preferences")
	ended.Closed, ended.Left, ended.State = asked.AddDate(0, 0, 4), "", l.T("privacy.outcome.refused")
	erased.Who, erased.Closed, erased.Left, erased.Kind, erased.State = "", asked, "", l.T("privacy.kind.erasure"), l.T("privacy.outcome.done")
	var kinds, ways, outcomes []admin.Choice
	for _, k := range privacy.Kinds {
		kinds = append(kinds, admin.Choice{Value: k, Label: l.T("privacy.kind." + k)})
	}
	for _, w := range privacy.Ways {
		ways = append(ways, admin.Choice{Value: w, Label: l.T("privacy.way." + w)})
	}
	for _, o := range []string{privacy.Done, privacy.Refused, privacy.Withdrawn} {
		outcomes = append(outcomes, admin.Choice{Value: o, Label: l.T("privacy.outcome." + o)})
	}
	sheet := admin.Sheet{Action: "/x", Page: "/x", Values: url.Values{}}
	wrong := admin.Sheet{Action: "/x", Page: "/x", Values: url.Values{"way": {privacy.WayPhone}, "kind": {privacy.Objection}, "email": {"sara@example.org"}},
		Faults: []admin.Fault{{Name: "identity", Text: l.T("privacy.identity")}}}
	refused := admin.Sheet{Action: "/x", Page: "/x", Values: url.Values{"outcome": {privacy.Refused}}, Faults: []admin.Fault{{Name: "answer", Text: l.T("privacy.refusal")}}}
	acts := []admin.ActLine{{At: asked, What: l.T("privacy.act.opened"), By: in(lang, "Mina", "مینا"), Text: in(lang, "She showed her card.\n\nWhat do you know of me?", "کارتش را نشان داد.\n\nاز من چه می‌دانید؟")},
		{At: asked.Add(time.Hour), What: l.T("privacy.act.exported"), By: in(lang, "Mina", "مینا")}}
	open := admin.RequestPage{Frame: f, RequestLine: line, Person: "/admin/b/baharan/people/1", Acts: acts, Sheet: sheet, Note: "/note", Extend: "/extend", Export: "/export",
		Close: "/close", Outcomes: outcomes, Back: "/admin/b/baharan/requests"}
	again, over, toErase := open, open, open
	again.Sheet = refused
	over.RequestLine, over.Extend, over.Export, over.Close = ended, "", "", ""
	toErase.RequestLine, toErase.Export, toErase.Erase = late, "", "/erase"
	return []sample{
		{"requests", "admin/requests", admin.Requests{Frame: f, Lead: l.N("admin.requests.overdue", 1), Overdue: true, Lines: []admin.RequestLine{late, line}, New: "/new", Closed: "?closed=yes", Next: "?after=1"}},
		{"requests-closed", "admin/requests", admin.Requests{Frame: f, Lead: l.T("admin.requests.calm"), Lines: []admin.RequestLine{ended, erased}, New: "/new", OfOpen: "/requests"}},
		{"requests-none", "admin/requests", admin.Requests{Frame: f, Lead: l.T("admin.requests.calm"), New: "/new", Closed: "?closed=yes"}},
		{"desk-request-form", "admin/request-form", admin.RequestForm{Frame: f, Sheet: wrong, Kinds: kinds, Ways: ways, Back: "/requests"}},
		{"desk-request", "admin/request", open}, {"desk-request-wrong", "admin/request", again}, {"desk-request-over", "admin/request", over}, {"desk-request-erase", "admin/request", toErase},
	}
}

// sendingSamples are the pages of how mail leaves, and of what became of it.
func sendingSamples(lang string, f admin.Frame) []sample {
	letter, l := in(lang, "November letter", "نامهٔ آبان"), i18n.For(lang)
	record := &admin.RecordBox{ID: "key-1", Name: "news._domainkey.baharan.example", Type: "TXT", Value: "v=DKIM1; k=rsa; p=MIIB", Zone: `news._domainkey.baharan.example. IN TXT "v=DKIM1; k=rsa; p=MIIB"`}
	sheet := admin.Sheet{Action: "/x", Page: "/x"}
	line := admin.MessageLine{URL: "/messages/1/2", To: "sara@example.org", ToURL: "/people/1", What: letter, Kind: in(lang, "marketing", "بازاریابی"), State: in(lang, "uncertain", "نامعلوم"), Tone: "no", Why: in(lang, "no answer", "پاسخی نیامد"), At: asked}
	return []sample{
		{"sending", "admin/sending", admin.Sending{Frame: f, Lead: in(lang, "Mail leaves through relay.example.", "نامه‌ها می‌رود."), Fault: letter, Halted: true, Ways: []admin.WayLine{{Name: "relay.example:587", Secure: letter, User: "assent", Connections: 10}}, Test: "/test", Domain: "/domain",
			Streams: []admin.StreamLine{{ID: "1", Name: letter, URL: "/campaigns/1", Origin: letter, State: letter, Tone: "no", Why: letter, Waiting: 1200, Oldest: &asked, Waits: []admin.ReasonLine{{Text: letter, N: 14}}, Paced: []string{letter}, Resume: "/resume", AskResume: letter, Rank: "/rank", Rate: 5000}, {ID: "2", Name: letter, State: letter, Pause: "/pause"}},
			Limits:  []admin.LimitLine{{Text: letter, Now: l.Number(50), Full: l.Number(100), State: letter, Tone: "ask", Said: "4.7.28 unusual rate"}}, Rate: &sheet, RatePerHour: 5000, Warm: admin.WarmUpBox{Lead: letter, On: true, Stop: "/stop", Ask: letter, Sheet: sheet}, Sender: "baharan.example",
			Keys: []admin.DKIMKeyLine{{Selector: "news", Algorithm: "RSA", Domain: "old.example", State: letter, Tone: "ask", Text: letter, Elsewhere: true, Record: record, Acts: []admin.KeyAct{{To: "/activate", Label: letter, Force: letter}}}}, NewKey: &sheet, Algorithms: []admin.Choice{{Value: "rsa", Label: "RSA"}}}},
		{"sending-test", "admin/sending-test", admin.TrialPage{Frame: f, Sheet: sheet, Back: "/sending", Ways: []admin.Choice{{Value: "0", Label: "a"}, {Value: "1", Label: "b"}}, Speaks: []admin.Choice{{Value: "en", Label: "English"}}, Lead: letter, Do: letter, Tone: "no", Spoken: []admin.SpokenLine{{By: "ours", Who: letter, Text: "EHLO x", Means: letter}, {By: "theirs", Who: letter, Text: "550 no", Tone: "no"}}}},
		{"sending-domain", "admin/sending-domain", admin.DomainCheck{Frame: f, Domain: "baharan.example", Back: "/sending", Sheet: sheet, Lead: letter, Tone: "no", At: asked, Findings: []admin.FindingLine{{Part: letter, State: letter, Tone: "no", Text: letter, Do: letter, Found: []string{"v=spf1 -all"}, Record: record}}}},
		{"messages", "admin/messages", admin.Messages{Frame: f, Filter: sheet, States: []admin.Choice{{Label: letter}}, Kinds: []admin.Choice{{Label: letter}}, Streams: []admin.Choice{{Label: letter}}, Source: "1", Filtered: true, All: "/messages", Messages: []admin.MessageLine{line, {URL: "/m", Unsaid: letter, What: letter, State: letter, At: asked}}, LookedTo: &asked, First: "/first", Next: "/next"}},
		{"message", "admin/message", admin.MessagePage{Frame: f, MessageLine: line, Title: letter, Means: letter, Fault: letter, MessageID: "1@baharan.example", Language: "English", Opens: true, Due: &asked, Code: l.Digits("250"), Reply: "2.0.0 queued", Consent: &admin.ConsentBox{Topic: letter, State: letter, Tone: "yes", Method: letter, At: asked, Wording: letter, Lang: lang, Dir: l.Dir(), EventID: "x"},
			Happened: []admin.Happening{{At: asked, Tone: "yes", Text: letter, Extra: letter}}, Mail: "/mail", Settle: "/settle", AskSent: letter, AskFailed: letter, Source: "/messages?source=1", Back: "/messages", StreamURL: "/campaigns/1"}},
		{"queues", "admin/queues", admin.Queues{Frame: f, Live: "/live", Lead: letter, More: letter, Whole: true, Fault: letter, Queues: []admin.Queue{{Name: letter, Waiting: 3, Oldest: time.Minute, Age: letter}}, Jobs: []admin.JobLine{{Name: letter, Due: 2, Failed: 1, Late: true, Said: "not today", Again: &asked}, {Name: letter, Lane: true}},
			Nodes: []admin.NodeLine{{Host: "mail-1", ID: "019a1f5c-7c00-7000-8000-000000000011", State: letter, Tone: "ask", Text: letter, Since: asked, InHand: 3, Lost: "/lost", Ask: letter}}}},
	}
}

func helpBook(lang string) []admin.HelpLink {
	return []admin.HelpLink{{URL: "/help/first-day", Title: in(lang, "Your first day", "روز نخست"), Summary: in(lang, "From an empty brand to the first letter.", "از برند خالی تا نخستین نامه."), Current: true},
		{URL: "/help/topics", Title: in(lang, "Topics", "موضوع‌ها"), Summary: in(lang, "What people say yes to.", "آنچه افراد به آن بله می‌گویند.")}}
}

func helpStart(f admin.Frame, lang string) admin.Help {
	return admin.Help{Frame: f, Action: "/help", Keep: []admin.Choice{{Label: "lang", Value: lang}}, Search: "DKIM", Pages: helpBook(lang),
		Found: []admin.HelpFound{{URL: "/help/words#dkim", Title: "DKIM", Page: in(lang, "Words", "واژه‌ها"), Excerpt: []help.Piece{{Text: "DKIM", Hit: true}, {Text: in(lang, " signs.", " امضا می‌کند.")}}}}}
}

// bare are all pages with nothing in them but what they cannot be without.
func bare() []sample {
	return []sample{
		{"", "public/form", public.Form{Title: "x"}}, {"", "public/form-done", public.FormDone{}}, {"", "public/form", public.Form{Title: "x", Prove: &public.Prove{Done: "x"}}}, {"", "public/confirm-second", public.ConfirmSecond{}},
		{"", "public/confirm", public.Confirm{}}, {"", "public/confirm", public.Confirm{NotMe: true}},
		{"", "public/confirm-done", public.ConfirmDone{}}, {"", "public/confirm-already", public.ConfirmDone{}},
		{"", "public/keep", public.Keep{}}, {"", "public/keep-done", public.Keep{State: "no"}}, {"", "public/declined", public.Declined{}}, {"", "public/declined", public.Declined{Again: "/c/x"}},
		{"", "public/tracking", public.Tracking{}},
		{"", "public/declined", public.Declined{}}, {"", "public/declined", public.Declined{Again: "/c/x"}},
		{"", "public/notme-done", public.NotMe{}}, {"", "public/confirm-expired", public.Expired{}},
		{"", "public/leave", public.Leave{}}, {"", "public/leave-done", public.LeaveDone{}},
		{"", "public/preferences", public.Preferences{}}, {"", "public/often", public.Often{}}, {"", "public/about", public.About{}}, {"", "public/groups", public.Groups{}}, {"", "public/mails", public.Mails{}}, {"", "public/view", public.View{}},
		{"", "public/why", public.Why{}}, {"", "public/why", public.Why{Given: true, Method: consent.MethodAPI}},
		{"", "public/data", public.PersonalData{}}, {"", "public/forget", public.Forget{}}, {"", "public/forgotten", public.Forgotten{}}, {"", "public/request", public.AskForm{}}, {"", "public/request-done", public.AskDone{}},
		{"", "public/address-confirm", public.AddressConfirm{}}, {"", "public/address-done", public.AddressDone{}},
		{"", "public/error", public.Error{Kind: "internal"}}, {"", "public/receipt", public.Receipt{}}, {"", "admin/receipt", admin.ReceiptPage{}}, {"", "public/log", public.LogPage{}},
		{"", "admin/signin", admin.SignIn{}}, {"", "admin/dashboard", admin.Dashboard{}},
		{"", "admin/tracking", admin.TrackingPage{}}, {"", "admin/ideas", admin.Ideas{}}, {"", "admin/idea", admin.IdeaPage{}}, {"", "admin/community", admin.CommunityPage{}},
		{"", "public/ideas", public.Ideas{}}, {"", "public/invite", public.Invite{}}, {"", "admin/topics", admin.Topics{}}, {"", "admin/topic", admin.TopicForm{}}, {"", "admin/log", admin.AuditLog{}}, {"", "admin/parts", admin.Parts{}},
		{"", "admin/mailbox", admin.Mailbox{}}, {"", "admin/mailbox", admin.Mailbox{Search: "x", Selected: &admin.Letter{}}},
		{"", "admin/mailbox", admin.Mailbox{Selected: &admin.Letter{View: "text"}}},
		{"", "admin/list", admin.List{Title: "x"}}, {"", "admin/campaign-form", admin.CampaignForm{}}, {"", "admin/campaign", admin.CampaignPage{}}, {"", "admin/campaign-schedule", admin.SchedulePage{}},
		{"", "admin/requests", admin.Requests{}}, {"", "admin/request-form", admin.RequestForm{}}, {"", "admin/request", admin.RequestPage{}},
		{"", "admin/people", admin.People{}}, {"", "admin/people-bulk", admin.Bulk{}}, {"", "admin/person", admin.Person{}}, {"", "admin/suppressions", admin.Suppressions{}}, {"", "admin/suppression", admin.Suppression{}},
		{"", "admin/people", admin.People{}}, {"", "admin/people-bulk", admin.Bulk{}}, {"", "admin/person", admin.Person{}}, {"", "admin/permission", admin.PermissionForm{}}, {"", "admin/suppressions", admin.Suppressions{}}, {"", "admin/suppression", admin.Suppression{}},
		{"", "admin/setup", admin.Setup{}}, {"", "admin/welcome", admin.Welcome{}}, {"", "admin/forgotten", admin.Forgotten{}}, {"", "admin/reset", admin.Reset{}}, {"", "admin/invitation", admin.InvitationPage{}}, {"", "admin/account", admin.Own{}},
		{"", "admin/brand-new", admin.BrandForm{}}, {"", "admin/settings", admin.BrandForm{}}, {"", "admin/team", admin.Team{}}, {"", "admin/keys", admin.Keys{}},
		{"", "admin/help", admin.Help{}}, {"", "admin/help", admin.Help{Search: "x"}}, {"", "admin/help-page", admin.HelpPage{Title: "x"}},
		{"", "admin/forms", admin.Forms{}}, {"", "admin/form", admin.FormPage{}}, {"", "admin/form-designer", admin.FormDesigner{}}, {"", "admin/form-card", admin.FormCard{}}, {"", "public/form-widget", public.FormWidget{}},
		{"", "admin/alarms", admin.Alarms{}}, {"", "admin/alarms", admin.Alarms{Open: []admin.AlarmLine{{}}, Past: []admin.AlarmLine{{}}}},
		{"", "admin/sequence-form", admin.SequenceForm{}}, {"", "admin/sequence", admin.SequencePage{}}, {"", "admin/sequence-letter", admin.LetterPage{}},
		{"", "admin/sequence-people", admin.WaitingPage{}}, {"", "admin/sequence-enroll", admin.EnrollPage{}},
		{"", "admin/offer-form", admin.OfferForm{Title: "x"}}, {"", "admin/offer", admin.OfferPage{}}, {"", "admin/offer-codes", admin.OfferCodes{}},
		{"", "admin/people", admin.People{}}, {"", "admin/person", admin.Person{}}, {"", "admin/suppressions", admin.Suppressions{}}, {"", "admin/suppression", admin.Suppression{}},
		{"", "admin/sending", admin.Sending{}}, {"", "admin/sending-test", admin.TrialPage{}}, {"", "admin/sending-domain", admin.DomainCheck{}}, {"", "admin/messages", admin.Messages{}}, {"", "admin/message", admin.MessagePage{Title: "x"}}, {"", "admin/queues", admin.Queues{}},
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
		consent.MethodReceipt, consent.MethodReconciled, consent.MethodAPI, consent.MethodImport, consent.MethodOperator, consent.MethodLapse, consent.MethodNotMe, consent.MethodRequestExpired} {
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
	if at := keyless.FindString(strings.NewReplacer("{{ subscriber.", "", "{{ offer.", "").Replace(page)); at != "" { // what a marketer is told to write
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
