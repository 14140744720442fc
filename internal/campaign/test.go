package campaign

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// maxTests is how many addresses one test goes to at most.
const maxTests = 10

// Test queues the campaign as it is now to people of the team, in a language of
// its content. member tells whether an address is that of a user who is a
// member of the brand; a test goes nowhere else (problem.Invalid), because it
// has no consent behind it. It is never tracked and counts nowhere.
func Test(tx *store.Tx, brandID, id uuid.UUID, language string, to []string, member func(address string) (bool, error)) error {
	c, err := Find(tx, brandID, id)
	if err != nil {
		return err
	}
	if err := checkTest(tx, c, language, to, member); err != nil {
		return err
	}
	stream, err := delivery.BrandStream(tx, brandID, delivery.OriginTest)
	if err != nil {
		return err
	}
	source := tx.NewID()
	for i, address := range to {
		_, _, err := delivery.Queue(tx, delivery.Draft{Source: source, Stream: stream, Brand: brandID, Part: i, Kind: delivery.Test,
			Content: &c.ContentID, Language: language, Recipient: address, Due: tx.Now()})
		if err != nil {
			return err
		}
	}
	return nil
}

func checkTest(tx *store.Tx, c Campaign, language string, to []string, member func(string) (bool, error)) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if len(to) == 0 {
		p.Field("to", "problem.field.required")
	}
	if len(to) > maxTests {
		return p.Field("to", "campaign.test.many", "Max", maxTests)
	}
	for i, address := range to {
		ok, err := member(address)
		if err != nil {
			return fmt.Errorf("ask whether a test may go to somebody: %w", err)
		}
		if !ok {
			p.Field(fmt.Sprintf("to/%d", i), "campaign.test.stranger")
		}
	}
	texts, err := delivery.Contents(tx, c.BrandID, c.ContentID)
	if err != nil {
		return err
	}
	for _, t := range texts {
		if t.Language == language {
			return p.OrNil()
		}
	}
	return p.Field("language", "problem.field.choice")
}
