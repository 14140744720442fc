package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/campaign"
	"assent/internal/delivery/throttle"
)

func TestStreamsTellWhatPacesThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.key(nil, "*")
		h, other := w.house(root, "north-tea"), w.house(root, "south-tea")
		stream := uuid.MustParse(h.campaign)
		h.post("/campaigns/"+h.campaign+"/schedule", map[string]any{}).must(200)
		w.now.Add((2 * time.Minute).Microseconds())
		if err := campaign.Freeze(t.Context(), w.db, stream); err != nil {
			t.Fatal(err)
		}
		paced := func() string {
			t.Helper()
			flows := h.get("/streams").must(200).items()
			if len(flows) != 1 || flows[0]["waiting"] != 1.0 {
				t.Fatalf("what flows: %v", flows)
			}
			return fmt.Sprint(flows[0]["paced_by"])
		}
		if got := paced(); got != "<nil>" {
			t.Errorf("with no limit it is paced by %s", got)
		}
		limit, _ := throttle.Stream(stream, 1)
		elsewhere, _ := throttle.Brand(uuid.MustParse(other.brand), 1)
		for _, l := range []throttle.Limit{limit, elsewhere} {
			for range 2 { // there is room for one
				w.throttle.Take(t.Context(), throttle.Want{Limits: []throttle.Limit{l}, N: 1, UpTo: true})
			}
		}
		if got := paced(); got != "[stream]" {
			t.Errorf("it is paced by %s", got)
		}
		for _, l := range w.ask(root, "GET", "/limits", nil).must(200).items() {
			if l["held_times"] == 0.0 || l["about"] != h.campaign && l["about"] != other.brand {
				t.Errorf("the limits tell of %v", l)
			}
		}
	})
}
