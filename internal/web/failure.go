package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// statuses are the HTTP statuses of the kinds.
var statuses = map[problem.Kind]int{
	problem.Internal:     http.StatusInternalServerError,
	problem.Invalid:      http.StatusUnprocessableEntity,
	problem.Malformed:    http.StatusBadRequest,
	problem.Unauthorized: http.StatusUnauthorized,
	problem.Forbidden:    http.StatusForbidden,
	problem.NotFound:     http.StatusNotFound,
	problem.Conflict:     http.StatusConflict,
	problem.Gone:         http.StatusGone,
	problem.TooLarge:     http.StatusRequestEntityTooLarge,
	problem.TooMany:      http.StatusTooManyRequests,
	problem.Unavailable:  http.StatusServiceUnavailable,
}

// statusGone is what is logged for a client that went away; nobody receives it.
const statusGone = 499

// Failure is an error as HTTP tells it.
type Failure struct {
	Problem *problem.Error
	Status  int
}

// Classify gives every error a kind and a status. What is no problem, and no
// refusal of Echo or of the body's limit, is our own fault.
func Classify(err error) Failure {
	var tooLarge *http.MaxBytesError
	var he *echo.HTTPError
	if p, ok := problem.Of(err); ok {
		return Failure{p, statuses[p.Kind]}
	}
	switch {
	case errors.As(err, &tooLarge):
		return of(problem.TooLarge, err)
	case errors.As(err, &he):
		return ofEcho(he)
	case errors.Is(err, context.DeadlineExceeded), store.Away(err):
		return of(problem.Unavailable, err)
	}
	return of(problem.Internal, err)
}

func of(kind problem.Kind, err error) Failure {
	return Failure{problem.New(kind, "problem."+kind.String()).Because(err), statuses[kind]}
}

func unavailable(err error) error { return of(problem.Unavailable, err).Problem }

func ofEcho(he *echo.HTTPError) Failure {
	if he.Code == http.StatusMethodNotAllowed {
		return Failure{problem.New(problem.Malformed, "problem.method").Because(he), he.Code}
	}
	for kind, status := range statuses {
		if status == he.Code {
			return of(kind, he)
		}
	}
	if he.Code >= 400 && he.Code < 500 {
		return Failure{problem.New(problem.Malformed, "problem.malformed").Because(he), he.Code}
	}
	return of(problem.Internal, he)
}

// Document is a problem document (RFC 9457). Type and Code are stable and for
// programs; Title and Detail are sentences in the reader's language.
type Document struct {
	Type      string       `json:"type" doc:"Names the kind of problem; explained at this address." example:"https://mail.example.org/api/docs#problem-invalid"`
	Title     string       `json:"title" doc:"The kind of problem, for people."`
	Status    int          `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string       `json:"detail" doc:"What happened, for people."`
	Code      string       `json:"code" doc:"What happened, for programs." example:"consent.evidence-missing"`
	Errors    []FieldError `json:"errors,omitempty" doc:"What was wrong where."`
	RequestID string       `json:"request_id,omitempty" doc:"Names this request in our log."`
}

// FieldError is one wrong part of the input.
type FieldError struct {
	Field  string `json:"field" doc:"A path into the body, or query/NAME." example:"topics/0/slug"`
	Code   string `json:"code" doc:"What is wrong, for programs." example:"problem.field.required"`
	Detail string `json:"detail" doc:"What is wrong, for people."`
}

// ProblemType is the content type of a problem document.
const ProblemType = "application/problem+json"

// Describe tells a failure in the visitor's language.
func Describe(c echo.Context, f Failure) Document {
	l := Localizer(c)
	kind := f.Problem.Kind.String()
	d := Document{
		Type:      ProblemURI(c, f.Problem.Kind),
		Title:     l.T("problem." + kind),
		Status:    f.Status,
		Detail:    sentenceOf(c, f.Problem),
		Code:      f.Problem.Key,
		RequestID: RequestID(c),
	}
	for _, field := range f.Problem.Fields {
		d.Errors = append(d.Errors, FieldError{Field: field.Name, Code: field.Key, Detail: l.T(field.Key, field.Args...)})
	}
	return d
}

// ProblemURI names a kind of problem, and is where it is explained.
func ProblemURI(c echo.Context, kind problem.Kind) string {
	base := ""
	if e, ok := c.Get(edgeKey).(*edge); ok {
		base = strings.TrimSuffix(e.urls.Base.String(), "/")
	}
	return base + "/api/docs#problem-" + kind.String()
}

// edge is where errors become answers.
type edge struct {
	log    *slog.Logger
	urls   link.URLs
	pages  *Renderer
	errors ErrorPage
}

const (
	requestKey = "assent request"
	edgeKey    = "assent edge"
)

// awayFor is after how many seconds it makes sense to ask again for what is away.
const awayFor = 5

// RequestID names the request in the log and in problem documents.
func RequestID(c echo.Context) string {
	id, _ := c.Get(requestKey).(string)
	return id
}

// begin names the request.
func (e *edge) begin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := uuid.NewString()
		c.Set(requestKey, id)
		c.Set(edgeKey, e)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		return next(c)
	}
}

// rescue turns a panic into an error that is told like any other; the server goes on.
func rescue(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler {
					panic(r)
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

// handle is Echo's error handler: it logs once and answers.
func (e *edge) handle(err error, c echo.Context) {
	f := Classify(err)
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil || c.Response().Committed && hungUp(err) {
		f.Status = statusGone
	}
	Log(c, f)
	if c.Response().Committed || f.Status == statusGone {
		return
	}
	if f.Status == http.StatusServiceUnavailable && c.Response().Header().Get(echo.HeaderRetryAfter) == "" {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(awayFor))
	}
	if f.Status == http.StatusUnauthorized && IsAPI(c.Request()) {
		c.Response().Header().Set("WWW-Authenticate", `Bearer realm="assent"`)
	}
	if err := e.answer(c, f); err != nil {
		e.log.ErrorContext(c.Request().Context(), "could not tell a failure", "request", RequestID(c), "err", err)
	}
}

// hungUp tells whether an answer could not be written because nobody was there
// to read it any more.
func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

func (e *edge) answer(c echo.Context, f Failure) error {
	switch {
	case c.Request().Method == http.MethodHead:
		return c.NoContent(f.Status)
	case IsAPI(c.Request()):
		c.Response().Header().Set(echo.HeaderContentType, ProblemType)
		return c.JSON(f.Status, Describe(c, f))
	}
	return e.errorPage(c, f)
}

// Log notes a failure: our own faults as errors, parts that are away as
// warnings, and what the client did wrong for debugging only.
func Log(c echo.Context, f Failure) {
	e, ok := c.Get(edgeKey).(*edge)
	if !ok {
		return
	}
	level := slog.LevelDebug
	switch {
	case f.Status == statusGone:
	case f.Status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case f.Status >= 500:
		level = slog.LevelError
	}
	e.log.Log(c.Request().Context(), level, "request failed", "request", RequestID(c), "method", c.Request().Method,
		"route", route(c), "status", f.Status, "err", f.Problem.Error())
}

// TooMany tells the client to come back later: problem.TooMany, with Retry-After.
func TooMany(c echo.Context, wait time.Duration) error {
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	return problem.New(problem.TooMany, "problem.too-many")
}

// route is the pattern of the matched route: it holds no token and no id.
func route(c echo.Context) string {
	if p := c.Path(); p != "" {
		return p
	}
	return "unmatched"
}
