package app

import (
	"embed"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/offer"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
)

// furnish makes the demo in one transaction, so that it is there whole or not
// at all. The people come before the sequence starts: nobody who is on record
// already is welcomed.
func (a *App) furnish(tx *store.Tx, dkim []byte) error {
	shop := a.URLs.Base.String() + "/demo"
	b, err := brand.Create(tx, brand.New{
		Slug: demoSlug, Name: "Baharan Books", PostalAddress: "21 Plane Tree Street\nTehran, Iran",
		SenderEmail: "letters@baharan.example", Website: shop, PrivacyURL: shop + "#privacy",
		Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran", Jurisdiction: "IR",
		Texts: map[string]brand.Text{"fa": {
			Name: "کتاب بهاران", SenderName: "کتاب بهاران", PostalAddress: "خیابان چنار، پلاک ۲۱\nتهران، ایران",
			PrivacyURL: shop + "?lang=fa#privacy",
		}},
	})
	if err != nil {
		return err
	}
	if _, err := brand.FirstDKIMKey(tx, b.ID, "assent", dkim); err != nil {
		return err
	}
	if err := consent.PrepareBrand(tx, b); err != nil {
		return err
	}
	topics, err := demoTopics(tx, b)
	if err != nil {
		return err
	}
	if err := demoForms(tx, b); err != nil {
		return err
	}
	if err := demoPeople(tx, b, topics); err != nil {
		return err
	}
	return a.startDemo(tx, b, topics, shop)
}

// demoTopics makes the topics and gives all of the brand's by their slugs.
func demoTopics(tx *store.Tx, b brand.Brand) (map[string]consent.Topic, error) {
	for i, n := range []consent.NewTopic{
		{Slug: "letters", PromiseMax: 1, PromiseDays: 7, Texts: map[string]consent.TopicText{
			"en": {Name: "Readers’ letter", Description: "One book we have read, once a week at most.",
				Wording: "Yes, Baharan Books may send me the readers’ letter by e-mail. I can stop it at any time with the link in every letter."},
			"fa": {Name: "نامهٔ خوانندگان", Description: "هر هفته حداکثر یک نامه، دربارهٔ کتابی که خودمان خوانده‌ایم.",
				Wording: "بله، کتاب بهاران می‌تواند نامهٔ خوانندگان را به ایمیلم بفرستد. هر وقت بخواهم با پیوندِ درون هر نامه آن را متوقف می‌کنم."},
		}},
		{Slug: "offers", PromiseMax: 2, PromiseDays: 30, Texts: map[string]consent.TopicText{
			"en": {Name: "Offers", Description: "Discounts and thank-yous for people who come back.",
				Wording: "Yes, Baharan Books may send me offers by e-mail. I can stop them at any time with the link in every mail."},
			"fa": {Name: "پیشنهادها", Description: "تخفیف‌ها و سپاس‌هایی برای کسانی که دوباره سر می‌زنند.",
				Wording: "بله، کتاب بهاران می‌تواند پیشنهادهایش را به ایمیلم بفرستد. هر وقت بخواهم با پیوندِ درون هر نامه آن را متوقف می‌کنم."},
		}},
		{Slug: "events", Texts: map[string]consent.TopicText{
			"en": {Name: "Events", Description: "Readings, the Thursday circle and the children’s hour, when there is one.",
				Wording: "Yes, Baharan Books may invite me to its evenings by e-mail. I can stop the invitations at any time with the link in every mail."},
			"fa": {Name: "دیدارها", Description: "شب‌های کتاب‌خوانی، حلقهٔ پنجشنبه‌ها و ساعت بچه‌ها، هر وقت برپا باشد.",
				Wording: "بله، کتاب بهاران می‌تواند مرا با ایمیل به دیدارهایش دعوت کند. هر وقت بخواهم با پیوندِ درون هر نامه آن را متوقف می‌کنم."},
		}},
	} {
		n.Position = i
		if _, err := consent.CreateTopic(tx, b, n); err != nil {
			return nil, err
		}
	}
	all, err := consent.Topics(tx, b.ID)
	if err != nil {
		return nil, err
	}
	bySlug := map[string]consent.Topic{}
	for _, t := range all {
		bySlug[t.Slug] = t
	}
	return bySlug, nil
}

func demoForms(tx *store.Tx, b brand.Brand) error {
	name := signup.Field{Name: "name", Type: "text"}
	for formName, spec := range map[string]signup.Spec{
		demoLetters: {
			Fields: []signup.Field{name}, Topics: []string{"letters", "offers", "events"}, Tracking: []string{"opens", "clicks"},
			Texts: map[string]signup.Text{
				"en": {Title: "Letters from Baharan Books", Intro: "Choose what you would like to hear from us. Nothing is chosen for you.",
					Button: "Write to me", Message: "Almost there. We have sent you a short mail; press its button, and you are on the list."},
				"fa": {Title: "نامه‌های کتاب بهاران", Intro: "خودتان برگزینید که چه نامه‌هایی از ما بگیرید. ما چیزی را از پیش برنگزیده‌ایم.",
					Button: "برایم بنویسید", Message: "یک قدم مانده است. نامهٔ کوتاهی برایتان فرستادیم؛ دکمهٔ درون آن را بزنید تا در فهرست باشید."},
			},
		},
		demoShort: {
			Topics: []string{"letters"},
			Texts: map[string]signup.Text{
				"en": {Title: "One letter a week", Intro: "About one book we have read. Nothing else.", Button: "Send me the letter"},
				"fa": {Title: "هفته‌ای یک نامه", Intro: "دربارهٔ کتابی که خودمان خوانده‌ایم، و نه چیز دیگر.", Button: "نامه را برایم بفرستید"},
			},
		},
	} {
		if _, err := signup.Create(tx, b, formName, spec); err != nil {
			return err
		}
	}
	return nil
}

// startDemo makes what sends: a sequence and an offer that run, and a campaign
// that is still a draft.
func (a *App) startDemo(tx *store.Tx, b brand.Brand, topics map[string]consent.Topic, shop string) error {
	letters := topics["letters"].ID
	var steps []sequence.Step
	for i, wait := range []*sequence.Wait{nil, {Days: 3, Until: "09:00"}, {Weeks: 2}} {
		mail, err := delivery.SaveContent(tx, b.ID, demoMail(fmt.Sprintf("welcome-%d", i+1), shop))
		if err != nil {
			return err
		}
		if wait != nil {
			steps = append(steps, sequence.Step{Wait: wait})
		}
		steps = append(steps, sequence.Step{Send: &mail})
	}
	s, err := sequence.Create(tx, b, sequence.New{Name: "Welcome", Topic: letters, Steps: steps})
	if err != nil {
		return err
	}
	if _, err := sequence.Start(tx, b.ID, s.ID); err != nil {
		return err
	}
	if err := startDemoOffer(tx, b, topics["offers"].ID, shop); err != nil {
		return err
	}
	_, err = campaign.Create(tx, b, campaign.New{Name: "The book that smells of rain", Topic: letters, Texts: demoMail("letter", shop)})
	return err
}

func startDemoOffer(tx *store.Tx, b brand.Brand, topic uuid.UUID, shop string) error {
	mail, err := delivery.SaveContent(tx, b.ID, demoMail("thanks", shop))
	if err != nil {
		return err
	}
	o, err := offer.Create(tx, b, offer.New{
		Name: demoThanks, Topic: topic, Content: mail,
		ValueKind: offer.Percent, Value: 15, ValidDays: 30, Budget: 500, MinOrders: 3, MinMonths: 12,
		Texts: map[string]offer.Text{
			"en": {Title: "Thank you for coming back", Terms: "One order, in the shop or online. Not for vouchers, and not together with another code."},
			"fa": {Title: "سپاس که دوباره آمدید", Terms: "برای یک سفارش، در کتاب‌فروشی یا اینترنتی. برای کارت هدیه و همراه با کد دیگر به کار نمی‌آید."},
		},
	})
	if err != nil {
		return err
	}
	_, err = offer.Start(tx, b.ID, o.ID, func(tx *store.Tx, brandID, offerID uuid.UUID) error {
		return delivery.OpenStream(tx, brandID, delivery.OriginOffer, offerID)
	})
	return err
}

// demoOffer finds the offer; none is no fault, for it may have been renamed.
func demoOffer(tx *store.Tx, b brand.Brand) (uuid.UUID, error) {
	all, err := offer.List(tx, b.ID)
	if err != nil {
		return uuid.Nil, err
	}
	for _, o := range all {
		if o.Name == demoThanks {
			return o.ID, nil
		}
	}
	return uuid.Nil, nil
}

// The mails: a head of Subject and Preheader, an empty line, and HTML, in
// Liquid all of it.
//
//go:embed demo/*.html
var demoMails embed.FS

// shopAddress is what the mails call the shop; in the demo its page is ours.
const shopAddress = "https://baharan.example"

// demoMail reads a mail in both languages. The files are part of the program,
// and a test reads them all, so what is wrong with one panics.
func demoMail(name, shop string) []delivery.Text {
	var texts []delivery.Text
	for _, lang := range []string{"en", "fa"} {
		raw, err := demoMails.ReadFile("demo/" + name + "." + lang + ".html")
		if err != nil {
			panic(err)
		}
		address := shop
		if lang != "en" {
			address += "?lang=" + lang
		}
		head, body, ok := strings.Cut(strings.ReplaceAll(string(raw), shopAddress, address), "\n\n")
		subject, preheader, two := strings.Cut(head, "\n")
		if !ok || !two {
			panic("the demo's mail " + name + " has no head")
		}
		texts = append(texts, delivery.Text{Language: lang, Subject: strings.TrimPrefix(subject, "Subject: "),
			Preheader: strings.TrimPrefix(preheader, "Preheader: "), HTML: body})
	}
	return texts
}
