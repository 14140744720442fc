package api

import (
	"fmt"
	"strings"

	"assent/internal/delivery"
	"assent/internal/problem"
)

// mailText is a mail's words in one language, as Liquid.
type mailText struct {
	Language  string `json:"language" maxLength:"35" doc:"BCP 47." example:"en"`
	Subject   string `json:"subject" maxLength:"998" example:"A new tea, {{ subscriber.name | default: 'dear friend' }}"`
	Preheader string `json:"preheader,omitempty" maxLength:"500" doc:"Shown beside the subject in the mailbox." example:"From the first spring picking"`
	HTML      string `json:"html" maxLength:"500000" example:"<p>Hello {{ subscriber.name }}, …</p>"`
	Text      string `json:"text,omitempty" maxLength:"500000" doc:"Made from the HTML, if left out." example:"Hello {{ subscriber.name }}, …"`
}

// deliveryTexts wants headers to stay on one line, as they are written.
func deliveryTexts(place string, in []mailText) ([]delivery.Text, error) {
	out := make([]delivery.Text, len(in))
	wrong := problem.New(problem.Invalid, "problem.invalid")
	for i, t := range in {
		for name, value := range map[string]string{"subject": t.Subject, "preheader": t.Preheader} {
			if strings.ContainsAny(value, "\r\n") {
				wrong.Field(fmt.Sprintf("%s/%d/%s", place, i, name), "problem.field.line-break")
			}
		}
		out[i] = delivery.Text(t)
	}
	return out, wrong.OrNil()
}

func showTexts(in []delivery.Text) []mailText {
	out := make([]mailText, len(in))
	for i, t := range in {
		out[i] = mailText(t)
	}
	return out
}

// countsAnswer tells how many messages stand where; they add up to total.
type countsAnswer struct {
	Queued    int64 `json:"queued" example:"120"`
	Claimed   int64 `json:"claimed" doc:"In the hands of a worker just now." example:"40"`
	Sent      int64 `json:"sent" example:"800"`
	Failed    int64 `json:"failed" example:"3"`
	Skipped   int64 `json:"skipped" doc:"Left out at the last moment, each with its reason." example:"37"`
	Uncertain int64 `json:"uncertain" doc:"Handed over when the line broke; settled by hand or policy." example:"0"`
	Total     int64 `json:"total" example:"1000"`
}
