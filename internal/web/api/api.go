// Package api is the JSON interface for programs, version 1, under /api/v1.
//
// It promises: every action names the scope it needs, and acts for one brand,
// that of the key; another brand's ids are not found. Every failure is a
// problem document (RFC 9457). Input that is not understood is refused, never
// guessed at: unknown fields, wrong types, bytes that are no text. A POST with
// an Idempotency-Key has its effect once: the answer is stored in the
// transaction of the effect, and given again to whoever repeats the request.
//
// Each file holds one kind of thing, each function one action on it; the rules
// are in the packages below.
package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"assent/internal/link"
	"assent/internal/mailauth"
	"assent/internal/store"
	"assent/internal/web"
)

// Deps is what the API stands on.
type Deps struct {
	DB   *store.DB
	URLs link.URLs

	// GenerateKey makes a DKIM key, PKCS #8 in PEM: compose.GenerateKey.
	GenerateKey func(algorithm string) ([]byte, error)

	// Held tells what paces sending.
	Held Held

	// Checker looks at senders' domains.
	Checker *mailauth.Checker

	// Checks limits that; nil: a limit of the API's own.
	Checks *web.Limiter
}

// house is the API with what it stands on.
type house struct {
	Deps
	api huma.API
}

const prefix = "/api/v1"

// Mount puts the API on e, with its description at /api/v1/openapi.json and a
// readable page of it at /api/docs.
func Mount(e *echo.Echo, d Deps) error {
	tellFailuresOurWay()
	group := e.Group(prefix) // without middleware: Echo would answer 404 where 405 is right
	h := &house{Deps: d}
	h.api = humaecho.NewWithGroup(e, group, h.config())
	h.api.UseMiddleware(h.admit)
	for _, mount := range []func(){
		h.brands, h.dkimKeys, h.domainCheck, h.topics, h.forms, h.subscribers, h.privacy, h.batches, h.consents, h.sequences, h.offers, h.orders,
		h.campaigns, h.messages, h.events, h.suppressions, h.keys, h.nodes, h.streams, h.limits,
	} {
		mount()
	}
	illustrate(h.api.OpenAPI())
	spec, err := h.api.OpenAPI().MarshalJSON()
	if err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	e.GET(prefix+"/openapi.json", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/openapi+json", spec)
	})
	page, err := docs(h.api.OpenAPI())
	if err != nil {
		return err
	}
	e.GET("/api/docs", page)
	return nil
}

// config leaves out huma's own pages, which load scripts from elsewhere, and
// its $schema member in every body.
func (h *house) config() huma.Config {
	c := huma.DefaultConfig("Assent", "1")
	c.CreateHooks = nil
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	c.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	c.Info.Description = introduction
	c.Servers = []*huma.Server{{URL: strings.TrimSuffix(h.URLs.Base.String(), "/") + prefix}}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key, ak_…, made with “assent key add”."},
	}
	return c
}

// action describes one thing that can be done.
type action struct {
	method  string
	path    string
	name    string // of the operation, stable: "createTopic"
	scope   string // that the key must have
	tag     string // the kind of thing
	summary string
	more    string
	status  int  // of success; 0 is 200
	house   bool // for keys of the installation, and about no brand
}

func (a action) operation() huma.Operation {
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	op := huma.Operation{
		OperationID: a.name, Method: a.method, Path: a.path, Summary: a.summary, Description: a.more, Tags: []string{a.tag},
		DefaultStatus: status,
		MaxBodyBytes:  -1, // package web limits it already
		Security:      []map[string][]string{{"key": {a.scope}}},
		Metadata:      map[string]any{"action": a},
		Errors:        []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity},
	}
	if strings.Contains(a.path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if !a.house {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: brandHeader, In: "header", Description: "The slug of the brand to act for. Needed with a key of the installation; a brand's own key knows.",
			Schema: &huma.Schema{Type: "string"}, Example: "north-tea",
		})
	}
	if a.method == http.MethodPost {
		op.Errors = append(op.Errors, http.StatusConflict)
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: idempotencyHeader, In: "header", Description: "Up to 255 visible ASCII characters of your own. The same request with the same key within 24 hours has its effect once and gets the same answer; another request with it is refused.",
			Schema: &huma.Schema{Type: "string", MaxLength: ptr(idempotencyMax)}, Example: "5b2e4b3e-order-10293",
		})
	}
	return op
}

func ptr[T any](v T) *T { return &v }

// answer is what an action gives back.
type answer[T any] struct {
	Status int
	Body   T
}

// read puts an action on the API that changes nothing.
func read[I, T any](h *house, a action, do func(*store.Tx, caller, *I) (T, error)) {
	huma.Register(h.api, a.operation(), func(ctx context.Context, in *I) (*answer[T], error) {
		out := &answer[T]{Status: statusOf(a)}
		err := h.DB.Read(ctx, func(tx *store.Tx) (err error) {
			out.Body, err = do(tx, callerOf(ctx), in)
			return err
		})
		return out, err
	})
}

// write puts an action on the API that changes something, in one transaction
// with the answer for who repeats it.
func write[I, T any](h *house, a action, do func(*store.Tx, caller, *I) (T, error)) {
	writeAs(h, a, func(tx *store.Tx, c caller, in *I) (T, int, error) {
		v, err := do(tx, c, in)
		return v, statusOf(a), err
	})
}

// writeAs is write for an action whose status of success varies.
func writeAs[I, T any](h *house, a action, do func(*store.Tx, caller, *I) (T, int, error)) {
	huma.Register(h.api, a.operation(), func(ctx context.Context, in *I) (*answer[T], error) {
		return perform(ctx, h.DB, func(tx *store.Tx) (T, int, error) { return do(tx, callerOf(ctx), in) })
	})
}

// writeBefore is write for an action that needs something done first which
// takes too long for a transaction. It is not done again for a repetition.
func writeBefore[I, K, T any](h *house, a action, before func(context.Context, caller, *I) (K, error), do func(*store.Tx, caller, *I, K) (T, error)) {
	huma.Register(h.api, a.operation(), func(ctx context.Context, in *I) (*answer[T], error) {
		c := callerOf(ctx)
		if err := h.DB.Read(ctx, c.asked); err != nil {
			return nil, err
		}
		made, err := before(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return perform(ctx, h.DB, func(tx *store.Tx) (T, int, error) {
			v, err := do(tx, c, in, made)
			return v, statusOf(a), err
		})
	})
}

func statusOf(a action) int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

const introduction = `Everything a program needs to ask for permission, to keep it, and to write to those who gave it.

**Signing in.** Send a key as ` + "`Authorization: Bearer ak_…`" + `. A key belongs to a brand and holds scopes such as ` + "`subscribers:read`" + `; ` + "`*`" + ` is all of them. A key of the installation names the brand it acts for in the header ` + "`Assent-Brand`" + `.

**Failures** are problem documents (RFC 9457, ` + "`application/problem+json`" + `): ` + "`code`" + ` is for programs, ` + "`detail`" + ` for people, in the language of Accept-Language.

**Once.** Give a POST an ` + "`Idempotency-Key`" + ` and repeat it until it is answered: it has its effect once.

**Lists** give ` + "`items`" + ` and, while there are more, ` + "`next`" + `: pass it as ` + "`cursor`" + `.

**Money** is whole minor units (cents, pence; rials have none) with an ISO 4217 currency. **Times** are RFC 3339, in UTC. **Ids** are UUIDs.`
