package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// brands: the controllers in whose name mail is sent. Making and listing them
// is for keys of the installation; a brand's own key sees and changes its own.
func (h *house) brands() {
	writeBefore(h, action{http.MethodPost, "/brands", "createBrand", "brands:write", "brands", "Make a brand",
		"Makes the brand with its two tracking permissions (opens, clicks) and an RSA-2048 DKIM key for the domain of its sender, which signs at once. Publish the record under dns before the first mail.",
		http.StatusCreated, true}, h.firstDKIMKey, createBrand)
	read(h, action{http.MethodGet, "/brands", "listBrands", "brands:read", "brands", "List the brands", "", 0, true}, listBrands)
	read(h, action{http.MethodGet, "/brand", "getBrand", "brands:read", "brands", "Get the brand acted for", "", 0, false}, getBrand)
	write(h, action{http.MethodPatch, "/brand", "updateBrand", "brands:write", "brands", "Change the brand acted for",
		"What is not named stays. The slug stays for ever.", 0, false}, updateBrand)
}

type brandText struct {
	Name          string `json:"name,omitempty" maxLength:"200" example:"چای شمال"`
	PostalAddress string `json:"postal_address,omitempty" maxLength:"500" example:"خیابان چای ۱\nلاهیجان"`
	SenderName    string `json:"sender_name,omitempty" maxLength:"200" example:"چای شمال"`
	PrivacyURL    string `json:"privacy_url,omitempty" maxLength:"500" example:"https://north-tea.example/fa/privacy"`
}

type brandNew struct {
	Slug          string               `json:"slug" maxLength:"64" doc:"Names the brand in addresses and headers; never changes." example:"north-tea"`
	Name          string               `json:"name" maxLength:"200" example:"North Tea"`
	PostalAddress string               `json:"postal_address" maxLength:"500" doc:"Stands in every marketing mail. Lines are separated by \\n." example:"1 Tea Street\nLeeds LS1 1AA"`
	SenderName    string               `json:"sender_name,omitempty" maxLength:"200" doc:"The name, if left out." example:"North Tea"`
	SenderEmail   string               `json:"sender_email" maxLength:"254" example:"hello@north-tea.example"`
	ReplyTo       string               `json:"reply_to,omitempty" maxLength:"254" example:"care@north-tea.example"`
	Website       string               `json:"website,omitempty" maxLength:"500" example:"https://north-tea.example"`
	PrivacyURL    string               `json:"privacy_url,omitempty" maxLength:"500" example:"https://north-tea.example/privacy"`
	Language      string               `json:"language" maxLength:"35" doc:"The default (BCP 47)." example:"en"`
	Languages     []string             `json:"languages,omitempty" maxItems:"20" doc:"All that are offered; the default alone, if left out." example:"[\"en\",\"fa\"]"`
	Texts         map[string]brandText `json:"texts,omitempty" doc:"By language: what differs from the fields above."`
	TimeZone      string               `json:"time_zone" maxLength:"64" doc:"IANA name." example:"Europe/London"`
	Jurisdiction  string               `json:"jurisdiction,omitempty" maxLength:"10" doc:"ISO 3166 code of the law it stands under." example:"GB"`
	SignedBy      string               `json:"signed_by,omitempty" enum:"us,relay" doc:"Who signs the mail (DKIM): us, if left out, with the brand's active keys, or the mail server that takes it from us." example:"us"`
}

type brandAnswer struct {
	ID uuid.UUID `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000001"`
	brandNew
	CapMax       int    `json:"cap_max,omitempty" doc:"At most so many marketing mails to one person, over all topics …" example:"4"`
	CapDays      int    `json:"cap_days,omitempty" doc:"… in so many days." example:"30"`
	SilentMonths int    `json:"silent_months,omitempty" doc:"People are asked once after so many months of silence; 0: never." example:"12"`
	SilentDays   int    `json:"silent_days,omitempty" doc:"… and have so many days to answer." example:"30"`
	QuietFrom    string `json:"quiet_from,omitempty" doc:"No marketing mail begins from this time …, in the reader's own zone." example:"21:00"`
	QuietUntil   string `json:"quiet_until,omitempty" doc:"… until this one." example:"08:00"`

	RatePerHour int        `json:"rate_per_hour,omitempty" doc:"At most so many mails an hour, all campaigns and sequences together." example:"50000"`
	WarmUpFrom  *time.Time `json:"warm_up_from,omitempty" doc:"When the brand began to send under its domain, as an unknown." example:"2026-11-30T00:00:00Z"`

	DNS       []dnsRecord `json:"dns,omitempty" doc:"What has to stand in the domain of the sender, so that mail is signed: the records of the keys that sign."`
	CreatedAt time.Time   `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt time.Time   `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

type dnsRecord struct {
	Name  string `json:"name" example:"assent-1f2e3d4c._domainkey.north-tea.example"`
	Type  string `json:"type" example:"TXT"`
	Value string `json:"value" example:"v=DKIM1; k=rsa; p=MIIB…"`
	Zone  string `json:"zone" doc:"The same as a line of a zone file, in strings of at most 255 characters." example:"assent-1f2e3d4c._domainkey.north-tea.example. IN TXT \"v=DKIM1; k=rsa; p=MIIB…\" \"…\""`
}

func showBrand(b brand.Brand) brandAnswer {
	a := brandAnswer{CapMax: b.CapMax, CapDays: b.CapDays, SilentMonths: b.SilentMonths, SilentDays: b.SilentDays, QuietFrom: b.QuietFrom, QuietUntil: b.QuietUntil,
		RatePerHour: b.RatePerHour, WarmUpFrom: utc(b.WarmUpFrom), ID: b.ID, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC(), brandNew: brandNew{
			Slug: b.Slug, Name: b.Name, PostalAddress: b.PostalAddress, SenderName: b.SenderName, SenderEmail: b.SenderEmail,
			ReplyTo: b.ReplyTo, Website: b.Website, PrivacyURL: b.PrivacyURL, Language: b.Language, Languages: b.Languages,
			TimeZone: b.TimeZone, Jurisdiction: b.Jurisdiction, SignedBy: b.SignedBy,
		}}
	for lang, t := range b.Texts {
		if a.Texts == nil {
			a.Texts = map[string]brandText{}
		}
		a.Texts[lang] = brandText(t)
	}
	return a
}

// withDNS adds the records of the keys that sign.
func withDNS(tx *store.Tx, b brand.Brand) (brandAnswer, error) {
	a := showBrand(b)
	keys, err := brand.SigningKeys(tx, b)
	for _, k := range keys {
		a.DNS = append(a.DNS, showRecord(k.Public().Record()))
	}
	return a, err
}

func brandTexts(in map[string]brandText) map[string]brand.Text {
	out := map[string]brand.Text{}
	for lang, t := range in {
		out[lang] = brand.Text(t)
	}
	return out
}

func (h *house) firstDKIMKey(context.Context, caller, *struct{ Body brandNew }) ([]byte, error) {
	key, err := h.GenerateKey(brand.RSA)
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	return key, nil
}

// createBrand has its DKIM key made before the transaction, which would
// otherwise hold up every other writer of an SQLite file.
func createBrand(tx *store.Tx, _ caller, in *struct{ Body brandNew }, private []byte) (brandAnswer, error) {
	n := in.Body
	b, err := brand.Create(tx, brand.New{
		Slug: n.Slug, Name: n.Name, PostalAddress: n.PostalAddress, SenderName: n.SenderName, SenderEmail: n.SenderEmail,
		ReplyTo: n.ReplyTo, Website: n.Website, PrivacyURL: n.PrivacyURL, Language: n.Language, Languages: n.Languages,
		Texts: brandTexts(n.Texts), TimeZone: n.TimeZone, Jurisdiction: n.Jurisdiction, SignedBy: n.SignedBy,
	})
	if err != nil {
		return brandAnswer{}, err
	}
	if err := consent.PrepareBrand(tx, b); err != nil {
		return brandAnswer{}, err
	}
	if _, err := brand.FirstDKIMKey(tx, b.ID, "", private); err != nil {
		return brandAnswer{}, fmt.Errorf("give a new brand its key: %w", err)
	}
	return withDNS(tx, b)
}

func listBrands(tx *store.Tx, _ caller, _ *noInput) (list[brandAnswer], error) {
	found, err := brand.List(tx)
	return all(found, showBrand), err
}

func getBrand(tx *store.Tx, c caller, _ *noInput) (brandAnswer, error) { return withDNS(tx, c.brand) }

type brandChange struct {
	Name          *string               `json:"name,omitempty" maxLength:"200" example:"North Tea"`
	PostalAddress *string               `json:"postal_address,omitempty" maxLength:"500" example:"2 Tea Street\nLeeds LS1 1AA"`
	SenderName    *string               `json:"sender_name,omitempty" maxLength:"200" example:"North Tea"`
	SenderEmail   *string               `json:"sender_email,omitempty" maxLength:"254" example:"hello@north-tea.example"`
	ReplyTo       *string               `json:"reply_to,omitempty" maxLength:"254" example:"care@north-tea.example"`
	Website       *string               `json:"website,omitempty" maxLength:"500" example:"https://north-tea.example"`
	PrivacyURL    *string               `json:"privacy_url,omitempty" maxLength:"500" example:"https://north-tea.example/privacy"`
	Language      *string               `json:"language,omitempty" maxLength:"35" example:"en"`
	Languages     *[]string             `json:"languages,omitempty" maxItems:"20" example:"[\"en\",\"fa\"]"`
	Texts         *map[string]brandText `json:"texts,omitempty"`
	TimeZone      *string               `json:"time_zone,omitempty" maxLength:"64" example:"Europe/London"`
	Jurisdiction  *string               `json:"jurisdiction,omitempty" maxLength:"10" example:"GB"`
	CapMax        *int                  `json:"cap_max,omitempty" minimum:"0" maximum:"1000" doc:"At most so many marketing mails to one person, over all topics …; 0 is no cap." example:"4"`
	SilentMonths  *int                  `json:"silent_months,omitempty" minimum:"0" maximum:"60" doc:"People are asked once after so many months of silence; 0: never." example:"12"`
	SilentDays    *int                  `json:"silent_days,omitempty" minimum:"7" maximum:"180" doc:"… and have so many days to answer." example:"30"`
	CapDays       *int                  `json:"cap_days,omitempty" minimum:"0" maximum:"366" doc:"… in so many days." example:"30"`
	QuietFrom     *string               `json:"quiet_from,omitempty" maxLength:"5" doc:"No marketing mail begins from this time …, in the reader's own zone; empty is never." example:"21:00"`
	QuietUntil    *string               `json:"quiet_until,omitempty" maxLength:"5" doc:"… until this one." example:"08:00"`
	RatePerHour   *int                  `json:"rate_per_hour,omitempty" minimum:"0" maximum:"100000000" doc:"At most so many mails an hour, all campaigns and sequences together; 0 is no limit." example:"50000"`
	WarmUpFrom    *string               `json:"warm_up_from,omitempty" maxLength:"35" doc:"When the brand begins to send under a domain that receivers do not know: from then on the mails an hour grow day by day, until after a month there is no limit. Another domain of the sender, or a month of silence, begins anew. Empty: the domain is known." example:"2026-11-30T00:00:00Z"`
	SignedBy      *string               `json:"signed_by,omitempty" enum:"us,relay" doc:"relay: nothing is signed here; see that the mail server that takes the mail does." example:"us"`
}

func updateBrand(tx *store.Tx, c caller, in *struct{ Body brandChange }) (brandAnswer, error) {
	n := in.Body
	change := brand.Change{
		Name: n.Name, PostalAddress: n.PostalAddress, SenderName: n.SenderName, SenderEmail: n.SenderEmail, ReplyTo: n.ReplyTo,
		Website: n.Website, PrivacyURL: n.PrivacyURL, Language: n.Language, Languages: n.Languages, TimeZone: n.TimeZone, Jurisdiction: n.Jurisdiction, SignedBy: n.SignedBy,
		CapMax: n.CapMax, CapDays: n.CapDays, SilentMonths: n.SilentMonths, SilentDays: n.SilentDays, QuietFrom: n.QuietFrom, QuietUntil: n.QuietUntil,
		RatePerHour: n.RatePerHour,
	}
	if n.WarmUpFrom != nil {
		from, err := warmUpFrom(*n.WarmUpFrom)
		if err != nil {
			return brandAnswer{}, err
		}
		change.WarmUpFrom = &from
	}
	if n.Texts != nil {
		texts := brandTexts(*n.Texts)
		change.Texts = &texts
	}
	b, err := brand.Update(tx, c.brand.ID, change)
	if err != nil {
		return brandAnswer{}, err
	}
	return withDNS(tx, b)
}

// warmUpFrom reads a time, or nothing: the zero time, which ends a warm-up.
func warmUpFrom(text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil || at.Year() < 2000 || at.Year() > 2200 {
		return at, problem.InvalidField("warm_up_from", "api.time")
	}
	return at, nil
}
