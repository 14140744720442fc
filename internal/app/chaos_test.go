package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"assent/internal/testkit"
	"assent/internal/testkit/chaos"
)

// The short form of `make chaos`: a campaign, sign-ups, and three SIGKILLs, with
// a marketer who looks at the pages.
func TestKilledWhileSending(t *testing.T) {
	const connections = 4
	pairs(t, func(t *testing.T, o testkit.ServiceOptions) {
		mail := testkit.SMTP(t)
		mail.Script(testkit.AnyAddress, testkit.StallReply(10*time.Millisecond).Times(1<<30))
		o.SMTP, o.TestClock = fmt.Sprintf("%s&connections=%d", mail.URL, connections), true
		o.Env = []string{"ASSENT_SIGNUP_PER_IP=100000", "ASSENT_SIGNUP_PER_FORM=100000", "ASSENT_SIGNUP_PER_NETWORK=100000", "ASSENT_SIGNUP_PER_DOMAIN=100000", "ASSENT_SIGNUP_PROOF=off", "ASSENT_SIGNUP_MIN_FILL=0s"}
		s := testkit.NewService(t, o)
		v := chaos.Run(t, chaos.Plan{Title: t.Name(), Services: []*testkit.Service{s}, Judge: chaos.Mailbox{SMTPServer: mail}, Key: s.Key(t),
			People: 800, Connections: connections, Blows: slices.Repeat([]chaos.Blow{chaos.Kill(s)}, 3), Pause: 400 * time.Millisecond})
		if v.Lost > 0 || v.Twice > 0 || v.UncertainMax > connections || v.Wrong > 0 || v.Looks < 10 {
			t.Error(v)
		}
	})
}
