package api

import (
	"context"
	"errors"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

const brandHeader = "Assent-Brand"

// caller is who asks, and for which brand; the brand is zero for actions about
// the whole installation.
type caller struct {
	key   account.Key
	brand brand.Brand
	once  once
	tell  func(error) web.Document // a failure in their language, for one of many
	words *i18n.Localizer          // the asker's language
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// admit lets a request through whose key is known and has the action's scope,
// and finds the brand it acts for. Nothing of the request but its headers is
// looked at before its key is known.
func (h *house) admit(ctx huma.Context, next func(huma.Context)) {
	a := ctx.Operation().Metadata["action"].(action)
	c, err := h.identify(ctx, a)
	if err != nil {
		humaecho.Unwrap(ctx).Error(err)
		return
	}
	c.tell = func(err error) web.Document { return web.Describe(humaecho.Unwrap(ctx), web.Classify(err)) }
	c.words = web.Localizer(humaecho.Unwrap(ctx))
	next(huma.WithValue(ctx, callerKey{}, c))
}

func (h *house) identify(ctx huma.Context, a action) (caller, error) {
	secret, err := bearer(ctx.Header("Authorization"))
	if err != nil {
		return caller{}, err
	}
	c := caller{}
	err = h.DB.Read(ctx.Context(), func(tx *store.Tx) error {
		if c.key, err = account.KeyOf(tx, secret); err != nil {
			return err
		}
		if !c.key.May(a.scope) {
			return problem.New(problem.Forbidden, "api.scope-missing", "Scope", a.scope)
		}
		c.brand, err = brandFor(tx, c.key, a, ctx.Header(brandHeader))
		return err
	})
	if err != nil {
		return caller{}, err
	}
	if c.once, err = onceOf(humaecho.Unwrap(ctx), c.brand.ID); err != nil {
		return caller{}, err
	}
	if c.key.Stale(h.DB.Now()) {
		if err := h.DB.Write(ctx.Context(), func(tx *store.Tx) error { return account.Used(tx, c.key.ID) }); err != nil {
			return caller{}, err
		}
	}
	return c, nil
}

// brandFor is the brand that a request acts for.
func brandFor(tx *store.Tx, k account.Key, a action, slug string) (brand.Brand, error) {
	if a.house {
		if k.BrandID != nil {
			return brand.Brand{}, problem.New(problem.Forbidden, "api.installation-only")
		}
		return brand.Brand{}, nil
	}
	if k.BrandID != nil {
		b, err := brand.Find(tx, *k.BrandID)
		if err == nil && slug != "" && slug != b.Slug {
			return brand.Brand{}, problem.New(problem.NotFound, "api.brand-unknown")
		}
		return b, err
	}
	if slug == "" {
		return brand.Brand{}, problem.InvalidField("header/"+brandHeader, "api.brand-missing")
	}
	if !web.IsText(slug) { // a header may hold any bytes, a database only text
		return brand.Brand{}, problem.New(problem.NotFound, "api.brand-unknown")
	}
	b, err := brand.BySlug(tx, slug)
	if problem.Is(err, problem.NotFound) {
		return brand.Brand{}, problem.New(problem.NotFound, "api.brand-unknown")
	}
	return b, err
}

var errNoBearer = errors.New("no bearer token")

// bearer takes the token out of an Authorization header (RFC 6750 §2.1). The
// scheme's name has no case (RFC 9110 §11.1).
func bearer(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", problem.New(problem.Unauthorized, "api.key-missing").Because(errNoBearer)
	}
	return token, nil
}
