package sequence

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"assent/internal/problem"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestWaitEndsOnThePersonsCalendar(t *testing.T) {
	for _, c := range []struct {
		name       string
		wait       Wait
		zone       string
		from, want string // local, RFC 3339
	}{
		{"minutes are a length", Wait{Minutes: 90}, "Europe/Berlin", "2026-03-29T01:30:00+01:00", "2026-03-29T04:00:00+02:00"},
		{"hours are a length", Wait{Hours: 24}, "Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00"},
		{"a day keeps the hour in spring", Wait{Days: 1}, "Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00"},
		{"a day keeps the hour in autumn", Wait{Days: 1}, "Europe/Berlin", "2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00"},
		{"a week", Wait{Weeks: 1}, "Asia/Tehran", "2026-11-22T09:30:00+03:30", "2026-11-29T09:30:00+03:30"},
		{"a month", Wait{Months: 1}, "Asia/Tehran", "2026-01-15T08:00:00+03:30", "2026-02-15T08:00:00+03:30"},
		{"a month from the 31st ends in February", Wait{Months: 1}, "UTC", "2026-01-31T08:00:00Z", "2026-02-28T08:00:00Z"},
		{"in a leap year too", Wait{Months: 1}, "UTC", "2028-01-31T08:00:00Z", "2028-02-29T08:00:00Z"},
		{"months over the year", Wait{Months: 3}, "UTC", "2026-11-30T08:00:00Z", "2027-02-28T08:00:00Z"},
		{"an hour the clocks skip is over when they skipped it", Wait{Days: 1}, "Europe/Berlin", "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"also west of Greenwich", Wait{Days: 1}, "America/New_York", "2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00"},
		{"an hour that comes twice is over at the first", Wait{Days: 1}, "Europe/Berlin", "2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"also west of Greenwich, twice", Wait{Days: 1}, "America/New_York", "2026-10-31T01:30:00-04:00", "2026-11-01T01:30:00-04:00"},
		{"half an hour of change", Wait{Days: 1}, "Australia/Lord_Howe", "2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00"},
		{"a day that never was", Wait{Days: 1}, "Pacific/Apia", "2011-12-29T10:00:00-10:00", "2011-12-31T00:00:00+14:00"},

		{"until later today", Wait{Until: "09:00"}, "Asia/Tehran", "2026-11-22T08:59:00+03:30", "2026-11-22T09:00:00+03:30"},
		{"until now", Wait{Until: "09:00"}, "Asia/Tehran", "2026-11-22T09:00:00+03:30", "2026-11-22T09:00:00+03:30"},
		{"until tomorrow", Wait{Until: "09:00"}, "Asia/Tehran", "2026-11-22T09:00:01+03:30", "2026-11-23T09:00:00+03:30"},
		{"until tomorrow, over the year", Wait{Until: "00:00"}, "Asia/Tehran", "2026-12-31T00:01:00+03:30", "2027-01-01T00:00:00+03:30"},
		{"until an hour skipped today", Wait{Until: "02:30"}, "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"until an hour skipped today, later today", Wait{Until: "02:30"}, "Europe/Berlin", "2026-03-29T03:00:01+02:00", "2026-03-30T02:30:00+02:00"},
		{"until an hour whose first coming is past", Wait{Until: "02:30"}, "Europe/Berlin", "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"},
		{"midnight skipped", Wait{Until: "00:00"}, "Africa/Cairo", "2026-04-23T12:00:00+02:00", "2026-04-24T01:00:00+03:00"},
		{"three days, then until nine", Wait{Days: 3, Until: "09:00"}, "Asia/Tehran", "2026-11-22T10:14:00+03:30", "2026-11-26T09:00:00+03:30"},
		{"two hours, then until nine", Wait{Hours: 2, Until: "09:00"}, "Asia/Tehran", "2026-11-22T06:00:00+03:30", "2026-11-22T09:00:00+03:30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			loc := zone(t, c.zone)
			if got := c.wait.End(from, loc).In(loc).Format(time.RFC3339); got != c.want {
				t.Errorf("%+v from %s ends %s, want %s", c.wait, c.from, got, c.want)
			}
		})
	}
}

// Whatever the zone and the moment, a wait never ends before it begins, ends
// at the hour asked for unless the clocks skip it, and ends within its length.
func TestWaitEndsInReason(t *testing.T) {
	zones := []string{"UTC", "Asia/Tehran", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"}
	rapid.Check(t, func(r *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		from := time.Unix(rapid.Int64Range(1_262_304_000, 2_000_000_000).Draw(r, "from"), 0).UTC()
		w := Wait{Days: rapid.IntRange(0, 40).Draw(r, "days"), Until: rapid.SampledFrom([]string{"", "00:00", "02:30", "09:00", "23:59"}).Draw(r, "until")}
		end := w.End(from, loc)
		if end.Before(from) {
			r.Fatalf("%+v from %s ends before, at %s", w, from.In(loc), end.In(loc))
		}
		if most := time.Duration(w.Days+3) * 24 * time.Hour; end.Sub(from) > most {
			r.Fatalf("%+v from %s ends only at %s", w, from.In(loc), end.In(loc))
		}
		begins, _ := end.In(loc).ZoneBounds()
		if w.Until != "" && end.In(loc).Format(hourLayout) != w.Until && !end.Equal(begins) {
			r.Fatalf("%+v from %s ends at %s", w, from.In(loc), end.In(loc))
		}
	})
}

func TestStepsAreChecked(t *testing.T) {
	send := Step{Send: &uuid.UUID{1}}
	day := Step{Wait: &Wait{Days: 1}}
	for _, c := range []struct {
		name  string
		steps []Step
		field string // "" is fine
	}{
		{"a welcome", []Step{send}, ""},
		{"a drip", []Step{send, day, send, {Wait: &Wait{Months: 2, Until: "09:00"}}, send}, ""},
		{"only until", []Step{{Wait: &Wait{Until: "23:59"}}, send}, ""},
		{"none", nil, "steps"},
		{"too many", make([]Step, maxSteps+1), "steps"},
		{"empty step", []Step{{}, send}, "steps/0"},
		{"both", []Step{{Wait: &Wait{Days: 1}, Send: send.Send}, send}, "steps/0"},
		{"a wait for nothing", []Step{send, day}, "steps/1"},
		{"no length", []Step{{Wait: &Wait{}}, send}, "steps/0/wait"},
		{"two units", []Step{{Wait: &Wait{Days: 1, Hours: 1}}, send}, "steps/0/wait"},
		{"back in time", []Step{{Wait: &Wait{Days: -1}}, send}, "steps/0/wait/days"},
		{"too long", []Step{{Wait: &Wait{Months: 25}}, send}, "steps/0/wait/months"},
		{"no such hour", []Step{{Wait: &Wait{Until: "25:00"}}, send}, "steps/0/wait/until"},
		{"loose hour", []Step{{Wait: &Wait{Until: "9:00"}}, send}, "steps/0/wait/until"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkSteps(c.steps)
			if c.field == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			p, ok := problem.Of(err)
			if !ok || p.Kind != problem.Invalid || len(p.Fields) == 0 || p.Fields[0].Name != c.field {
				t.Fatalf("got %v, want a fault at %s", err, c.field)
			}
		})
	}
}

func BenchmarkWaitEnd(b *testing.B) {
	loc := zone(b, "Europe/Berlin")
	from := time.Date(2026, 3, 28, 1, 30, 0, 0, time.UTC)
	w := Wait{Months: 1, Until: "09:00"}
	for b.Loop() {
		w.End(from, loc)
	}
}
