package offer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

// Update changes an offer to what n says. Of a draft everything can be changed;
// once it was started only what takes nothing from anybody: its name, its mail
// in the languages it has, more codes, codes that hold longer from now on, and
// who has earned it, as long as all who had still do. Codes that people have
// stay as they are. Anything else is problem.Invalid, and any change of one that
// has ended problem.Conflict. Who raises the budget of one that runs, or lets
// more people earn it, sets it going again.
func Update(tx *store.Tx, b brand.Brand, id uuid.UUID, n New) (Offer, error) {
	was, err := Lock(tx, b.ID, id)
	if err != nil {
		return Offer{}, err
	}
	if was.State == Ended {
		return Offer{}, problem.New(problem.Conflict, "offer.state.ended")
	}
	p := problem.New(problem.Invalid, "problem.invalid")
	if _, has := was.Texts[b.Language]; !has && was.State != Draft {
		b.Language = slices.Min(slices.Collect(maps.Keys(was.Texts))) // the brand spoke another when it was started
	}
	if err := n.check(tx, p, b); err != nil {
		return Offer{}, err
	}
	if was.State != Draft {
		was.keeps(p, n)
	}
	if err := p.OrNil(); err != nil {
		return Offer{}, err
	}
	o := was
	o.set(n)
	o.UpdatedAt = tx.Now()
	if err := tx.Save(&o).Error; err != nil {
		return Offer{}, fmt.Errorf("change an offer: %w", err)
	}
	if o.State != Running {
		return o, nil
	}
	return o, wake(tx, id)
}

// keeps adds to p what n would take from those who have a code, or have earned one.
func (o Offer) keeps(p *problem.Error, n New) {
	for field, same := range map[string]bool{
		"topic": o.TopicID == n.Topic, "value_kind": o.ValueKind == n.ValueKind, "value": o.Value == n.Value,
		"currency": o.Currency == n.Currency || o.Currency == "", "texts": maps.Equal(o.Texts, n.Texts),
	} {
		if !same {
			p.Field(field, "offer.fixed")
		}
	}
	if n.Budget < o.Budget {
		p.Field("budget", "offer.only-more", "Now", o.Budget)
	}
	if n.ValidDays < o.ValidDays {
		p.Field("valid_days", "offer.only-more", "Now", o.ValidDays)
	}
	for field, way := range map[string][2]int64{
		"min_orders": {int64(o.MinOrders), int64(n.MinOrders)}, "min_value": {o.MinValue, n.MinValue}, "min_months": {int64(o.MinMonths), int64(n.MinMonths)},
	} {
		if was, now := way[0], way[1]; was > 0 && (now == 0 || now > was) {
			p.Field(field, "offer.only-easier")
		}
	}
	slices.SortFunc(p.Fields, func(a, b problem.Field) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
}

// order is that of the fields of a form.
var order = []string{"name", "topic", "value_kind", "value", "currency", "budget", "valid_days", "min_orders", "min_value", "min_months", "texts"}

func (o *Offer) set(n New) {
	o.Name, o.TopicID, o.ContentID, o.Texts = n.Name, n.Topic, n.Content, n.Texts
	o.ValueKind, o.Value, o.Currency = n.ValueKind, n.Value, n.Currency
	o.ValidDays, o.Budget = n.ValidDays, n.Budget
	o.MinOrders, o.MinValue, o.MinMonths = n.MinOrders, n.MinValue, n.MinMonths
}
