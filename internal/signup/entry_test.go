package signup

import "testing"

func TestAStrangersPageIsNoAdvertisement(t *testing.T) {
	for page, want := range map[string]string{
		"https://mail.example.org/f/1":              "https://mail.example.org/f/1",
		"https://baharan.example/readers":           "https://baharan.example/readers",
		"https://evil.example/buy-now-half-price":   "evil.example",
		"https://baharan.example.evil.example/cash": "baharan.example.evil.example",
		"": "",
	} {
		if got := shownPage(page, "mail.example.org", "https://baharan.example"); got != want {
			t.Errorf("%s is shown as %q, want %q", page, got, want)
		}
	}
	if got := shownPage("https://evil.example/x", "mail.example.org", ""); got != "evil.example" {
		t.Errorf("without a web site: %q", got)
	}
}
