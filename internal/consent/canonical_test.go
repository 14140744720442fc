package consent

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

// What is taken as canonical without a second look is what RFC 8785 says.
func TestCanonical(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.String())
	number := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) }),
		rapid.SampledFrom([]float64{0, 1, 1e15, 999999999999999, 1e16, 1e21, 1e-7, 0.5, 123456789012345678}))
	value := rapid.OneOf(rapid.Map(text, func(s string) any { return s }), rapid.Map(number, func(n float64) any { return n }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Just[any](nil),
		rapid.Map(rapid.MapOf(text, number), func(m map[string]float64) any { return m }), rapid.Map(rapid.SliceOf(text), func(s []string) any { return s }))
	short, whole := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		id := uuid.New()
		l := leaf{Schema: schema, EventID: id, PreviousEvent: &id, Notice: leafNotice{URL: text.Draw(r, "url"), Language: "en"},
			Purposes: []purpose{{ID: id, PromiseMax: rapid.IntRange(0, 9).Draw(r, "max"), PromiseDays: 7}}, Jurisdiction: text.Draw(r, "jurisdiction")}
		for _, v := range []any{l, map[string]any{"address": text.Draw(r, "address"), "evidence": rapid.MapOf(text, value).Draw(r, "evidence")}} {
			raw, err := json.Marshal(v)
			if err != nil {
				r.Fatal(err)
			}
			want, err := jcs.Transform(raw)
			if err != nil {
				continue // no number that JSON can say
			}
			got, err := canonical(v)
			if err != nil || !bytes.Equal(got, want) {
				r.Fatalf("%v\n got %s\nwant %s", err, got, want)
			}
			if plain(want) {
				short++
			} else {
				whole++
			}
		}
	})
	if short == 0 || whole == 0 {
		t.Fatalf("%d values were taken as they are, %d were not: this shows nothing", short, whole)
	}
}
