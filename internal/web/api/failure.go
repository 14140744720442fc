package api

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"assent/internal/problem"
	"assent/internal/web"
)

// document is a problem document that huma can write.
type document struct{ web.Document }

func (d document) Error() string           { return d.Code }
func (d document) GetStatus() int          { return d.Status }
func (document) ContentType(string) string { return web.ProblemType }

// tellFailuresOurWay has huma make problem documents like the rest of the
// house: one shape, one language, one line in the log. huma knows only one such
// function for the whole program.
var tellFailuresOurWay = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return &document{web.Document{Status: status, Detail: msg}}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		c := humaecho.Unwrap(ctx)
		f := failure(status, msg, errs)
		web.Log(c, f)
		return &document{web.Describe(c, f)}
	}
})

// failure is what huma found wrong, or what an action failed with.
func failure(status int, msg string, errs []error) web.Failure {
	var details []*huma.ErrorDetail
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			details = append(details, d)
			continue
		}
		return web.Classify(err)
	}
	switch status {
	case http.StatusUnprocessableEntity:
		p := problem.New(problem.Invalid, "problem.invalid")
		for _, d := range details {
			field(p, d)
		}
		return web.Failure{Problem: p, Status: status}
	case http.StatusUnsupportedMediaType:
		return web.Failure{Problem: problem.New(problem.Malformed, "api.not-json"), Status: status}
	case http.StatusBadRequest:
		cause := msg
		if len(details) > 0 {
			cause = details[0].Message
		}
		if strings.Contains(cause, "body is required") {
			return web.Failure{Problem: problem.New(problem.Malformed, "api.body-missing"), Status: status}
		}
		return web.Failure{Problem: problem.New(problem.Malformed, "api.unreadable", "Reason", cause), Status: status}
	}
	return web.Classify(fmt.Errorf("%s (%d)", msg, status))
}

// rule turns one of huma's sentences into a key of our catalogue.
type rule struct {
	sentence *regexp.Regexp
	key      string
	arg      string // the name that the first group gets; "/" adds it to the path
}

var rules = []rule{
	{regexp.MustCompile(`^expected required property (\S+) to be present$`), "problem.field.required", "/"},
	{regexp.MustCompile(`^required \w+ parameter is missing$`), "problem.field.required", ""},
	{regexp.MustCompile(`^(?:unexpected property|unknown query parameter)$`), "problem.field.unknown", ""},
	{regexp.MustCompile(`^expected length <= (\d+)$`), "problem.field.too-long", "Max"},
	{regexp.MustCompile(`^expected length >= (\d+)$`), "problem.field.too-short", "Min"},
	{regexp.MustCompile(`^expected value to be one of "(.+)"$`), "api.field.choice", "Choices"},
	{regexp.MustCompile(`^expected number <= (\S+)$`), "api.field.max", "Max"},
	{regexp.MustCompile(`^expected number >= (\S+)$`), "api.field.min", "Min"},
	{regexp.MustCompile(`^expected array length <= (\d+)$`), "api.field.too-many", "Max"},
	{regexp.MustCompile(`^expected array length >= (\d+)$`), "api.field.too-few", "Min"},
	{regexp.MustCompile(`date-time`), "api.field.time", ""},
	{regexp.MustCompile(`(?i)uuid`), "api.field.id", ""},
}

// field says where and what, from a place like "body.topics[0].slug".
func field(p *problem.Error, d *huma.ErrorDetail) {
	place := strings.NewReplacer("[", ".", "]", "").Replace(d.Location)
	place = strings.ReplaceAll(place, ".", "/")
	place = strings.TrimPrefix(strings.TrimPrefix(place, "body"), "/")
	for _, r := range rules {
		m := r.sentence.FindStringSubmatch(d.Message)
		switch {
		case m == nil:
			continue
		case r.arg == "/":
			p.Field(strings.TrimPrefix(place+"/"+m[1], "/"), r.key)
		case r.arg != "":
			p.Field(place, r.key, r.arg, m[1])
		default:
			p.Field(place, r.key)
		}
		return
	}
	p.Field(place, "problem.field.type")
}
