package campaign

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/store"
)

// ReasonTag is why somebody with permission is not among the people of a
// campaign that is for a tag. The other reasons are those of consent.May.
const ReasonTag = "no-tag"

// Audience is who would be taken if the campaign were frozen now.
type Audience struct {
	People    int64
	Languages map[string]int64 // of the people: how many read each
	Out       map[string]int64 // of those whose permission stands: how many are left out, by reason
}

// AudienceOf counts it by the rule that the freeze takes people by. It reads the
// topic's permissions in force, by permissions_in_force, and for each the keys
// of subscribers, suppressions and, where there is a tag, of subscriber_tags.
func AudienceOf(tx *store.Tx, brandID, topicID uuid.UUID, tag string) (Audience, error) {
	var rows []struct {
		Reason   string
		Tagged   bool
		Language string
		N        int64
	}
	tagged, args := "TRUE", []any{tx.Now()}
	if tag != "" {
		tagged = "EXISTS (SELECT 1 FROM subscriber_tags g WHERE g.brand_id = p.brand_id AND g.tag = ? AND g.subscriber_id = p.subscriber_id)"
		args = append(args, tag)
	}
	err := tx.Raw(`SELECT reason, tagged, language, count(*) AS n FROM (SELECT `+consent.ReasonSQL+` AS reason, `+tagged+` AS tagged, s.language
			FROM permissions p JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
			WHERE p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed')) x GROUP BY reason, tagged, language`,
		append(args, topicID, brandID)...).Scan(&rows).Error
	if err != nil {
		return Audience{}, fmt.Errorf("count the audience of a campaign: %w", err)
	}
	a := Audience{Languages: map[string]int64{}, Out: map[string]int64{}}
	for _, r := range rows {
		switch {
		case r.Reason != "":
			a.Out[r.Reason] += r.N
		case !r.Tagged:
			a.Out[ReasonTag] += r.N
		default:
			a.People += r.N
			a.Languages[r.Language] += r.N
		}
	}
	return a, nil
}
