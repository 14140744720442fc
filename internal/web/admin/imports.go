package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

func importActions() []action {
	return []action{
		look("/imports", account.Analyst, imports),
		look("/imports/new", account.Marketer, newImport),
		act("/imports/new", account.Marketer, uploadImport),
		look("/imports/:id", account.Analyst, showImport),
		behind(http.MethodGet, "/imports/:id/live", account.Analyst, importLive),
		look("/imports/:id/plan", account.Marketer, planImport),
		act("/imports/:id/plan", account.Marketer, startImport),
		act("/imports/:id/throw", account.Marketer, throwImport),
		act("/imports/:id/stop", account.Marketer, turnImport("import.stop", importer.Stop)),
		act("/imports/:id/resume", account.Marketer, turnImport("import.resume", importer.Resume)),
		act("/imports/:id/leave", account.Marketer, turnImport("import.leave", importer.Leave)),
		look("/imports/:id/waiting", account.Analyst, showWaiting),
		act("/imports/:id/waiting", account.Marketer, releaseWaiting),
		act("/imports/:id/waiting/drop", account.Marketer, turnImport("import.drop", importer.GiveUp)),
		act("/imports/:id/waiting/ask", account.Marketer, askWaiting),
		act("/imports/:id/waiting/ask-stop", account.Marketer, turnImport("import.ask-stop", importer.StopAsking)),
		file("/imports/:id/report", account.Marketer, importReport),
	}
}

const (
	importsAtOnce  = 50
	refusalsAtOnce = 50
)

// ImportLine is one import in the list.
type ImportLine struct {
	URL, Name, State, Tone, When string
	Begun                        bool
	Rows, Recorded, Waiting      int64
}

// Imports is the page admin/imports.
type Imports struct {
	Frame
	Imports     []ImportLine
	New         string // address; empty: the visitor may not
	First, Next string
}

func importPath(i importer.Import) string { return "/imports/" + i.ID.String() }

// importTones are the colours of the states: what works or lies still waits.
var importTones = map[importer.State]string{importer.Ready: "ask", importer.Running: "ask", importer.Stopped: "no", importer.Releasing: "ask", importer.Done: "yes"}

func imports(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	page := Imports{Frame: d.frame("imports")}
	var found []importer.Import
	err := d.read(func(tx *store.Tx) (err error) {
		found, err = importer.List(tx, d.brand.ID, before, importsAtOnce)
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range found {
		line := ImportLine{URL: d.to(importPath(i)), Name: d.fileName(i), State: d.l.T("admin.import.state." + string(i.State)), Tone: importTones[i.State],
			When: d.l.DateTime(i.CreatedAt, d.brand.Location()), Begun: i.Begun(), Rows: i.RowsRead, Recorded: i.Recorded, Waiting: i.Waiting}
		page.Imports = append(page.Imports, line)
	}
	if len(found) == importsAtOnce {
		page.Next = d.to("/imports", "before", found[len(found)-1].ID.String())
	}
	if before != uuid.Nil {
		page.First = d.to("/imports")
	}
	if d.may(account.Marketer) {
		page.New = d.to("/imports/new")
	}
	return d.draw("imports", page)
}

func (d *desk) fileName(i importer.Import) string {
	return cmp.Or(i.Name, d.l.T("admin.import.nameless"))
}

// ImportUpload is the page admin/import-new.
type ImportUpload struct {
	Frame
	Sheet Sheet
	Back  string
	Most  int64 // megabytes
}

func newImport(d *desk) error {
	return drawUpload(d)(http.StatusOK, Sheet{Action: d.to("/imports/new"), Page: d.c.Request().URL.Path, Values: url.Values{}, Once: store.NewID(d.h.DB.Now())})
}

func drawUpload(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		s.Drafts = "" // a file is no draft
		return d.drawAs(status, "import-new", ImportUpload{Frame: d.frame("imports"), Sheet: s, Back: d.to("/imports"), Most: importer.FileMax >> 20})
	}
}

// uploadImport keeps a file as it comes. It is there when all of the form has
// come; a second click brings it once.
func uploadImport(d *desk) error {
	ctx := d.c.Request().Context()
	var came importer.Import
	var wrong error
	err := web.Upload(d.c, func(field, name string, file io.Reader) error {
		if field != "file" || came.ID != uuid.Nil || wrong != nil {
			return nil
		}
		i, err := importer.Upload(ctx, d.h.DB, d.brand, &d.User.ID, name, file)
		if problem.Is(err, problem.Invalid) {
			wrong = err // told when the browser is done talking
			_, err = io.Copy(io.Discard, file)
			return err
		}
		if err == nil {
			came = i
		}
		return err
	})
	switch {
	case err == nil && wrong != nil:
		err = wrong
	case err == nil && came.ID == uuid.Nil:
		err = problem.InvalidField("file", "import.file.none")
	case err == nil:
		err = d.change("import.upload", func(tx *store.Tx, _ *Sheet) (done, error) {
			return done{subject: came.ID, next: importPath(came) + "/plan", detail: map[string]any{"name": came.Name}}, importer.Keep(tx, came)
		})
	}
	if came.ID != uuid.Nil {
		if failed := importer.Drop(context.WithoutCancel(ctx), d.h.DB, came.ID); failed != nil { // what was kept stays
			return failed
		}
	}
	if err == nil {
		return nil
	}
	return d.redraw(err, drawUpload(d))
}

// ImportColumn is a column of the file, and what may stand in it.
type ImportColumn struct {
	N         int
	Name      string
	Examples  []string
	Field     string // name of the choice
	Attribute string // name of the field for the attribute's name
}

// SameFile is another import of the same file.
type SameFile struct{ URL, Text string }

// ImportPlan is the page admin/import-plan.
type ImportPlan struct {
	Frame
	Sheet   Sheet
	Title   string
	Lead    string
	Columns []ImportColumn
	Uses    []Choice
	Dates   []Choice
	Same    []SameFile
	Ask     string
	Throw   string
	EvidenceFields
	Topics []Choice
}

// EvidenceFields is what shows a permission, for all rows together.
type EvidenceFields struct {
	Bases, Speaks []Choice
	Topics        string // address where one is made; empty where there is one
	Soft          bool   // the soft opt-in is law where the brand is
}

func (d *desk) oneImport() (i importer.Import, err error) {
	id, err := d.id("id")
	if err != nil {
		return i, err
	}
	err = d.read(func(tx *store.Tx) (err error) { i, err = importer.Find(tx, d.brand.ID, id); return err })
	return i, err
}

// planned reads an import whose file nobody has read yet, and its beginning.
func (d *desk) plannedImport() (i importer.Import, h importer.Head, err error) {
	if i, err = d.oneImport(); err != nil || i.State != importer.Ready {
		return i, h, err
	}
	err = d.read(func(tx *store.Tx) (err error) { h, err = importer.Look(tx, i); return err })
	return i, h, err
}

func planImport(d *desk) error {
	i, h, err := d.plannedImport()
	if problem.Is(err, problem.Invalid) {
		return drawBroken(d, i)
	}
	if err != nil {
		return err
	}
	if i.State != importer.Ready {
		return web.SeeOther(d.c, d.to(importPath(i)))
	}
	values := url.Values{"dates": {h.Plan.Dates}, "language": {d.brand.Language}}
	for n, c := range h.Plan.Columns {
		values.Set(columnField(n), c.Use)
		values.Set("attribute."+columnField(n), c.Attribute)
	}
	if h.Header {
		values.Set("header", "yes")
	}
	sheet, err := d.sheet(importPath(i)+"/plan", values, "")
	if err != nil {
		return err
	}
	return drawPlan(d, i, h)(http.StatusOK, sheet)
}

// drawBroken is the page of a file in which no row can be read: it can only be
// thrown away.
func drawBroken(d *desk, i importer.Import) error {
	page := ImportPlan{Frame: d.frame("imports"), Title: d.fileName(i), Lead: d.l.T("import.file.broken"), Throw: d.to(importPath(i) + "/throw"),
		Sheet: Sheet{Once: store.NewID(d.h.DB.Now())}}
	return d.drawAs(http.StatusOK, "import-plan", page)
}

func columnField(n int) string { return "column." + strconv.Itoa(n) }

const (
	examplesMost = 3
	exampleMax   = 80 // characters
)

func drawPlan(d *desk, i importer.Import, h importer.Head) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := ImportPlan{Frame: d.frame("imports"), Sheet: s, Title: d.fileName(i), Lead: d.l.N("admin.import.lead.ready", max(i.Lines, 1)),
			Ask: d.l.N("admin.import.ask-start", max(i.Lines, 1)), Throw: d.to(importPath(i) + "/throw"), EvidenceFields: d.evidenceFields()}
		for _, use := range importer.Uses {
			page.Uses = append(page.Uses, Choice{Value: use, Label: d.l.T("admin.import.use." + cmp.Or(use, "skip"))})
		}
		for _, way := range importer.Dates {
			page.Dates = append(page.Dates, Choice{Value: way, Label: d.l.T("admin.import.dates." + way)})
		}
		for n, name := range h.Names {
			c := ImportColumn{N: n + 1, Name: short(name), Field: columnField(n), Attribute: "attribute." + columnField(n)}
			for _, row := range h.Rows {
				if n < len(row) && strings.TrimSpace(row[n]) != "" && len(c.Examples) < examplesMost {
					c.Examples = append(c.Examples, short(row[n]))
				}
			}
			page.Columns = append(page.Columns, c)
		}
		err := d.read(func(tx *store.Tx) error { return d.plan(tx, i, &page) })
		if err != nil {
			return err
		}
		return d.drawAs(status, "import-plan", page)
	}
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > exampleMax {
		return string(r[:exampleMax]) + "…"
	}
	return s
}

func (d *desk) plan(tx *store.Tx, i importer.Import, page *ImportPlan) error {
	topics, err := consent.Topics(tx, d.brand.ID)
	if err != nil {
		return err
	}
	for _, t := range topics {
		if t.Purpose == consent.Marketing {
			page.Topics = append(page.Topics, Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name, Hint: d.lasts(t)})
		}
	}
	if len(page.Topics) == 0 {
		page.EvidenceFields.Topics = d.to("/topics/new")
	}
	same, err := importer.Same(tx, i)
	if err != nil {
		return err
	}
	users, err := account.Names(tx, d.brand.ID)
	if err != nil {
		return err
	}
	for _, x := range same {
		who := d.l.T("admin.log.program")
		if x.UserID != nil {
			who = users[*x.UserID]
		}
		page.Same = append(page.Same, SameFile{d.to(importPath(x)), d.l.T("admin.import.same", "Date", d.l.Date(*x.StartedAt, d.brand.Location()), "Who", who)})
	}
	return nil
}

// lasts says how long a permission of the topic lasts from the day that it was given.
func (d *desk) lasts(t consent.Topic) string {
	if t.ValidMonths > 0 {
		return d.l.N("admin.import.lasts-months", int64(t.ValidMonths))
	}
	if t.ValidDays == 0 {
		return ""
	}
	return d.l.N("admin.import.lasts", int64(t.ValidDays))
}

func (d *desk) evidenceFields() (f EvidenceFields) {
	f.Bases = []Choice{{Value: "", Label: d.l.T("admin.import.basis.none")}}
	f.Soft = consent.LawOf(d.brand.Jurisdiction).Soft != ""
	for _, basis := range importer.Bases {
		if basis == consent.BasisSoftOptIn && !f.Soft {
			continue
		}
		f.Bases = append(f.Bases, Choice{Value: basis, Label: d.l.T("admin.import.basis." + basis)})
	}
	for _, code := range d.brand.Languages {
		f.Speaks = append(f.Speaks, Choice{Value: code, Label: i18n.For(code).T("admin.language")})
	}
	return f
}

func evidenceOf(form *Sheet) importer.Evidence {
	return importer.Evidence{Basis: form.Value("basis"), Day: form.text("day"), Source: form.text("source"), Words: form.text("words"), Language: form.Value("language"), Product: form.text("product")}
}

func startImport(d *desk) error {
	i, h, err := d.plannedImport()
	if err != nil {
		return err
	}
	err = d.change("import.start", func(tx *store.Tx, form *Sheet) (done, error) {
		p := importer.Plan{Header: form.Has("header", "yes"), Columns: make([]importer.Column, len(h.Names)), Dates: form.Value("dates"), Evidence: evidenceOf(form)}
		if p.Header {
			p.Names = h.Names
		}
		for n := range p.Columns {
			p.Columns[n] = importer.Column{Use: form.Value(columnField(n)), Attribute: form.text("attribute." + columnField(n))}
		}
		for _, id := range form.Values["topics"] {
			topic, err := uuid.Parse(id)
			if err != nil {
				return done{}, problem.InvalidField("topics", "problem.field.choice")
			}
			p.Topics = append(p.Topics, topic)
		}
		return done{subject: i.ID, next: importPath(i), detail: map[string]any{"name": i.Name}}, importer.Start(tx, d.brand.ID, i.ID, p)
	})
	if i.State != importer.Ready {
		return err // somebody began it meanwhile, or twice
	}
	return d.redraw(err, drawPlan(d, i, h))
}

func throwImport(d *desk) error {
	i, err := d.oneImport()
	if err != nil {
		return err
	}
	return d.change("import.throw", func(tx *store.Tx, _ *Sheet) (done, error) {
		return done{next: "/imports", detail: map[string]any{"name": i.Name}}, importer.Throw(tx, d.brand.ID, i.ID)
	})
}

// turnImport is a button on the page of an import.
func turnImport(what string, do func(*store.Tx, uuid.UUID, uuid.UUID) error) func(*desk) error {
	return func(d *desk) error {
		i, err := d.oneImport()
		if err != nil {
			return err
		}
		err = d.change(what, func(tx *store.Tx, _ *Sheet) (done, error) {
			return done{subject: i.ID, next: importPath(i), detail: map[string]any{"name": i.Name}}, do(tx, d.brand.ID, i.ID)
		})
		if p, is := problem.Of(err); is && p.Kind == problem.Conflict {
			return d.drawImport(i.ID, http.StatusConflict, d.l.T(p.Key, p.Args...))
		}
		return err
	}
}

// RefusalLine is a row of which nothing was taken.
type RefusalLine struct {
	Line               int64
	Place, Value, Text string
	Left               bool
}

// ImportUse is what a column was said to hold.
type ImportUse struct{ Name, Use string }

// ImportPage is the page admin/import.
type ImportPage struct {
	Frame
	Title, State, Tone, When string
	Lead, More               string
	Fault                    string
	Live                     string
	Acts                     []Act
	Begun                    bool
	Size, Place              int64 // of the file; for the progress
	Counts                   importer.Counts
	Plan                     string // address; empty: it is begun, or the visitor may not
	Waiting                  string // address; empty: none waits

	Topics    []string
	Basis     string
	Day       string
	Source    string
	Words     string
	Columns   []ImportUse
	Until     time.Time // when the report is destroyed
	Refusals  []RefusalLine
	Download  string // address; empty: nothing to, or the visitor may not
	Next, All string
}

func showImport(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.drawImport(id, http.StatusOK, "")
}

func (d *desk) drawImport(id uuid.UUID, status int, fault string) error {
	after, _ := strconv.ParseInt(d.c.QueryParam("after"), 10, 64)
	page := ImportPage{Frame: d.frame("imports"), Fault: fault}
	err := d.read(func(tx *store.Tx) error {
		i, err := importer.Find(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		refusals, err := importer.Refusals(tx, i, after, refusalsAtOnce+1)
		if err != nil {
			return err
		}
		if len(refusals) > refusalsAtOnce {
			refusals = refusals[:refusalsAtOnce]
			page.Next = d.to(importPath(i), "after", strconv.FormatInt(refusals[refusalsAtOnce-1].Line, 10))
		}
		for _, f := range refusals {
			page.Refusals = append(page.Refusals, RefusalLine{f.Line, short(f.Place), short(f.Value), f.Text(d.l), f.Left})
		}
		topics, err := i.Topics(tx)
		if err != nil {
			return err
		}
		for _, t := range topics {
			page.Topics = append(page.Topics, t.In(d.brand, d.l.Lang()).Name)
		}
		d.tellImport(i, &page)
		return nil
	})
	if err != nil {
		return err
	}
	if after > 0 {
		page.All = d.to("/imports/" + id.String())
	}
	return d.drawAs(status, "import", page)
}

func (d *desk) tellImport(i importer.Import, page *ImportPage) {
	zone, path := d.brand.Location(), d.to(importPath(i))
	at := i.UpdatedAt
	if i.State == importer.Done && i.FinishedAt != nil {
		at = *i.FinishedAt
	}
	page.Title, page.State, page.Tone = d.fileName(i), d.l.T("admin.import.state."+string(i.State)), importTones[i.State]
	page.When = d.l.DateTime(at, zone)
	page.Begun, page.Size, page.Place, page.Counts = i.Begun(), i.Size, min(i.Place, i.Size), i.Counts
	page.Lead, page.More = d.importLead(i)
	if i.Works() {
		page.Live = d.to(importPath(i)+"/live", "seen", importPrint(i))
	}
	if i.Waiting > 0 && i.State == importer.Done {
		page.Waiting = d.to(importPath(i) + "/waiting")
	}
	page.saysPlan(d, i)
	if !d.may(account.Marketer) {
		return
	}
	if i.State == importer.Ready {
		page.Plan = d.to(importPath(i) + "/plan")
	}
	if len(page.Refusals) > 0 {
		page.Download = d.to(importPath(i) + "/report")
	}
	for _, name := range map[importer.State][]string{importer.Running: {"stop"}, importer.Releasing: {"stop"}, importer.Stopped: {"resume", "leave"}}[i.State] {
		to := d.to(importPath(i) + "/" + name)
		a := Act{ID: "act-" + name, Label: d.l.T("admin.import." + name), To: to, Sheet: Sheet{Page: strings.Split(path, "?")[0] + "/" + name, Once: store.NewID(d.h.DB.Now())}}
		if name == "resume" {
			a.Tone = "yes"
		}
		if name == "leave" {
			a.Ask = d.l.T("admin.import.ask-leave")
		}
		page.Acts = append(page.Acts, a)
	}
}

func (page *ImportPage) saysPlan(d *desk, i importer.Import) {
	if !i.Begun() {
		return
	}
	e := i.Plan.Evidence
	if e.Basis != "" {
		page.Basis = d.l.T("admin.import.basis." + e.Basis)
	}
	if day, err := time.Parse(time.DateOnly, e.Day); err == nil {
		page.Day = d.l.Date(day, time.UTC)
	}
	page.Source, page.Words = e.Source, e.Words
	for n, c := range i.Plan.Columns {
		if c.Use == importer.Skip {
			continue
		}
		name := d.l.T("admin.import.column", "N", strconv.Itoa(n+1))
		if n < len(i.Plan.Names) && strings.TrimSpace(i.Plan.Names[n]) != "" {
			name = short(i.Plan.Names[n])
		}
		use := d.l.T("admin.import.use." + c.Use)
		if c.Use == importer.Attribute {
			use += " " + c.Attribute
		}
		page.Columns = append(page.Columns, ImportUse{name, use})
	}
	if i.FinishedAt != nil {
		page.Until = i.FinishedAt.Add(importer.RowsKept)
	}
}

// importLead is what the page begins with.
func (d *desk) importLead(i importer.Import) (lead, more string) {
	switch i.State {
	case importer.Ready:
		return d.l.N("admin.import.lead.ready", max(i.Lines, 1)), d.l.T("admin.import.more.ready")
	case importer.Running:
		return d.l.N("admin.import.lead.running", i.RowsRead, "Recorded", d.l.Number(i.Recorded)), d.l.T("admin.import.more.running")
	case importer.Stopped:
		return d.l.N("admin.import.lead.stopped", i.RowsRead), d.l.T("admin.import.more.stopped")
	case importer.Releasing:
		return d.l.N("admin.import.lead.releasing", i.Waiting), ""
	}
	lead = d.l.N("admin.import.lead.done", i.Recorded, "Rows", d.l.Number(i.RowsRead))
	if i.Waiting > 0 {
		more = d.l.N("admin.import.more.waiting", i.Waiting)
	}
	return lead, more
}

// importPrint names what is shown of it.
func importPrint(i importer.Import) string {
	return fmt.Sprint(i.State, "-", i.Line, "-", i.Waiting)
}

// importLive tells an import's page that it is out of date.
func importLive(d *desk) error {
	return d.watch(func(now *desk) (string, error) {
		i, err := now.oneImport()
		return importPrint(i), err
	})
}

// importReport is the file of the rows of which nothing was taken.
func importReport(d *desk) error {
	i, err := d.oneImport()
	if err != nil {
		return err
	}
	d.c.Response().Header().Set("Content-Type", "text/csv; charset=utf-8")
	d.c.Response().Header().Set("Content-Disposition", `attachment; filename="report-`+i.CreatedAt.Format(time.DateOnly)+`.csv"`)
	control := http.NewResponseController(d.c.Response())
	err = importer.WriteReport(d.c.Response(), d.l, func(after int64) (rows []importer.Refusal, err error) {
		_ = control.SetWriteDeadline(time.Now().Add(exportPatience)) // without one there is the server's
		err = d.read(func(tx *store.Tx) (err error) { rows, err = importer.Refusals(tx, i, after, exportAtOnce); return err })
		return rows, err
	})
	if err == nil || !d.c.Response().Committed {
		return err
	}
	if d.c.Request().Context().Err() == nil {
		web.Log(d.c, web.Classify(err))
	}
	panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
}

// QuarantineLine is a row that waits for evidence.
type QuarantineLine struct {
	Line               int64
	Email, Name, Lacks string
}

// ImportWaiting is the page admin/import-waiting.
type ImportWaiting struct {
	Frame
	Title, Lead string
	Until       time.Time
	Topics      []string
	Sheet       *Sheet // nil: the visitor may not, or nothing waits
	EvidenceFields
	Drop, Ask   string
	Law         string // what a mail that asks rests on; empty: none may be sent
	AskThem     string // addresses; empty: the visitor may not, or they are asked already
	AskStop     string
	AskSheet    Sheet
	AskSure     string
	Asking      string // at which pace they are asked; empty: they are not
	Lines       []QuarantineLine
	Back        string
	First, Next string
}

func showWaiting(d *desk) error {
	i, err := d.oneImport()
	if err != nil {
		return err
	}
	if !d.may(account.Marketer) || i.Waiting == 0 || i.State != importer.Done {
		return drawWaiting(d, i, false)(http.StatusOK, Sheet{})
	}
	e := i.Plan.Evidence
	values := url.Values{"basis": {e.Basis}, "source": {e.Source}, "words": {e.Words}, "language": {cmp.Or(e.Language, d.brand.Language)}}
	if day, err := time.Parse(time.DateOnly, e.Day); err == nil {
		values.Set("day", d.l.Day(day, time.UTC))
	}
	sheet, err := d.sheet(importPath(i)+"/waiting", values, "")
	if err != nil {
		return err
	}
	return drawWaiting(d, i, true)(http.StatusOK, sheet)
}

func drawWaiting(d *desk, i importer.Import, mayGive bool) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		after, _ := strconv.ParseInt(d.c.QueryParam("after"), 10, 64)
		page := ImportWaiting{Frame: d.frame("imports"), Title: d.fileName(i), Lead: d.l.N("admin.import.waiting.lead", i.Waiting), Back: d.to(importPath(i)), EvidenceFields: d.evidenceFields()}
		page.Bases = page.Bases[1:]
		if i.FinishedAt != nil {
			page.Until = i.FinishedAt.Add(importer.RowsKept)
		}
		if mayGive {
			page.Sheet, page.Drop, page.Ask = &s, d.to(importPath(i)+"/waiting/drop"), d.l.N("admin.import.waiting.ask-drop", i.Waiting)
		}
		page.Law = consent.LawOf(d.brand.Jurisdiction).Asking
		page.AskSheet = Sheet{Page: d.to(importPath(i) + "/waiting"), Action: d.to(importPath(i) + "/waiting/ask"), Once: store.NewID(d.h.DB.Now()),
			Values: url.Values{"per_hour": {d.l.Digits(strconv.Itoa(importer.AskUsual))}}}
		if i.AskNextAt != nil {
			page.Asking = d.l.N("admin.import.asking", int64(i.AskPerHour))
		}
		if mayGive && page.Law != "" {
			page.AskThem, page.AskSure = page.AskSheet.Action, d.l.T("admin.import.ask-sure")
			if page.Asking != "" {
				page.AskThem, page.AskStop = "", d.to(importPath(i)+"/waiting/ask-stop")
			}
		}
		err := d.read(func(tx *store.Tx) error {
			topics, err := i.Topics(tx)
			if err != nil {
				return err
			}
			for _, t := range topics {
				page.Topics = append(page.Topics, t.In(d.brand, d.l.Lang()).Name)
			}
			rows, err := importer.ListWaiting(tx, i, after, refusalsAtOnce+1)
			if len(rows) > refusalsAtOnce {
				rows = rows[:refusalsAtOnce]
				page.Next = d.to(importPath(i)+"/waiting", "after", strconv.FormatInt(rows[refusalsAtOnce-1].Line, 10))
			}
			for _, row := range rows {
				page.Lines = append(page.Lines, QuarantineLine{row.Line, row.Email, row.Name, d.l.T("import.lacks." + row.Lacks)})
			}
			return err
		})
		if err != nil {
			return err
		}
		if after > 0 {
			page.First = d.to(importPath(i) + "/waiting")
		}
		return d.drawAs(status, "import-waiting", page)
	}
}

// askWaiting has the people of all rows that wait asked by mail, once.
func askWaiting(d *desk) error {
	i, err := d.oneImport()
	if err != nil {
		return err
	}
	err = d.change("import.ask", func(tx *store.Tx, form *Sheet) (done, error) {
		wrong := problem.New(problem.Invalid, "problem.invalid")
		pace := form.whole("per_hour", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, err
		}
		return done{subject: i.ID, next: importPath(i), detail: map[string]any{"name": i.Name}}, importer.Ask(tx, d.brand, i.ID, pace)
	})
	if p, is := problem.Of(err); is && (p.Kind == problem.Conflict || p.Kind == problem.Invalid) {
		if len(p.Fields) > 0 {
			return d.drawImport(i.ID, http.StatusUnprocessableEntity, d.l.T(p.Fields[0].Key, p.Fields[0].Args...))
		}
		return d.drawImport(i.ID, http.StatusConflict, d.l.T(p.Key, p.Args...))
	}
	return err
}

// releaseWaiting gives all rows that wait what they lack.
func releaseWaiting(d *desk) error {
	i, err := d.oneImport()
	if err != nil {
		return err
	}
	err = d.change("import.release", func(tx *store.Tx, form *Sheet) (done, error) {
		return done{subject: i.ID, next: importPath(i), detail: map[string]any{"name": i.Name}}, importer.Release(tx, d.brand.ID, i.ID, evidenceOf(form))
	})
	return d.redraw(err, drawWaiting(d, i, i.State == importer.Done))
}
