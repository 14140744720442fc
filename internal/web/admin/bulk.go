package admin

import (
	"context"
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/importer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// Bulk is the page admin/people-bulk: what is about to be done to many people,
// before it is.
type Bulk struct {
	Frame
	Sheet  Sheet
	Count  int64
	Tag    string
	Take   bool       // the tag is taken away; else it is given
	Fields url.Values // whom it is done to, to be sent again
	Button string
	Back   string
}

// bulkMost is how many people one can tick.
const bulkMost = peopleAtOnce

// crowd is whom a form of the list means: those who are ticked, or everybody
// whom its filter finds.
func (d *desk) crowd(tx *store.Tx, form url.Values) (subscriber.Filter, error) {
	q := peopleQuery{search: form.Get("q"), tag: form.Get("tag"), topic: form.Get("topic"), stand: form.Get("stand"), mine: form.Get("mine")}
	topics, err := consent.AllTopics(tx, d.brand.ID)
	if err != nil {
		return subscriber.Filter{}, err
	}
	f := d.filter(tx, q, topics)
	if form.Get("whom") != "ticked" {
		return f, nil
	}
	f = subscriber.Filter{Newest: true, IDs: []uuid.UUID{}}
	for _, text := range form["id"] {
		id, err := uuid.Parse(text)
		if err != nil || len(f.IDs) == bulkMost {
			return f, problem.New(problem.Malformed, "problem.malformed")
		}
		f.IDs = append(f.IDs, id)
	}
	return f, nil
}

// whom are the fields that name a crowd.
func whom(form url.Values) url.Values {
	kept := url.Values{}
	for _, name := range []string{"q", "tag", "topic", "stand", "mine", "whom", "id"} {
		if v := form[name]; len(v) > 0 && v[0] != "" {
			kept[name] = v
		}
	}
	return kept
}

// askBulk says how many people a tag would be given to, or taken from. It writes
// nothing.
func askBulk(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	page := Bulk{Frame: d.frame("people"), Tag: form.text("new-tag"), Take: form.Value("do") == "untag", Fields: whom(form.Values),
		Sheet: Sheet{Action: d.to("/people/tags"), Page: brandPath + d.brand.Slug + "/people/tags", Once: store.NewID(d.h.DB.Now())}}
	err = d.read(func(tx *store.Tx) error {
		f, err := d.crowd(tx, form.Values)
		if err == nil {
			page.Count, err = subscriber.Count(tx, d.brand.ID, f)
		}
		return err
	})
	if err != nil {
		return err
	}
	back := page.Fields
	page.Back = d.to("/people", "q", back.Get("q"), "tag", back.Get("tag"), "topic", back.Get("topic"), "stand", back.Get("stand"), "mine", back.Get("mine"))
	page.Button = d.l.T("admin.bulk.give")
	if page.Take {
		page.Button = d.l.T("admin.bulk.take")
	}
	return d.draw("people-bulk", page)
}

// tagMany gives a tag to many, or takes it from them: all or nothing.
func tagMany(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	what, do := "people.tag-many", subscriber.TagFound
	if form.Value("do") == "untag" {
		what, do = "people.untag-many", subscriber.UntagFound
	}
	err = d.change(what, func(tx *store.Tx, form *Sheet) (done, error) {
		f, err := d.crowd(tx, form.Values)
		if err != nil {
			return done{}, err
		}
		tag := form.text("new-tag")
		n, changed, err := do(tx, d.brand.ID, f, tag, account.UndoMost)
		came := done{next: "/people", detail: map[string]any{"name": tag, "count": n}}
		if n > 0 && n == int64(len(changed)) {
			came.back = &account.Undo{Fields: map[string]string{"tag": tag}, People: account.Pack(changed)}
		}
		return came, err
	})
	if p, expected := problem.Of(err); expected && p.Kind == problem.Invalid {
		text := d.l.T(p.Key, p.Args...)
		for _, f := range p.Fields {
			text = d.l.T(f.Key, f.Args...)
		}
		page := Bulk{Frame: d.frame("people"), Sheet: *form, Fields: whom(form.Values), Back: d.to("/people")}
		page.Sheet.Fault = text
		return d.drawAs(http.StatusUnprocessableEntity, "people-bulk", page)
	}
	return err
}

// exportPeople answers with those found as a file of comma-separated values
// (RFC 4180) in UTF-8: who they are, and where they stand with each topic. That
// it was taken stands in the log before the first line leaves.
func exportPeople(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	ctx := d.c.Request().Context()
	var f subscriber.Filter
	var topics []consent.Topic
	var n int64
	err = d.read(func(tx *store.Tx) error {
		if f, err = d.crowd(tx, form.Values); err != nil {
			return err
		}
		if topics, err = consent.AllTopics(tx, d.brand.ID); err != nil {
			return err
		}
		n, err = subscriber.Count(tx, d.brand.ID, f)
		return err
	})
	if err != nil {
		return err
	}
	err = d.h.DB.Write(ctx, func(tx *store.Tx) error {
		if err := d.still(tx); err != nil {
			return err
		}
		return account.Note(tx, account.Deed{BrandID: d.brand.ID, UserID: &d.User.ID, What: "people.export", Detail: map[string]any{"count": n}})
	})
	if err != nil {
		return err
	}
	topics = slices.DeleteFunc(topics, func(t consent.Topic) bool { return t.Purpose != consent.Marketing })
	res := d.c.Response()
	res.Header().Set("Content-Type", "text/csv; charset=utf-8")
	res.Header().Set("Content-Disposition", `attachment; filename="people-`+d.brand.Slug+"-"+d.h.DB.Now().UTC().Format("2006-01-02")+`.csv"`)
	res.WriteHeader(http.StatusOK)
	if _, err := res.Write([]byte("\uFEFF")); err != nil { // without it, spreadsheets read UTF-8 as something else
		return nil // who asked has gone
	}
	out := csv.NewWriter(res)
	head := []string{"email", "name", "language", "since", "tags"}
	for _, t := range topics {
		head = append(head, "topic:"+t.Slug)
	}
	if out.Write(head) != nil {
		return nil
	}
	return d.exportRows(ctx, out, f, topics)
}

// exportAtOnce is how many people one transaction reads, and exportPatience how
// long a reader may take for them.
const (
	exportAtOnce   = 500
	exportPatience = time.Minute
)

// exportRows writes page after page, no transaction being open meanwhile. What
// fails after the first page breaks the answer off, so that nobody takes a part
// for the whole.
func (d *desk) exportRows(ctx context.Context, out *csv.Writer, f subscriber.Filter, topics []consent.Topic) error {
	control := http.NewResponseController(d.c.Response())
	for cursor := ""; ; {
		var rows [][]string
		err := d.h.DB.Read(ctx, func(tx *store.Tx) error {
			found, next, err := subscriber.List(tx, d.brand.ID, f, cursor, exportAtOnce)
			if err != nil {
				return err
			}
			cursor = next
			rows, err = d.exportPage(tx, found, topics)
			return err
		})
		if err != nil {
			web.Log(d.c, web.Classify(err))
			panic(http.ErrAbortHandler)
		}
		_ = control.SetWriteDeadline(time.Now().Add(exportPatience)) // not every writer has one
		if out.WriteAll(rows) != nil || cursor == "" {
			return nil // written, or whoever asked has gone
		}
	}
}

func (d *desk) exportPage(tx *store.Tx, found []subscriber.Subscriber, topics []consent.Topic) (rows [][]string, err error) {
	lines, err := d.personLinesFor(tx, found, topics, func(t consent.Topic, p consent.Permission, now time.Time) PermissionChip {
		state := p.State
		if consent.InForce(state) && !p.InForce(now) {
			state = consent.Expired
		}
		return PermissionChip{Topic: t.ID.String(), State: string(state)}
	})
	for i, l := range lines {
		row := []string{importer.Plain(l.Email), importer.Plain(l.Name), found[i].Language, l.Since.UTC().Format(time.RFC3339), importer.Plain(strings.Join(l.Tags, "; "))}
		for _, t := range topics {
			at := slices.IndexFunc(l.Permissions, func(p PermissionChip) bool { return p.Topic == t.ID.String() })
			state := ""
			if at >= 0 {
				state = l.Permissions[at].State
			}
			row = append(row, state)
		}
		rows = append(rows, row)
	}
	return rows, err
}
