package app

import (
	"net/url"
	"strings"
	"testing"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/config"
	"assent/internal/mailauth"
	"assent/internal/store"
	"assent/internal/testkit"
)

// aBrand makes one with a key, in the database of the settings.
func aBrand(t *testing.T, s config.Settings) (key brand.DKIMKey) {
	t.Helper()
	db, _, err := OpenDB(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	private, err := compose.GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *store.Tx) error {
		b, err := brand.Create(tx, brand.New{Slug: "north-tea", Name: "North Tea", PostalAddress: "1 Tea Street", SenderEmail: "hello@north-tea.example", Language: "en", TimeZone: "Europe/London"})
		if err != nil {
			return err
		}
		key, err = brand.FirstDKIMKey(tx, b.ID, "", private)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func domains(found []Finding) (ill, warned []string, well string) {
	for _, f := range found {
		switch {
		case f.Part != "domain":
		case f.Err != nil:
			ill = append(ill, f.Say())
		case f.Warning:
			warned = append(warned, f.Say())
		default:
			well = f.Say()
		}
	}
	return ill, warned, well
}

func TestExamineLooksAtTheDomains(t *testing.T) {
	names, mail := testkit.DNS(t), testkit.SMTP(t)
	s := settingsOf(t, "ASSENT_DNS="+names.Addr, "ASSENT_SMTP_URL="+mail.URL)
	if ill, warned, well := domains(Examine(t.Context(), s)); ill != nil || warned != nil || well != "" {
		t.Errorf("without a database: %q %q %q", ill, warned, well)
	}
	migrate(t, s)
	record := aBrand(t, s).Public().Record()

	ill, warned, well := domains(Examine(t.Context(), s))
	said := strings.Join(ill, "\n")
	if len(ill) != 4 || len(warned) != 0 || well != "north-tea: well: TLS" || !strings.Contains(said, "north-tea: DKIM: There is no record at "+record.Name) || !strings.Contains(said, record.Zone()) {
		t.Errorf("with nothing published: %q %q %q", ill, warned, well)
	}
	names.TXT("north-tea.example", "v=spf1 ip4:198.51.100.7 ?all")
	names.MX("north-tea.example", "10 mx.north-tea.example")
	names.Host("mx.north-tea.example", "198.51.100.8")
	names.TXT(record.Name, record.Value)
	names.Break("_dmarc.north-tea.example")
	ill, warned, well = domains(Examine(t.Context(), s))
	if len(ill) != 0 || len(warned) != 2 || !strings.Contains(strings.Join(warned, "\n"), "DMARC: The name servers gave no answer. Look again") || well != "north-tea: well: DKIM, MX, TLS" {
		t.Errorf("with warnings: %q %q %q", ill, warned, well)
	}
	for _, line := range append(append(ill, warned...), well) {
		if strings.ContainsAny(line, "\r\n") {
			t.Errorf("not a line: %q", line)
		}
	}
	s.SMTP = []config.SMTP{{Scheme: "catcher"}}
	asked := names.Asked("north-tea.example")
	if ill, warned, well := domains(Examine(t.Context(), s)); ill != nil || warned != nil || well != "" || names.Asked("north-tea.example") != asked {
		t.Errorf("though no mail leaves: %q %q %q", ill, warned, well)
	}
}

// TestExamineTriesTheWayToReceivers: where no server is between, a mail host of
// a brand's own domain is asked, and no mail begun.
func TestExamineTriesTheWayToReceivers(t *testing.T) {
	names, mail := testkit.DNS(t), testkit.SMTP(t)
	at, err := url.Parse(mail.URL)
	if err != nil {
		t.Fatal(err)
	}
	with := func(query, port string) config.Settings {
		return settingsOf(t, "ASSENT_DNS="+names.Addr, "ASSENT_SMTP_URL=mx://?hello=mail.example.org"+query, "ASSENT_MX_ALLOW=loopback", "ASSENT_MX_PORT="+port)
	}
	s := with("&source=127.0.0.1", at.Port())
	migrate(t, s)
	aBrand(t, s)
	smtp := func(s config.Settings) (ill, well []string) {
		for _, f := range Examine(t.Context(), s) {
			if f.Part == "smtp" && f.Err != nil {
				ill = append(ill, f.Say())
			} else if f.Part == "smtp" {
				well = append(well, f.Say())
			}
		}
		return ill, well
	}
	if ill, well := smtp(s); ill != nil || len(well) != 1 || !strings.Contains(well[0], "in the name of mail.example.org") {
		t.Errorf("nobody to ask: %q %q", ill, well)
	}
	names.MX("north-tea.example", "10 mx.north-tea.example")
	names.Host("mx.north-tea.example", "127.0.0.1")
	if ill, well := smtp(s); ill != nil || len(well) != 2 || !strings.Contains(well[1], "the mail host of north-tea.example: in clear") {
		t.Errorf("reached: %q %q", ill, well)
	}
	if n := len(mail.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
	s.MXPort = 1
	if ill, _ := smtp(s); len(ill) != 1 || !strings.Contains(ill[0], "port 1 of others") {
		t.Errorf("a closed way: %q", ill)
	}
	if ill, _ := smtp(with("&source=192.0.2.1", at.Port())); len(ill) != 1 || !strings.Contains(ill[0], "an address of this machine") {
		t.Errorf("a foreign address: %q", ill)
	}
}

func TestTheSetUpIsChecked(t *testing.T) {
	for url, want := range map[string]mailauth.Setup{
		"catcher": {},
		"smtp://a.example smtps://b.example smtp://c.example?starttls=opportunistic": {Relays: []mailauth.Relay{{Host: "a.example", Must: true}, {Host: "b.example", Must: true}, {Host: "c.example"}}},
		"mx://":                     {Unnamed: true},
		"mx://?source=198.51.100.7": {Hello: "mail.example.org"},
		"mx://?source=198.51.100.7&hello=x.example": {Hello: "x.example"},
	} {
		got := checker(settingsOf(t, "ASSENT_PUBLIC_URL=https://mail.example.org", "ASSENT_SMTP_URL="+url), nil).Setup
		if len(got.Relays) != len(want.Relays) || got.Unnamed != want.Unnamed || got.Hello != want.Hello || (len(got.Sources) == 1) != (want.Hello != "") {
			t.Errorf("%s: %+v", url, got)
			continue
		}
		for i, r := range got.Relays {
			if r.Host != want.Relays[i].Host || r.Must != want.Relays[i].Must || r.TLS == nil {
				t.Errorf("%s: relay %+v", url, r)
			}
		}
	}
}
