package app

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"assent/internal/compose"
	"assent/internal/delivery"
	"assent/internal/signup"
	"assent/internal/tracking"
	"assent/internal/web"
	"assent/internal/web/admin"
	"assent/internal/web/api"
	"assent/internal/web/public"
)

// handler puts all that HTTP reaches in one place.
func (a *App) handler() (http.Handler, error) {
	e, err := a.echo()
	if err != nil {
		return nil, err
	}
	a.recorder = tracking.NewRecorder(a.DB, tracking.Options{})
	public.Mount(e, public.Deps{DB: a.DB, URLs: a.URLs, Signup: a.signupSettings(), Recorder: a.recorder, View: a.renderer.View,
		PerIP: a.Settings.SignupPerIP, PerForm: a.Settings.SignupPerForm,
		PerNetwork: a.Settings.SignupPerNetwork, PerDomain: a.Settings.SignupPerDomain, Prove: a.Settings.SignupProof, Redis: a.doorbell.Shared()})
	look, checks := checker(a.Settings, a.DB.Now), web.DomainChecks()
	if err := api.Mount(e, api.Deps{DB: a.DB, URLs: a.URLs, GenerateKey: compose.GenerateKey, Held: a.limits.Held, Checker: look, Checks: checks}); err != nil {
		return nil, err
	}
	if err := admin.Mount(e, admin.Deps{DB: a.DB, URLs: a.URLs, Door: a.door, Sessions: a.sessions, Preview: public.Preview, Mailbox: a.mailbox, OpenMailbox: a.Options.Demo, Done: a.stopping,
		Out: a.out(), Held: a.limits.Held, Checker: look, Checks: checks, GenerateKey: compose.GenerateKey, WarmUp: a.pacing.WarmUp}); err != nil {
		return nil, err
	}
	if a.Options.Demo {
		a.mountDemo(e)
	}
	return e, nil
}

// out is how mail leaves, for who wants to try it.
func (a *App) out() delivery.Out {
	if a.Settings.SMTP[0].Direct() {
		return delivery.Out{Direct: direct(a.Settings, a.pacing)}
	}
	return delivery.Out{Servers: servers(a.Settings), Catcher: a.mailbox != nil}
}

// probes is what a process without pages answers: whether it lives and reaches
// its database, and its figures.
func (a *App) probes() (http.Handler, error) { return a.echo() }

func (a *App) echo() (*echo.Echo, error) {
	return web.New(web.Options{URLs: a.URLs, TrustedProxies: a.Settings.TrustedProxies, Log: a.Log, Metrics: a.Settings.Metrics,
		Registry: a.registry, Ready: a.ready, ErrorPage: public.ErrorPage})
}

// ready is what /readyz asks: without the database nothing can be promised.
// Redis may be away; work then waits.
func (a *App) ready(ctx context.Context) error { return a.DB.Ping(ctx) }

func (a *App) signupSettings() signup.Settings {
	s := signup.Defaults(a.URLs)
	s.MinFill = a.Settings.SignupMinFill
	return s
}
