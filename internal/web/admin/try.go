package admin

import (
	"strings"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/store"
)

// testCampaign sends a campaign to people of the team.
func testCampaign(d *desk) error {
	c, _, err := d.campaign()
	if err != nil {
		return err
	}
	err = d.change("campaign.test", func(tx *store.Tx, form *Sheet) (done, error) {
		to := strings.FieldsFunc(form.Value("to"), func(r rune) bool { return strings.ContainsRune(",;،؛ \t\r\n", r) })
		err := campaign.Test(tx, d.brand.ID, c.ID, form.Value("language"), to, func(address string) (bool, error) {
			return account.OfTheTeam(tx, d.brand.ID, address)
		})
		return done{subject: c.ID, next: campaignPath(c), detail: map[string]any{"name": c.Name}}, err
	})
	return d.redraw(d.atFields(err), func(status int, s Sheet) error {
		s.Drafts = ""
		return d.drawCampaign(c.ID, status, &s, "")
	})
}
