// Package app builds the program once: the only place where all rooms meet.
// What the program does in the background stands in a table in work.go, who
// listens to which event in listen.go.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"assent/internal/account"
	"assent/internal/config"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/delivery/catcher"
	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/delivery/throttle"
	"assent/internal/dns"
	"assent/internal/jobs"
	"assent/internal/ledger"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/tracking"
	"assent/internal/web"
)

// Role is a part of the work that a process can take on.
type Role string

// The roles; a process has one or more.
const (
	RoleWeb    Role = "web"    // pages and API
	RoleWorker Role = "worker" // sending and all other work in the background
)

// AllRoles is what serve takes on unless told otherwise.
var AllRoles = []Role{RoleWeb, RoleWorker}

// Options beside the settings.
type Options struct {
	Roles []Role
	Log   *slog.Logger
	Clock func() time.Time // business time; nil is the real clock
	Demo  bool             // the mailbox is open to whoever reaches the port
}

// App is the running program; tests run it too.
type App struct {
	Settings config.Settings
	Options
	DB   *store.DB
	Ring *link.Ring
	URLs link.URLs

	door     *account.Door
	sessions *account.Sessions
	doorbell *jobs.Doorbell
	runner   *jobs.Runner
	engine   *delivery.Engine
	renderer *delivery.Renderer
	pacing   *provider.Table
	recorder *tracking.Recorder
	keeper   *ledger.Keeper
	mailbox  *catcher.Mailbox
	registry *prometheus.Registry
	limits   *throttle.Throttle
	server   *http.Server
	listener net.Listener
	stopping chan struct{} // closed when the server begins to stop
	failed   chan error
}

// OpenDB opens the database with the settings' secrets, without looking at its
// schema: for commands that do one thing.
func OpenDB(ctx context.Context, s config.Settings, clock func() time.Time) (*store.DB, *link.Ring, error) {
	ring, err := link.NewRing(s.Secrets...)
	if err != nil {
		return nil, nil, fmt.Errorf("ASSENT_SECRET: %w", err)
	}
	db, err := store.Open(ctx, s.DatabaseURL, store.Options{Ring: ring, Clock: clock})
	return db, ring, err
}

// Open connects the parts. The schema must be there and be this program's;
// SQLite's is made or brought up to date.
func Open(ctx context.Context, s config.Settings, o Options) (a *App, err error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if len(o.Roles) == 0 {
		o.Roles = AllRoles
	}
	a = &App{Settings: s, Options: o, registry: prometheus.NewRegistry(), stopping: make(chan struct{}), failed: make(chan error, 3)}
	defer func(begun *App) { // a is nil by then
		if err != nil {
			begun.Close()
		}
	}(a)
	if a.DB, a.Ring, err = OpenDB(ctx, s, o.Clock); err != nil {
		return nil, err
	}
	if err := a.checkSchema(ctx); err != nil {
		return nil, err
	}
	if err := CheckSecret(ctx, a.DB, a.Ring); err != nil {
		return nil, err
	}
	a.URLs = link.URLs{Base: s.PublicURL, Ring: a.Ring}
	if a.pacing, err = provider.Load(s.Providers); err != nil {
		return nil, fmt.Errorf("ASSENT_PROVIDERS: %w", err)
	}
	a.renderer = delivery.NewRenderer(a.DB, a.URLs)
	listen(a.DB, a.URLs)
	if err := a.guard(); err != nil {
		return nil, err
	}
	if err := a.registry.Register(delivery.NewFigures(a.DB)); err != nil {
		return nil, fmt.Errorf("register the figures of sending: %w", err)
	}
	if a.door, err = account.NewDoor(a.DB, account.Standard); err != nil {
		return nil, err
	}
	a.sessions = account.NewSessions(a.DB, a.URLs.HTTPS())
	return a, nil
}

func (a *App) checkSchema(ctx context.Context) error {
	if _, sqlite := a.Settings.SQLite(); sqlite {
		return a.DB.Migrate(ctx)
	}
	return a.DB.CheckSchema(ctx)
}

// Start begins to serve and to work, by the roles.
func (a *App) Start(ctx context.Context) error {
	if err := a.startMailbox(); err != nil {
		return err
	}
	if err := a.eraseAgain(ctx); err != nil {
		return err
	}
	var err error
	if a.doorbell, err = jobs.OpenDoorbell(a.Settings.RedisURL); err != nil {
		return err
	}
	a.limits = a.throttle()
	if slices.Contains(a.Roles, RoleWorker) {
		if err := a.startWork(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(a.Roles, RoleWeb) {
		handler, err := a.handler()
		if err != nil {
			return err
		}
		return a.serve(ctx, handler, a.Settings.Listen, "ASSENT_LISTEN")
	}
	if a.Settings.WorkerListen != "" {
		handler, err := a.probes()
		if err != nil {
			return err
		}
		return a.serve(ctx, handler, a.Settings.WorkerListen, "ASSENT_WORKER_LISTEN")
	}
	return nil
}

// startMailbox opens the built-in mail server where a setting asks for it.
func (a *App) startMailbox() error {
	if !slices.ContainsFunc(a.Settings.SMTP, config.SMTP.Catcher) {
		return nil
	}
	l, err := catcher.Listen(0)
	if err != nil {
		return err
	}
	a.mailbox = catcher.New(catcher.Options{Clock: a.DB.Now})
	go func() {
		if err := a.mailbox.Serve(l); err != nil {
			a.failed <- err
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	for i, s := range a.Settings.SMTP {
		if s.Catcher() {
			a.Settings.SMTP[i].Host, a.Settings.SMTP[i].Port = host, n
		}
	}
	return nil
}

func (a *App) startWork(ctx context.Context) (err error) {
	o := delivery.Options{DB: a.DB, Renderer: a.renderer, DataDir: a.Settings.DataDir, Log: a.Log,
		Pacing: delivery.Pacing{Table: a.pacing, Throttle: a.limits}}
	if way := a.Settings.SMTP[0]; way.Direct() {
		o.Direct = direct(a.Settings, a.pacing)
		if !way.WarmUpFrom.IsZero() {
			o.Pacing.WarmUpFrom = &way.WarmUpFrom
		}
	} else {
		o.Servers = servers(a.Settings)
	}
	if a.engine, err = delivery.Start(ctx, o); err != nil {
		return err
	}
	if err := a.keepLedger(ctx); err != nil {
		return err
	}
	a.registry.MustRegister(a.engine.Collectors()...)
	a.runner = jobs.New(jobs.Options{DB: a.DB, Doorbell: a.doorbell, Kinds: a.work(), Concurrency: concurrency, Sending: sendingLanes, Log: a.Log})
	delivery.HangBell(a.DB, a.runner.Ring)
	return a.runner.Start()
}

// keepLedger begins to give consent events their places in the log.
func (a *App) keepLedger(ctx context.Context) error {
	outside, err := ledger.OpenOutside(a.Settings.DataDir)
	if err != nil {
		return fmt.Errorf("ASSENT_DATA_DIR: %w", err)
	}
	o := ledger.Options{DB: a.DB, Outside: outside, Origin: ledger.OriginOf(a.Settings.PublicURL), Log: a.Log}
	for _, text := range a.Settings.Witnesses {
		w, err := ledger.ParseWitness(text)
		if err != nil {
			return fmt.Errorf("ASSENT_WITNESSES: %w", err)
		}
		o.Witnesses = append(o.Witnesses, w)
	}
	if a.keeper, err = ledger.Start(ctx, o); err != nil {
		return err
	}
	consent.HangBell(a.DB, a.keeper.Ring)
	return nil
}

// throttle shares its limits with the other nodes through Redis.
func (a *App) throttle() *throttle.Throttle {
	return throttle.New(throttle.Options{Redis: a.doorbell.Shared(), Log: a.Log, Nodes: func() int {
		var n int
		err := a.DB.Read(context.Background(), func(tx *store.Tx) (err error) { n, err = delivery.Living(tx); return err })
		if err != nil {
			return 1
		}
		return max(1, n)
	}})
}

// direct is the way straight to the receivers.
func direct(s config.Settings, table *provider.Table) *delivery.Direct {
	way := s.SMTP[0]
	return &delivery.Direct{Connections: way.Connections, Hello: cmp.Or(way.Hello, s.PublicURL.Hostname()), Finder: route.New(route.Options{
		DNS: dns.New(s.DNS), Providers: table, Port: s.MXPort, Allow: s.MXAllow, Source: way.Source})}
}

func servers(s config.Settings) []delivery.Server {
	modes := map[config.StartTLS]delivery.TLSMode{config.Required: delivery.TLSRequired, config.Opportunistic: delivery.TLSOpportunistic, config.None: delivery.TLSNone}
	var all []delivery.Server
	for _, m := range s.SMTP {
		mode := modes[m.StartTLS]
		if m.Scheme == "smtps" {
			mode = delivery.TLSImplicit
		}
		server := delivery.Server{Host: m.Host, Port: m.Port, User: m.User, Password: m.Password, TLS: mode, Connections: m.Connections,
			Hello: cmp.Or(m.Hello, s.PublicURL.Hostname()), Weight: m.Weight, PerSecond: m.PerSecond}
		if m.Catcher() {
			server.TLS, server.Connections = delivery.TLSNone, 4
		}
		all = append(all, server)
	}
	return all
}

// serve begins to answer HTTP at an address, which the setting gave.
func (a *App) serve(ctx context.Context, handler http.Handler, address, setting string) (err error) {
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
		return fmt.Errorf("%s: %w; choose a free port", setting, err)
	}
	a.server = web.Server(handler)
	a.server.RegisterOnShutdown(func() { close(a.stopping) })
	go func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- err
		}
	}()
	return nil
}

// Addr is where HTTP is served; "" is nowhere.
func (a *App) Addr() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

// Failed gives the error of a part that ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// webTime is how long requests under way have when the program stops; what is
// under way then is cut.
const webTime = 5 * time.Second

// Close stops taking requests and work, lets what is under way end, and closes.
// Requests end while the workers do, so it takes as long as the slower of them:
// mails at a server that does not answer are given up after four seconds, other
// work after six. It never takes longer than about ten seconds.
func (a *App) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), webTime)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { a.stopWeb(ctx) })
	both.Go(a.stopWork)
	both.Wait()
	if a.doorbell != nil {
		a.doorbell.Close()
	}
	if a.mailbox != nil {
		a.mailbox.Shutdown(ctx)
	}
	if a.DB != nil {
		return a.DB.Close()
	}
	return nil
}

func (a *App) stopWeb(ctx context.Context) {
	if a.server != nil {
		if err := a.server.Shutdown(ctx); err != nil {
			a.server.Close()
		}
	}
	if a.recorder != nil {
		a.recorder.Close()
	}
}

func (a *App) stopWork() {
	if a.runner != nil {
		a.runner.Stop()
	}
	if a.engine != nil {
		a.engine.Stop()
	}
	if a.keeper != nil {
		a.keeper.Stop()
	}
}
