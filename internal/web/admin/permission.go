package admin

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// What somebody signed or said to the team, or bought: written into the ledger
// as stated by whoever of the team is signed in.

func permissionActions() []action {
	return []action{
		look("/people/:id/permission", account.Marketer, newPermission),
		act("/people/:id/permission", account.Marketer, recordPermission),
		file("/people/:id/scans/:scan", account.Analyst, showScan),
	}
}

// wayIn is how a permission came that the team states.
type wayIn struct{ method, basis string }

// waysIn are those, by their names in the form.
var waysIn = map[string]wayIn{
	"paper": {consent.MethodPaper, consent.BasisOperator}, "phone": {consent.MethodPhone, consent.BasisOperator},
	"sale": {consent.MethodOperator, consent.BasisSoftOptIn}, "purchase": {consent.MethodOperator, consent.BasisImpliedPurchase}, "inquiry": {consent.MethodOperator, consent.BasisImpliedInquiry},
}

// PermissionForm is the page admin/permission.
type PermissionForm struct {
	Frame
	Sheet        Sheet
	Title, Email string
	Ways         []Choice
	Topics       []Choice
	Speaks       []Choice
	Soft         string // the law that a soft opt-in rests on; empty: there is none here
	Most         int    // megabytes of a scan
	Back, New    string // New: where a topic is made
}

func newPermission(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	sheet, err := d.sheet("/people/"+s.ID.String()+"/permission", url.Values{"way": {"paper"}, "language": {s.Language}}, "")
	if err != nil {
		return err
	}
	return drawPermission(d, s)(http.StatusOK, sheet)
}

func drawPermission(d *desk, s subscriber.Subscriber) func(int, Sheet) error {
	return func(status int, sheet Sheet) error {
		if s.ErasedAt != nil {
			return problem.New(problem.NotFound, "subscriber.unknown")
		}
		sheet.Files, sheet.Drafts = true, "" // what somebody signed lies nowhere but in the ledger
		page := PermissionForm{Frame: d.frame("people"), Sheet: sheet, Email: s.Email, Title: s.Name, Most: consent.ScanMax >> 20,
			Soft: consent.LawOf(d.brand.Jurisdiction).Soft, Back: d.to("/people/" + s.ID.String()), New: d.to("/topics/new")}
		if page.Title == "" {
			page.Title = s.Email
		}
		for _, way := range []string{"paper", "phone", "sale", "purchase", "inquiry"} {
			if way != "sale" || page.Soft != "" {
				page.Ways = append(page.Ways, Choice{Value: way, Label: d.l.T("admin.permission.way." + way), Hint: d.l.T("admin.permission.way-hint." + way)})
			}
		}
		for _, code := range d.brand.Languages {
			page.Speaks = append(page.Speaks, Choice{Value: code, Label: i18n.For(code).T("admin.language")})
		}
		err := d.read(func(tx *store.Tx) error {
			topics, err := consent.Topics(tx, d.brand.ID)
			for _, t := range topics {
				if t.Purpose != consent.Marketing {
					continue
				}
				c := Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name}
				if t.OwnSimilar {
					c.Hint = d.l.T("admin.permission.own-similar")
				}
				page.Topics = append(page.Topics, c)
			}
			return err
		})
		if err != nil {
			return err
		}
		return d.drawAs(status, "permission", page)
	}
}

// scanSent takes the copy out of a form that comes with one.
func (d *desk) scanSent() (scan []byte, err error) {
	if !web.HasFiles(d.c) {
		return nil, nil
	}
	err = web.Upload(d.c, func(field, _ string, file io.Reader) error {
		if field == "scan" && scan == nil {
			var err error
			if scan, err = io.ReadAll(io.LimitReader(file, consent.ScanMax+1)); err != nil {
				return err
			}
		}
		_, err := io.Copy(io.Discard, file)
		return err
	})
	return scan, err
}

func recordPermission(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	scan, err := d.scanSent() // before the transaction, which would hold up other writers
	if err != nil {
		return err
	}
	err = d.change("people.permission", func(tx *store.Tx, form *Sheet) (done, error) {
		way, ok := waysIn[form.Value("way")]
		if !ok {
			return done{}, problem.InvalidField("way", "problem.field.choice")
		}
		topics, err := d.topicsOf(tx, form)
		if err != nil {
			return done{}, err
		}
		var day time.Time
		if form.text("said_on") != "" {
			if day, err = consent.ReadDay("said_on", form.text("said_on"), d.brand.Location(), tx.Now()); err != nil {
				return done{}, err
			}
		}
		st := consent.Statement{Brand: d.brand, Subscriber: s.ID, Topics: topics, Method: way.method, SaidAt: day, Place: form.text("place"),
			Words: form.text("words"), Language: form.Value("language"), User: d.User.ID.String(), Scan: scan}
		if way.basis != consent.BasisOperator {
			return done{subject: s.ID, next: "/people/" + s.ID.String()}, d.stateDeal(tx, st, way, form)
		}
		_, err = consent.RecordStatement(tx, st)
		return done{subject: s.ID, next: "/people/" + s.ID.String(), detail: map[string]any{"method": way.method}}, err
	})
	return d.redraw(err, drawPermission(d, s))
}

func (d *desk) topicsOf(tx *store.Tx, form *Sheet) (all []consent.Topic, err error) {
	for _, value := range form.Values["topics"] {
		id, err := uuid.Parse(value)
		if err != nil {
			return nil, problem.InvalidField("topics", "problem.field.choice")
		}
		t, err := consent.FindTopic(tx, d.brand.ID, id)
		if problem.Is(err, problem.NotFound) || err == nil && (t.Purpose != consent.Marketing || t.ArchivedAt != nil) {
			return nil, problem.InvalidField("topics", "problem.field.choice")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, problem.InvalidField("topics", "consent.statement.topics")
	}
	return all, nil
}

// stateDeal states what a sale, a purchase or an inquiry lets the brand do.
func (d *desk) stateDeal(tx *store.Tx, st consent.Statement, way wayIn, form *Sheet) error {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	if st.SaidAt.IsZero() {
		wrong.Field("said_on", "problem.field.required")
	}
	if st.Place == "" {
		wrong.Field("place", "problem.field.required")
	}
	if err := wrong.OrNil(); err != nil {
		return err
	}
	evidence := map[string]any{"user": st.User, "place": st.Place}
	var sale *consent.Sale
	if ref := form.text("sale_ref"); ref != "" || way.basis == consent.BasisSoftOptIn {
		if way.basis == consent.BasisSoftOptIn {
			sale = &consent.Sale{Ref: ref, Product: form.text("product"), Offered: st.SaidAt}
		} else {
			evidence["sale_ref"] = ref
		}
		if order, err := offer.FindOrder(tx, d.brand.ID, ref); err == nil && order.SubscriberID == st.Subscriber {
			evidence["order"] = order.ID.String()
		} else if err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
	}
	for _, t := range st.Topics {
		_, err := consent.Grant(tx, consent.Act{Brand: d.brand, Subscriber: st.Subscriber, Topic: t, Basis: way.basis, Method: way.method, Language: st.Language,
			Wording: st.Words, SaidAt: &st.SaidAt, Sale: sale, Evidence: evidence})
		if err != nil {
			return err
		}
	}
	return nil
}

// showScan hands a copy over as a file to be kept, never as a page.
func showScan(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	id, err := d.id("scan")
	if err != nil {
		return err
	}
	var kind string
	var scan []byte
	err = d.read(func(tx *store.Tx) (err error) { kind, scan, err = consent.ScanOf(tx, d.brand.ID, s.ID, id); return err })
	if err != nil {
		return err
	}
	ending := map[string]string{"image/png": "png", "image/jpeg": "jpg", "application/pdf": "pdf"}[kind]
	h := d.c.Response().Header()
	h.Set("Content-Disposition", `attachment; filename="permission-`+strings.ReplaceAll(id.String(), "-", "")[:12]+"."+ending+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return d.c.Stream(http.StatusOK, kind, bytes.NewReader(scan))
}
