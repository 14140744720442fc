package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/i18n"
)

// lines is how many lines of what happened last are shown.
const lines = 8

// tones are the colours of permission that a fact bears on: given, asked, and
// taken back, refused or failed. What is not named has none.
var tones = map[string]string{
	event.ConsentGiven: "yes", event.ConsentRenewed: "yes", event.SignupConfirmed: "yes", event.AddressLifted: "yes",
	event.ConsentRequested: "ask", event.SignupAsked: "ask",
	event.ConsentRefused: "no", event.ConsentWithdrawn: "no", event.ConsentExpired: "no", event.ConsentInvalidated: "no",
	event.SignupDeclined: "no", event.SignupDisowned: "no", event.SignupExpired: "no",
	event.MailFailed: "no", event.MailUncertain: "no", event.OfferRefused: "no", event.AddressSuppressed: "no",
}

// happened tells facts in plain words, the newest first. A run of the same is
// one line with the number of the others. Addresses are named only to who may
// see people.
func happened(l *i18n.Localizer, facts []fact, topics map[string]string, people bool) []Happening {
	var told []Happening
	full := len(facts) == happenings
	facts = slices.DeleteFunc(slices.Clone(facts), implied(facts))
	for i := 0; i < len(facts) && len(told) < lines; {
		n := 1
		for i+n < len(facts) && alike(facts[i], facts[i+n]) {
			n++
		}
		line := tell(l, facts[i], topics)
		if people {
			line.Who = facts[i].Email
		}
		if n > 1 {
			key := "admin.event.more"
			if i+n == len(facts) && full {
				key = "admin.event.more-at-least" // the run may go on below what was read
			}
			line.Extra = l.N(key, int64(n-1))
		}
		told = append(told, line)
		i += n
	}
	return told
}

// implied: that a person was added goes without saying where they did something
// at that very moment.
func implied(facts []fact) func(fact) bool {
	type moment struct {
		person uuid.UUID
		at     time.Time
	}
	did := map[moment]bool{}
	for _, f := range facts {
		if f.SubscriberID != nil && f.Kind != event.SubscriberCreated {
			did[moment{*f.SubscriberID, f.At}] = true
		}
	}
	return func(f fact) bool {
		return f.Kind == event.SubscriberCreated && f.SubscriberID != nil && did[moment{*f.SubscriberID, f.At}]
	}
}

// alike: the same thing, said of whomever.
func alike(a, b fact) bool {
	return a.Kind == b.Kind && a.Data["topic_id"] == b.Data["topic_id"] && a.Data["reason"] == b.Data["reason"]
}

// tell says one fact. A kind that the catalogue has no words for is named as it
// is stored.
func tell(l *i18n.Localizer, f fact, topics map[string]string) Happening {
	line := Happening{At: f.At, Tone: tones[f.Kind], Text: f.Kind, Extra: extra(l, f)}
	key := "admin.event." + f.Kind
	if topic := topics[fmt.Sprint(f.Data["topic_id"])]; topic != "" {
		key, line.Text = key+".topic", l.T(key+".topic", "Topic", topic)
	}
	if l.Has(key) && line.Text == f.Kind {
		line.Text = l.T(key)
	}
	return line
}

// extra is what makes this fact this one: why, where to, which order.
func extra(l *i18n.Localizer, f fact) string {
	switch f.Kind {
	case event.SignupAsked, event.ConsentGiven, event.ConsentRenewed:
		return way(l, text(f.Data["via"]))
	case event.MailFailed, event.MailSkipped, event.MailUncertain, event.AddressSuppressed, event.AddressLifted, event.OfferRefused, event.SequenceEnded,
		event.SendingPaused, event.SendingWarned:
		return reason(l, text(f.Data["reason"]))
	case event.AlarmRaised, event.AlarmEnded:
		if key := "admin.alarm." + text(f.Data["reason"]); l.Has(key) {
			return l.T(key)
		}
	case event.MailClicked:
		return text(f.Data["url"])
	case event.OrderPlaced:
		return text(f.Data["number"])
	case event.OfferIssued, event.OfferRedeemed:
		return text(f.Data["code"])
	}
	return ""
}

// way tells how somebody found a form; empty where nobody knows.
func way(l *i18n.Localizer, via string) string {
	if key := "admin.via." + via; via != "" && l.Has(key) {
		return l.T(key)
	}
	return ""
}

// reason puts a stored reason into words where the catalogue has them.
func reason(l *i18n.Localizer, stored string) string {
	what, why, _ := strings.Cut(stored, ":")
	key := "admin.reason." + slug(what)
	if !l.Has(key) {
		return stored
	}
	if why = strings.TrimSpace(why); why != "" {
		return l.T("admin.reason.because", "What", l.T(key), "Why", reason(l, why))
	}
	return l.T(key)
}

func slug(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), " ", "-") }

func text(v any) string {
	s, _ := v.(string)
	return s
}
