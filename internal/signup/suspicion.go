package signup

import (
	"time"

	"github.com/google/uuid"

	"assent/internal/signup/altcha"
)

// The signs that a sign-up may be a program's. They go into the evidence, decide
// how much work is asked for, and never refuse anybody.
const (
	SignNoLanguage = "no-language"  // no Accept-Language, which every browser sends
	SignNetwork    = "busy-network" // the network has used more than half of its share
	SignAddress    = "busy-address" // the IP address has: many sign-ups from one place
	SignDomain     = "busy-domain"  // the domain of the mail has: many are asked there
	SignDomainFull = "full-domain"  // all of it
	SignForm       = "form-guarded" // few of those asked through the form confirm
	SignQuick      = "quick"        // sent sooner than most people can
	SignBait       = "near-bait"    // the hidden field had blanks in it
	SignAgent      = "known-program"
)

// weights of the signs: from 2 on work is asked for, 4 and 6 bring harder work.
var weights = map[string]int{SignNoLanguage: 2, SignNetwork: 2, SignAddress: 2, SignDomain: 2, SignDomainFull: 3, SignForm: 3, SignQuick: 1, SignBait: 2, SignAgent: 3}

// quickFill is less than most people need for an address and a box.
const quickFill = 4 * time.Second

// Suspicion is what speaks for a program, and how much.
type Suspicion struct {
	Signs []string
	Level int // 0: nothing is asked for; to 3
}

// Suspect weighs signs.
func Suspect(signs ...string) Suspicion {
	score := 0
	for _, s := range signs {
		score += weights[s]
	}
	return Suspicion{Signs: signs, Level: min(3, score/2)}
}

// Quick reports whether a form with the token came back sooner than most people
// send one; an unknown token is not quick, for it is not taken at all.
func Quick(set Settings, token string, now time.Time) bool {
	t, err := readTicket(set.URLs.Ring, token)
	return err == nil && set.MinFill > 0 && now.Sub(t.at) < quickFill
}

// efforts by level: some 0.2, 1 and 5 seconds of one processor in a browser, a
// phone three times that.
var efforts = [4]altcha.Effort{{}, {Cost: 1000, Tries: 300}, {Cost: 1000, Tries: 1500}, {Cost: 1000, Tries: 6000}}

// workLife is how long a challenge can be solved and sent.
const workLife = 30 * time.Minute

// Work makes the challenge of a level for a form.
func Work(set Settings, form uuid.UUID, level int, now time.Time) (altcha.Challenge, error) {
	level = min(max(level, 1), 3)
	return altcha.New(workSecret(set), form.String(), level, efforts[level], now.Add(workLife))
}

func workSecret(set Settings) []byte { return set.URLs.Ring.Derive("proof of work") }

// ReadWork checks what the browser sent. Less than was asked for is no proof;
// ok is false.
func ReadWork(set Settings, form uuid.UUID, payload string, level int, now time.Time) (p Proof, ok bool) {
	if payload == "" {
		return Proof{}, false
	}
	work, err := altcha.Check(workSecret(set), payload, form.String(), now)
	if err != nil || work.Level < level {
		return Proof{}, false
	}
	return Proof{By: ByWork, Name: work.Name, Until: work.Until.UTC()}, true
}
