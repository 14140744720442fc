package signup

import (
	"slices"

	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// single is the end of a sign-up by a form that asks for no confirmation: what
// was ticked is given, marked as such, and the mail only tells it, with a way to
// say that it was somebody else. It holds where the law allows it still, and for
// who never said no: whoever left, or is stopped, comes back by double opt-in
// alone. For all others the same work is done, and taken back.
func (s Sheet) single(tx *store.Tx, r *Request, who subscriber.Subscriber, wanted []Box, t trace, fresh, silent bool) (bool, error) {
	if !s.Spec.Single || consent.LawOf(s.Brand.Jurisdiction).Single == "" {
		return false, nil
	}
	topics := make([]consent.Topic, len(wanted))
	for i, b := range wanted {
		topics[i] = b.Topic
	}
	before, err := consent.BeforeAll(tx, s.Brand, topics, []subscriber.Subscriber{who})
	if err != nil {
		return false, err
	}
	left := len(before) > 0 && slices.ContainsFunc(before[0], func(b consent.Before) bool { return b.Left != "" })
	keep := fresh && !silent && !left
	answer := *r
	if !fresh { // there is no request of its own: what is written here is taken back
		answer.ID = tx.NewID()
	}
	err = attempt(tx, "single", keep, func() error {
		for _, a := range byTopic(answer.Boxes) {
			_, err := consent.Record(tx, consent.Act{
				Brand: s.Brand, Subscriber: who.ID, Topic: topicsOf(wanted)[a.Topic], State: consent.Given, Method: consent.MethodSingleOptIn,
				Language: answer.Language, Wording: a.Wording, FormID: &answer.FormID, FormVersion: answer.FormVersion, Via: answer.Via, Evidence: t.evidence(answer),
			})
			if err != nil {
				return err
			}
		}
		if who.Name == "" && len(who.Attributes) == 0 { // of who is known already a stranger changes nothing
			if _, err := subscriber.Update(tx, s.Brand, who.ID, t.change(answer.Language)); err != nil {
				return err
			}
		}
		return answer.move(tx, Confirmed)
	})
	if err == nil && keep {
		*r = answer
	}
	return keep, err
}
