package api_test

import "testing"

func TestOneOfEverything(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		for _, path := range []string{"/brand", "/topics", "/topics/" + h.topic, "/forms", "/forms/" + h.form, "/subscribers", "/subscribers/" + h.person,
			"/subscribers/" + h.person + "/consents", "/subscribers/" + h.person + "/consents/" + h.consentID, "/subscribers/" + h.person + "/events",
			"/sequences", "/sequences/" + h.sequence, "/offers", "/offers/" + h.offer, "/offers/" + h.offer + "/codes", "/orders", "/campaigns", "/campaigns/" + h.campaign,
			"/messages", "/events", "/suppressions", "/keys"} {
			h.get(path).must(200)
		}
	})
}
