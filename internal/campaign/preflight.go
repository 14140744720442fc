package campaign

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// Grade is how something stands before a campaign is scheduled.
type Grade int

// The grades. Schedule refuses what must be mended, and nothing else.
const (
	Mend Grade = iota
	Look
	Fine
)

// Limits of a mail. Mailboxes on phones cut a subject after some 70 characters
// at most; Gmail hides what is beyond 102 kB of HTML.
const (
	subjectMost = 70
	sizeMost    = 102_000 // bytes
	slowFrom    = 24 * time.Hour
	paceHorizon = 365 * 24 * time.Hour
)

// Drawn is a text as somebody would get it.
type Drawn struct {
	Subject string
	Size    int // bytes of HTML
}

// Preflight is what is known of a campaign before it is scheduled.
type Preflight struct {
	Language string // the brand's own
	Audience Audience
	Texts    []delivery.Text
	Drawn    map[string]Drawn // by language; one that is missing cannot be drawn
	Nobodys  []string         // fields that a text names and nobody of the audience has

	Unsigned bool          // no DKIM key signs for the sender's domain
	Caught   bool          // mail goes to the catcher only
	NoWay    bool          // there is no way out for mail
	Halted   bool          // the whole installation sends nothing
	Stopped  int64         // mailings of the brand that a safeguard stopped
	Lasts    time.Duration // at the pace set; 0: there is none, negative: beyond a year
}

// Finding is one thing that was looked at. Check names it: its sort, and what
// was found where not all is well.
type Finding struct {
	Check    string
	Grade    Grade
	Language string   // of the text; "" is all of them
	N        int64    // people, links, bytes, seconds: what Check counts
	What     []string // addresses or fields
}

// Findings are what there is to say, the gravest first.
func (p Preflight) Findings() []Finding {
	all := slices.Concat(p.reach(), p.words(), p.addresses(), p.way(), p.time())
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Grade, b.Grade) })
	return all
}

func (p Preflight) text(language string) (t delivery.Text, ok bool) {
	i := slices.IndexFunc(p.Texts, func(t delivery.Text) bool { return t.Language == language })
	if i < 0 {
		return t, false
	}
	return p.Texts[i], true
}

// orFine are what was found, or that nothing was.
func orFine(check string, found []Finding) []Finding {
	if len(found) == 0 {
		return []Finding{{Check: check, Grade: Fine}}
	}
	return found
}

// reach asks whom it reaches, and whether they can read it.
func (p Preflight) reach() []Finding {
	people := Finding{Check: "people", Grade: Fine, N: p.Audience.People}
	if people.N == 0 {
		people = Finding{Check: "people.nobody", Grade: Look}
	}
	var found []Finding
	if _, ok := p.text(p.Language); !ok {
		found = append(found, Finding{Check: "languages.own", Grade: Mend, Language: p.Language})
	}
	for _, lang := range slices.Sorted(maps.Keys(p.Audience.Languages)) {
		if _, ok := p.text(lang); !ok && lang != p.Language {
			found = append(found, Finding{Check: "languages.missing", Grade: Look, Language: lang, N: p.Audience.Languages[lang]})
		}
	}
	return append([]Finding{people}, orFine("languages", found)...)
}

// words asks how it stands in a mailbox's list, and whether it is whole there.
func (p Preflight) words() []Finding {
	var subject, preheader, size, drawn []Finding
	look := func(to *[]Finding, check, lang string, n int64) {
		*to = append(*to, Finding{Check: check, Grade: Look, Language: lang, N: n})
	}
	for _, t := range p.Texts {
		d, ok := p.Drawn[t.Language]
		if !ok {
			look(&drawn, "drawn.not", t.Language, 0)
			continue
		}
		switch n := utf8.RuneCountInString(d.Subject); {
		case strings.TrimSpace(d.Subject) == "":
			look(&subject, "subject.empty", t.Language, 0)
		case n > subjectMost:
			look(&subject, "subject.long", t.Language, int64(n))
		}
		if strings.TrimSpace(t.Preheader) == "" {
			look(&preheader, "preheader.empty", t.Language, 0)
		}
		if d.Size > sizeMost {
			look(&size, "size.large", t.Language, int64(d.Size))
		}
	}
	if len(p.Nobodys) > 0 {
		drawn = append(drawn, Finding{Check: "drawn.nobodys", Grade: Look, N: int64(len(p.Nobodys)), What: p.Nobodys})
	}
	return slices.Concat(orFine("drawn", drawn), orFine("subject", subject), orFine("preheader", preheader), orFine("size", size),
		[]Finding{{Check: "text", Grade: Fine}})
}

// addresses asks where its links lead, and what is seen without its images.
func (p Preflight) addresses() []Finding {
	var links, images []Finding
	for _, t := range p.Texts {
		found, bare := addressesIn(t.HTML)
		for _, check := range []string{"links.none", "links.private", "links.open"} {
			if what := found[check]; len(what) > 0 {
				links = append(links, Finding{Check: check, Grade: Look, Language: t.Language, N: int64(len(what)), What: what})
			}
		}
		if bare > 0 {
			images = append(images, Finding{Check: "images.bare", Grade: Look, Language: t.Language, N: bare})
		}
	}
	return append(orFine("links", links), orFine("images", images)...)
}

// way asks whether mail leaves, and under a name that receivers trust.
func (p Preflight) way() []Finding {
	var domain, flow []Finding
	if p.Unsigned {
		domain = append(domain, Finding{Check: "domain.unsigned", Grade: Look})
	}
	for check, is := range map[string]bool{"flow.caught": p.Caught, "flow.none": p.NoWay, "flow.halted": p.Halted} {
		if is {
			flow = append(flow, Finding{Check: check, Grade: Look})
		}
	}
	if p.Stopped > 0 {
		flow = append(flow, Finding{Check: "flow.stopped", Grade: Look, N: p.Stopped})
	}
	slices.SortFunc(flow, func(a, b Finding) int { return strings.Compare(a.Check, b.Check) })
	return append(orFine("domain", domain), orFine("flow", flow)...)
}

// time tells how long it takes.
func (p Preflight) time() []Finding {
	switch {
	case p.Audience.People == 0:
		return nil
	case p.Lasts < 0:
		return []Finding{{Check: "time.never", Grade: Look}}
	case p.Lasts == 0:
		return []Finding{{Check: "time", Grade: Fine}}
	}
	f := Finding{Check: "time.lasts", Grade: Fine, N: int64(p.Lasts / time.Second)}
	if p.Lasts > slowFrom {
		f.Grade = Look
	}
	return []Finding{f}
}

// Lasts is how long so many mails take from a time on, at the pace in force
// then: mails an hour, and from where it is 0 all the rest at once. It is
// negative where a year is not enough.
func Lasts(people int64, from time.Time, perHour func(time.Time) int) time.Duration {
	left := people
	for passed := time.Duration(0); passed < paceHorizon; passed += time.Hour {
		rate := int64(perHour(from.Add(passed)))
		switch {
		case rate <= 0:
			return passed
		case left <= rate:
			return passed + time.Duration(float64(time.Hour)*float64(left)/float64(rate))
		}
		left -= rate
	}
	return -1
}

// addressesIn are the literal addresses of a text that lead nowhere
// ("links.none"), where only some can go ("links.private"), or by a way that
// anybody may read ("links.open"); and the images that say nothing where they
// are not shown. An address that holds Liquid is made for each person and not
// looked at.
func addressesIn(text string) (found map[string][]string, bare int64) {
	found = map[string][]string{}
	z := html.NewTokenizer(bytes.NewReader([]byte(text)))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return found, bare
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token, alt := z.Token(), false
		for _, a := range token.Attr {
			alt = alt || a.Key == "alt"
			if !(token.Data == "a" && a.Key == "href" || token.Data == "img" && a.Key == "src") {
				continue
			}
			if check := judge(a.Val, token.Data == "img"); check != "" && !slices.Contains(found[check], a.Val) {
				found[check] = append(found[check], a.Val)
			}
		}
		if token.Data == "img" && !alt {
			bare++
		}
	}
}

func judge(address string, image bool) string {
	address = strings.TrimSpace(address)
	if strings.Contains(address, "{{") || strings.Contains(address, "{%") || len(address) > 1 && address[0] == '#' {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return "links.none"
	}
	switch u.Scheme {
	case "mailto", "tel", "sms", "cid":
		if u.Opaque == "" {
			return "links.none"
		}
		return ""
	case "https", "http":
	default:
		return "links.none"
	}
	switch {
	case u.Hostname() == "":
		return "links.none"
	case isPrivate(u.Hostname()):
		return "links.private"
	case u.Scheme == "http" && !image:
		return "links.open"
	}
	return ""
}

// isPrivate: only some reach a host of that name.
func isPrivate(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return !ip.IsGlobalUnicast() || ip.IsPrivate()
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == host || slices.Contains([]string{"localhost", "local", "internal", "lan", "home", "test", "invalid"}, last)
}

var (
	liquidRE = regexp.MustCompile(`(?s)\{\{.*?\}\}|\{%.*?%\}`)
	fieldRE  = regexp.MustCompile(`\bsubscriber(?:\.([A-Za-z_]\w*)|\[\s*["']([A-Za-z_]\w*)["']\s*\])`)
)

// fieldsMost is how many fields of a campaign are looked for.
const fieldsMost = 20

// Fields are the attributes of people that texts name, in the order of the
// alphabet, without those that everybody has.
func Fields(texts []delivery.Text) []string {
	named := map[string]bool{}
	for _, t := range texts {
		for _, tag := range liquidRE.FindAllString(t.Subject+t.Preheader+t.HTML+t.Text, -1) {
			for _, m := range fieldRE.FindAllStringSubmatch(tag, -1) {
				named[m[1]+m[2]] = true
			}
		}
	}
	for _, everybodys := range []string{"email", "name", "first_name", "language"} {
		delete(named, everybodys)
	}
	all := slices.Sorted(maps.Keys(named))
	return all[:min(len(all), fieldsMost)]
}

// Nobodys are those of the fields that nobody of an audience has. It stops at
// the first person who has one; where nobody does it reads the audience once.
func Nobodys(tx *store.Tx, brandID, topicID uuid.UUID, tag string, fields []string) (none []string, err error) {
	for _, field := range fields {
		has, args := tx.Pick(`s.attributes -> CAST(? AS text) IS NOT NULL`, `json_type(s.attributes, ?) IS NOT NULL`), []any{topicID, brandID, tx.Now()}
		tagged := ""
		if tag != "" {
			tagged = " AND EXISTS (SELECT 1 FROM subscriber_tags g WHERE g.brand_id = p.brand_id AND g.tag = ? AND g.subscriber_id = p.subscriber_id)"
			args = append(args, tag)
		}
		args = append(args, tx.Pick(field, `$."`+field+`"`))
		var somebody bool
		err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM permissions p JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
			WHERE p.topic_id = ? AND p.brand_id = ? AND `+consent.EligibleSQL+tagged+` AND `+has+`)`, args...).Scan(&somebody).Error
		if err != nil {
			return nil, fmt.Errorf("ask who has a field that a campaign names: %w", err)
		}
		if !somebody {
			none = append(none, field)
		}
	}
	return none, nil
}

// ready refuses what surely is wrong with a draft: the brand may have another
// language than when it was written.
func ready(tx *store.Tx, c Campaign) error {
	b, err := brand.Find(tx, c.BrandID)
	if err != nil {
		return err
	}
	texts, err := delivery.Contents(tx, c.BrandID, c.ContentID)
	if err != nil {
		return err
	}
	for _, f := range (Preflight{Language: b.Language, Texts: texts}).Findings() {
		if f.Grade == Mend {
			return problem.New(problem.Conflict, "campaign.unready", "Language", b.Language)
		}
	}
	return nil
}
