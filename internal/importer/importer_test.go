package importer

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Rows with all there can be: what they bring, and what they do not.
func TestAListIsReadAndAddsUp(t *testing.T) {
	each(t, func(w *world) {
		w.says("allows@example.org", consent.Given)
		known := w.says("known@example.org")
		w.write(func(tx *store.Tx) error {
			_, err := subscriber.Update(tx, w.brand, known.ID, subscriber.Change{Name: &[]string{"Her own name"}[0], Attributes: map[string]any{"city": "Leeds"}})
			return err
		})
		list := "\ufeffE-mail;Name;Tags;Consent date;Source;Words;City\r\n" +
			"sara@example.org;\"Sara \"\"the reader\"\"\";vip, shop;2026-03-01;https://old.example/form;Yes, send it.;Tehran\r\n" +
			"SARA@example.org;Again;;;;;\r\n" + // the same person
			"known@example.org;Name of the list;old;2026-03-01;fair;Yes.;Tehran\r\n" +
			"allows@example.org;Allows;;2026-03-01;fair;Yes.;\r\n" +
			"nodate@example.org;;;;;;\r\n" +
			"notwords@example.org;;;2026-03-01;fair;;\r\n" +
			";;;;;;\r\n" + // an empty row of a sheet is none
			"=cmd()|x;;;;;;\r\n" +
			"future@example.org;;;2027-03-01;fair;Yes.;\r\n" +
			"bad@example.org;;;the first;fair;Yes.;\r\n" +
			"long@example.org;" + strings.Repeat("ن", 300) + ";;;;;\r\n" +
			"broken@example.org;\"x\"y;;;;;\r\n" +
			"\"two\r\nlines@example.org\";;;;;;\r\n" +
			"ali@example.org;<b>علی</b>;;۲۰۲۶-۰۳-۰۱;نمایشگاه کتاب;بله، بفرستید.;\r\n"
		i := w.bring(list, Evidence{Basis: consent.BasisExplicit, Language: "en"}, w.letter)
		done := w.work(i)
		if done.State != Done || done.FinishedAt == nil {
			t.Fatalf("it is %s", done.State)
		}
		w.mustCome(i, "13=3+2+0+2+0+6; 4 3 6")
		var told []string
		for _, f := range w.refusals(i) {
			told = append(told, fmt.Sprintf("%d %s %s", f.Line, f.Place, f.Text(i18n.For("en"))))
		}
		want := []string{"9 E-mail An address has", "10 Consent date This day has not come yet.", "11 Consent date This is no day", "12 Name This is too long; at most 120", "13  A quotation mark", "14 E-mail There is a space"}
		for n, f := range told {
			if n >= len(want) || !strings.HasPrefix(f, want[n]) {
				t.Errorf("refused: %s", f)
			}
		}
		for who, want := range map[string]string{"sara@example.org": "yes", "known@example.org": "yes", "allows@example.org": "yes", "ali@example.org": "yes", "nodate@example.org": "unknown", "notwords@example.org": "unknown"} {
			if got := w.may(who, w.letter); got != want {
				t.Errorf("%s: %s, want %s", who, got, want)
			}
		}
		if got := w.may("sara@example.org", w.offer); got != "no-consent" {
			t.Errorf("a topic that nobody named: %s", got)
		}
		sara, _ := w.person("sara@example.org")
		w.write(func(tx *store.Tx) error {
			history, err := consent.History(tx, w.brand.ID, sara.ID)
			if err != nil || len(history) != 1 {
				t.Fatalf("%d entries: %v", len(history), err)
			}
			e := history[0]
			words, err := consent.WordingOf(tx, e)
			if err != nil || words != "Yes, send it." || e.Method != consent.MethodImport || e.Basis != consent.BasisExplicit {
				t.Errorf("recorded %+v with %q: %v", e, words, err)
			}
			proof, err := consent.EvidenceOf(tx, e.ID)
			if err != nil || proof.Evidence["given_on"] != "2026-03-01" || proof.Evidence["source"] != "https://old.example/form" || proof.Evidence["row"] != 2.0 || proof.Evidence["file"] != "list.csv" {
				t.Errorf("evidence %v: %v", proof.Evidence, err)
			}
			tags, err := subscriber.Tags(tx, w.brand.ID, sara.ID)
			if err != nil || strings.Join(tags, " ") != "shop vip" || sara.Attributes["city"] != "Tehran" || sara.Name != `Sara "the reader"` {
				t.Errorf("Sara has %v %+v: %v", tags, sara, err)
			}
			return nil
		})
		if s, _ := w.person("known@example.org"); s.Name != "Her own name" || s.Attributes["city"] != "Leeds" {
			t.Errorf("an old list wrote over what is known: %+v", s)
		}
		if n := w.count("import_parts"); n != 0 {
			t.Errorf("%d parts of the file are still there", n)
		}
	})
}

// Whoever left, by whatever way, stays away, known to the brand or not.
func TestNobodyWhoLeftComesBack(t *testing.T) {
	each(t, func(w *world) {
		w.says("withdrew@example.org", consent.Given, consent.Withdrawn)
		w.says("refused@example.org", consent.Requested, consent.Refused)
		w.says("invalid@example.org", consent.Requested, consent.Invalidated)
		w.says("asked@example.org", consent.Requested) // said nothing yet
		left := w.says("left@example.org", consent.Given)
		w.write(func(tx *store.Tx) error {
			if _, err := consent.WithdrawAll(tx, w.brand, left.ID, consent.MethodPreferences, nil); err != nil {
				return err
			}
			for address, why := range map[string]string{"stranger@example.org": consent.HardBounce, "spam@example.org": consent.Complaint} {
				hash, err := w.brand.AddressHash(tx, address)
				if err != nil {
					return err
				}
				if err := consent.Suppress(tx, w.brand, hash, why, ""); err != nil {
					return err
				}
			}
			return nil
		})
		rows := "email\nwithdrew@example.org\nREFUSED@example.org\ninvalid@example.org\nleft@example.org\nstranger@example.org\nspam@example.org\nasked@example.org\nnew@example.org\n"
		before := w.count("consent_events")
		i := w.bring(rows, shown, w.letter)
		w.work(i)
		w.mustCome(i, "8=2+0+6+0+0+0; 3 5 0")
		for who, want := range map[string]string{"withdrew@example.org": "consent-withdrawn", "refused@example.org": "consent-refused", "invalid@example.org": "consent-invalidated",
			"left@example.org": "suppressed:left", "stranger@example.org": "unknown", "spam@example.org": "unknown", "asked@example.org": "yes", "new@example.org": "yes"} {
			if got := w.may(who, w.letter); got != want {
				t.Errorf("%s: %s, want %s", who, got, want)
			}
		}
		if n := w.count("consent_events") - before; n != 2 {
			t.Errorf("%d entries in the ledger", n)
		}
		for _, f := range w.refusals(i) {
			if text := f.Text(i18n.For("fa")); !f.Left || strings.Contains(text, "import.") || f.Value == "" {
				t.Errorf("told of row %d: %v %s", f.Line, f, text)
			}
		}
		if n := w.count("import_refusals"); n != 6 {
			t.Errorf("%d rows in the report", n)
		}
		// Evidence given later brings nobody back either.
		j := w.bring(rows, Evidence{}, w.letter)
		w.work(j)
		w.mustCome(j, "8=0+2+6+0+0+0; 2 6 0")
	})
}

// A row without evidence makes nobody a subscriber, until there is some.
func TestRowsWithoutEvidenceWait(t *testing.T) {
	each(t, func(w *world) {
		list := "email,name,consent date\na@example.org,A,2026-01-02\nb@example.org,B,\nold@example.org,Old,2024-01-01\ngone@example.org,G,\n"
		i := w.bring(list, Evidence{}, w.letter, w.offer)
		w.work(i)
		w.mustCome(i, "4=0+0+0+4+0+0; 4 0 0")
		if n := w.count("subscribers"); n != 0 {
			t.Errorf("%d subscribers by rows without evidence", n)
		}
		w.write(func(tx *store.Tx) error {
			rows, err := ListWaiting(tx, w.nowIn(tx, i), 2, 10)
			if err != nil || len(rows) != 3 || rows[0].Email != "b@example.org" || rows[0].Lacks != "basis" {
				t.Errorf("waiting: %+v %v", rows, err)
			}
			var sealed [][]byte
			if err := tx.Raw("SELECT sealed FROM import_waiting").Scan(&sealed).Error; err != nil || len(sealed) != 4 || bytes.Contains(bytes.Join(sealed, nil), []byte("example.org")) {
				t.Errorf("an address lies open in the database: %v", err)
			}
			return nil
		})
		for _, e := range []Evidence{{}, {Basis: consent.BasisImport, Day: "2026-01-01"}, {Basis: consent.BasisExplicit, Day: "2026-01-01", Source: "x"}, {Basis: "whim", Day: "2026-01-01", Source: "x"}, {Basis: consent.BasisImport, Day: "2030-01-01", Source: "x"}} {
			if err := w.db.Write(w.Context(), func(tx *store.Tx) error { return Release(tx, w.brand.ID, i.ID, e) }); !problem.Is(err, problem.Invalid) {
				t.Errorf("%+v is evidence: %v", e, err)
			}
		}
		w.says("gone@example.org", consent.Requested, consent.Refused) // while the row waited
		w.write(func(tx *store.Tx) error { return Release(tx, w.brand.ID, i.ID, shown) })
		if again := w.work(i); again.State != Done {
			t.Errorf("it is %s", again.State)
		}
		// Of the letter, which does not run out, all but one have a permission; the offer is a year's.
		w.mustCome(i, "4=4+0+0+0+0+0; 4 0 0")
		for who, want := range map[string][2]string{"a@example.org": {"yes", "yes"}, "b@example.org": {"yes", "yes"}, "old@example.org": {"yes", "no-consent"}, "gone@example.org": {"consent-refused", "yes"}} {
			if got := [2]string{w.may(who, w.letter), w.may(who, w.offer)}; got != want {
				t.Errorf("%s: %v, want %v", who, got, want)
			}
		}
		a, _ := w.person("a@example.org")
		w.write(func(tx *store.Tx) error {
			all, err := consent.Permissions(tx, w.brand.ID, a.ID)
			for _, p := range all {
				if p.TopicID == w.offer.ID && (p.ValidUntil == nil || !p.ValidUntil.Equal(time.Date(2027, 1, 2, 0, 0, 0, 0, w.brand.Location()))) {
					t.Errorf("it lasts until %v: not a year from the day that it was given", p.ValidUntil)
				}
			}
			return err
		})

		j := w.bring(list, Evidence{}, w.offer)
		w.work(j)
		w.mustCome(j, "4=0+3+0+0+0+1; 0 3 1")
	})
}

// What has run out, or was never asked for, is told; what waits is dropped whole.
func TestGivingUp(t *testing.T) {
	each(t, func(w *world) {
		i := w.bring("email\nx@example.org\ny@example.org\n", Evidence{}, w.letter)
		w.work(i)
		w.write(func(tx *store.Tx) error { return GiveUp(tx, w.brand.ID, i.ID) })
		w.mustCome(i, "2=0+0+0+0+2+0; 2 0 0")
		if n := w.count("import_waiting"); n != 0 {
			t.Errorf("%d rows are still there", n)
		}
		if err := w.db.Write(w.Context(), func(tx *store.Tx) error { return GiveUp(tx, w.brand.ID, i.ID) }); !problem.Is(err, problem.Conflict) {
			t.Errorf("given up twice: %v", err)
		}
		// What nobody comes back for is destroyed by itself.
		j := w.bring("email\nx@example.org\nnot an address\n", Evidence{}, w.letter)
		w.work(j)
		half, err := Upload(w.Context(), w.db, w.brand, nil, "half.csv", strings.NewReader("email\n"))
		w.must(err)
		w.moved.Add(int64(RowsKept + time.Hour))
		w.write(func(tx *store.Tx) error { _, err := Sweep(tx, 100); return err })
		w.mustCome(j, "2=0+0+0+0+1+1; 1 0 1")
		if n := w.count("import_waiting") + w.count("import_refusals") + w.count("import_parts") + w.count("imports WHERE id = ?", half.ID); n != 0 {
			t.Errorf("%d rows outlive their time", n)
		}
	})
}

// many is a list of so many people, some of them there twice, some broken.
func many(n int) string {
	var b strings.Builder
	b.WriteString("email,name,consent date,source\n")
	for i := range n {
		switch {
		case i%101 == 7:
			fmt.Fprintf(&b, "broken %d,X,,\n", i)
		case i%97 == 5 && (i-5)%89 != 3:
			fmt.Fprintf(&b, "person%d@example.org,Again,2026-02-03,form\n", i-5)
		case i%89 == 3:
			fmt.Fprintf(&b, "person%d@example.org,\"Line\nbreak\",,form\n", i)
		default:
			fmt.Fprintf(&b, "person%d@example.org,Person %d,2026-02-03,form\n", i, i)
		}
	}
	return b.String()
}

// A step that is killed before it commits leaves nothing; one that is killed
// after it is not done again. Two workers take turns.
func TestAnImportThatIsKilled(t *testing.T) {
	each(t, func(w *world) {
		text := many(5000)
		e := Evidence{Basis: consent.BasisImport}
		i := w.bring(text, e, w.letter)
		killed := errors.New("killed")
		for n := 0; ; n++ {
			again := false
			err := w.db.Write(w.Context(), func(tx *store.Tx) (err error) {
				if again, err = step(tx, i.ID); err == nil && n%2 == 0 {
					return killed
				}
				return err
			})
			if n%2 == 1 && err != nil || n%2 == 0 && !errors.Is(err, killed) {
				t.Fatal(err)
			}
			if n%2 == 1 && !again {
				break
			}
			if n == 5 {
				w.write(func(tx *store.Tx) error { return Stop(tx, w.brand.ID, i.ID) })
				stopped := w.work(i)
				if stopped.State != Stopped || stopped.RowsRead == 0 || stopped.RowsRead > 4999 {
					t.Fatalf("stopped: %s after %d rows", stopped.State, stopped.RowsRead)
				}
				w.write(func(tx *store.Tx) error { return Resume(tx, w.brand.ID, i.ID) })
			}
		}
		whole := w.now(i)
		recorded, waiting, refused, again := int64(0), int64(0), int64(0), int64(0)
		for k := range 5000 {
			switch {
			case k%101 == 7:
				refused++
			case k%97 == 5 && (k-5)%89 != 3 && (k-5)%101 != 7:
				again++
			case k%89 == 3 && (k%97 != 5 || (k-5)%89 == 3):
				waiting++
			default:
				recorded++
			}
		}
		if whole.RowsRead != 5000 || whole.Recorded != recorded || whole.Waiting != waiting || whole.Refused != refused || whole.Allowed != again {
			t.Errorf("came %s; want %d recorded, %d waiting, %d refused, %d again", whole.told(), recorded, waiting, refused, again)
		}
		if n := w.count("consent_events"); n != whole.Recorded {
			t.Errorf("%d entries in the ledger for %d permissions", n, whole.Recorded)
		}
		if n := w.count("subscribers"); n != whole.Recorded {
			t.Errorf("%d people for %d permissions", n, whole.Recorded)
		}
		if n := w.count("import_waiting"); n != whole.Waiting {
			t.Errorf("%d rows wait, %d are counted", n, whole.Waiting)
		}
		// The same file again brings nobody twice, and is noticed.
		j := w.bring(text, e, w.letter)
		w.write(func(tx *store.Tx) error {
			same, err := Same(tx, w.nowIn(tx, j))
			if err != nil || len(same) != 1 || same[0].ID != i.ID {
				t.Errorf("the same file: %v %v", same, err)
			}
			return nil
		})
		both := make(chan error, 2)
		for range 2 {
			go func() { _, err := Work(context.Background(), w.db, j.ID.String()); both <- err }()
		}
		w.must(errors.Join(<-both, <-both))
		twice := w.now(j)
		if twice.Recorded != 0 || twice.Allowed != recorded+again || twice.Waiting != waiting || twice.RowsRead != 5000 {
			t.Errorf("the second time came %s", twice.told())
		}
	})
}

func (w *world) nowIn(tx *store.Tx, i Import) Import {
	now, err := Find(tx, w.brand.ID, i.ID)
	w.must(err)
	return now
}

// Every form that a list comes in, and what is none.
func TestFiles(t *testing.T) {
	each(t, func(w *world) {
		text := "ایمیل\tنام و نام خانوادگی\tتاریخ رضایت\tمنبع\r\nsara@example.org\tسارا\t۱۴۰۴/۱۲/۱۰\tنمایشگاه\r\n"
		little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
		for _, u := range utf16.Encode([]rune(text)) {
			little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
		}
		for name, file := range map[string]string{"utf-8": text, "marked": "\ufeff" + text, "little": string(little), "big": string(big), "old mac": strings.ReplaceAll(text, "\r\n", "\r")} {
			i := w.bring(file, Evidence{Basis: consent.BasisImport}, w.letter)
			got := w.work(i)
			if got.RowsRead != 1 || got.Recorded+got.Allowed != 1 {
				t.Errorf("%s: %s %+v", name, got.told(), w.refusals(i))
			}
		}
		if s, _ := w.person("sara@example.org"); s.Name != "سارا" {
			t.Errorf("Sara is called %q", s.Name)
		}
		for name, file := range map[string]string{"empty": "", "blank": "\r\n \r\n", "mark": "\ufeff", "zip": "PK\x03\x04rest", "old sheet": "\xd0\xcf\x11\xe0rest", "latin": "email,name\na@example.org,Jos\xe9\n", "nul": "a\x00b@example.org"} {
			if _, err := Upload(w.Context(), w.db, w.brand, nil, "x", strings.NewReader(file)); !problem.Is(err, problem.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		cut := io.MultiReader(strings.NewReader(strings.Repeat("email\n", 100000)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := Upload(w.Context(), w.db, w.brand, nil, "x", cut); err == nil {
			t.Error("a file that was cut off was taken for whole")
		}
		if n := w.count("imports WHERE state = 'uploading'"); n != 0 {
			t.Errorf("%d files that came to nothing are still there", n)
		}
		// A quote that is never closed spoils its row, not the file.
		i := w.bring("email,name\na@example.org,\"A\nb@example.org,B\n"+strings.Repeat("c@example.org,C\n", 20000), shown, w.letter)
		if got := w.work(i); got.RowsRead != 20002 || got.Refused != 1 || got.Recorded != 2 {
			t.Errorf("an open quote: %s", got.told())
		}
		// Somebody else's file cannot be reached.
		w.write(func(tx *store.Tx) error {
			if _, err := Find(tx, nobody, i.ID); !problem.Is(err, problem.NotFound) {
				t.Errorf("another brand's: %v", err)
			}
			return nil
		})
	})
}

func TestReportIsNoFormula(t *testing.T) {
	rows := []Refusal{{Line: 2, Place: "=1+1", Value: "=HYPERLINK(\"x\")", Why: "problem.field.required"}, {Line: 3, Value: "@a", Why: "problem.field.required"}, {Line: 4, Value: "-1\n+2", Why: "consent-withdrawn", Left: true}}
	var b strings.Builder
	err := WriteReport(&b, i18n.For("en"), func(after int64) ([]Refusal, error) {
		if after >= 0 {
			return nil, nil
		}
		return rows, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), "\ufeff"))).ReadAll()
	if err != nil || len(got) != 4 {
		t.Fatalf("%d rows: %v", len(got), err)
	}
	for _, row := range got {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("a formula: %q", cell)
			}
		}
	}
	if got[1][2] != `'=HYPERLINK("x")` {
		t.Errorf("the value is %q", got[1][2])
	}
}

// The rows are those of encoding/csv where it takes the text, however it comes.
func FuzzTable(f *testing.F) {
	for _, s := range []string{"a,b\nc,d\n", "\"a\nb\",c\r\nd", "\"a\"\"b\",\"\"", "a\r\rb", "\"open", "a,\"b\"c\nd", "", "\n\n,", "x\"y,z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		read := func(in io.Reader) (rows [][]string, faults int) {
			tab := newTable(in, ',')
			for {
				cells, fault, err := tab.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if fault != "" {
					faults++
				} else {
					rows = append(rows, cells)
				}
			}
			if tab.offset != int64(len(s)) {
				t.Fatalf("read %d of %d bytes", tab.offset, len(s))
			}
			return rows, faults
		}
		rows, faults := read(strings.NewReader(s))
		slow, again := read(iotest.OneByteReader(strings.NewReader(s)))
		if fmt.Sprint(rows, faults) != fmt.Sprint(slow, again) {
			t.Fatalf("%q differs by how it comes", s)
		}
		want, err := csv.NewReader(strings.NewReader(s)).ReadAll()
		if err != nil || faults > 0 || strings.ContainsAny(s, "\r\x00") {
			return
		}
		kept := rows[:0]
		for _, r := range rows {
			if len(r) != 1 || r[0] != "" {
				kept = append(kept, r)
			}
		}
		for n := range want {
			if len(want[n]) == 1 && want[n][0] == "" {
				return // a quoted nothing, which is no row here
			}
		}
		if fmt.Sprintf("%q", kept) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q: %q, want %q", s, kept, want)
		}
	})
}

func TestGuesses(t *testing.T) {
	for name, want := range map[string]string{"E-Mail Address": Email, "نشانی ایمیل": Email, "Full name": Name, "CONFIRM_TIME": GivenOn, "تاریخ رضایت": GivenOn, "منبع": Source, "متن رضايت": Words, "برچسب‌ها": Tags, "City": Skip} {
		if got := useOf(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, x := range []struct{ text, way, want string }{{"2024-11-30T10:00:00Z", DatesISO, "2024-11-30"}, {"30.11.2024", DatesDMY, "2024-11-30"}, {"11/30/2024 10:15", DatesMDY, "2024-11-30"}, {"۱۴۰۳/۰۹/۱۰", DatesJalali, "2024-11-30"},
		{"1403/09/10", DatesISO, ""}, {"2024-11-30", DatesJalali, ""}, {"31.02.2024", DatesDMY, ""}, {"soon", DatesISO, ""}, {"", DatesISO, ""}} {
		day, ok := readDay(x.text, x.way)
		if got := day.Format(time.DateOnly); ok != (x.want != "") || ok && got != x.want {
			t.Errorf("%s by %s is %s, want %q", x.text, x.way, got, x.want)
		}
	}
	for text, want := range map[string]byte{"a;b,c;d\n1;2;3\n": ';', "a,b\n1,2\n": ',', "a\tb, c\n1\t2\n": '\t', "one\ntwo\n": ','} {
		if got := separatorOf([]byte(text), true); got != want {
			t.Errorf("%q is separated by %q", text, got)
		}
	}
}
