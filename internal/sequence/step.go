package sequence

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
)

// Step is one thing a sequence does: it waits, or it sends. Exactly one is set.
type Step struct {
	Wait *Wait      `json:"wait,omitempty"`
	Send *uuid.UUID `json:"send,omitempty"` // a content of the same brand
}

// maxSteps keeps a version readable, and its row small.
const maxSteps = 100

// checkSteps says what is wrong with steps as written, without asking the
// database: problem.Invalid, with the place of each fault.
func checkSteps(steps []Step) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if len(steps) == 0 {
		p.Field("steps", "sequence.steps.none")
		return p
	}
	if len(steps) > maxSteps {
		return p.Field("steps", "sequence.steps.many", "Max", maxSteps)
	}
	for i, s := range steps {
		name := fmt.Sprintf("steps/%d", i)
		switch {
		case (s.Wait == nil) == (s.Send == nil):
			p.Field(name, "sequence.step.one")
		case s.Wait != nil:
			s.Wait.check(p, name+"/wait")
		}
	}
	if steps[len(steps)-1].Wait != nil {
		p.Field(fmt.Sprintf("steps/%d", len(steps)-1), "sequence.steps.end")
	}
	return p.OrNil()
}

// ahead folds the waits that begin at step i at the moment from: it gives the
// step to do next, and when. Past the last step, i is len(steps).
func ahead(steps []Step, i int, from time.Time, loc *time.Location) (next int, due time.Time) {
	for i < len(steps) && steps[i].Wait != nil {
		from = steps[i].Wait.End(from, loc)
		i++
	}
	return i, from.UTC()
}
