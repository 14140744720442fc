package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"assent/internal/app"
)

type serveCommand struct {
	Roles []app.Role `help:"Parts of the work to take on: web, worker." default:"web,worker" enum:"web,worker"`
}

// Run serves until it is told to stop.
func (s *serveCommand) Run(ctx context.Context, c *cli) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	return run(ctx, settings, app.Options{Roles: s.Roles}, func(a *app.App) error {
		slog.Info("assent serves", "version", version, "address", a.Addr(), "public", settings.PublicURL.String(), "roles", fmt.Sprint(s.Roles))
		first, err := a.FirstAccount(ctx)
		if first != "" {
			slog.Info("nobody can sign in yet: open this address to make the first account", "page", first)
		}
		return err
	})
}

type demoCommand struct {
	Listen string `help:"Address to serve on." default:"127.0.0.1:8080"`
	Data   string `help:"Folder of the demo's data; a new one for each run when empty." placeholder:"DIR"`
}

// Run starts the newcomer's way in: everything in one process, nothing installed.
func (d *demoCommand) Run(ctx context.Context, c *cli) error {
	if d.Data == "" {
		dir, err := os.MkdirTemp("", "assent-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer os.RemoveAll(dir)
		d.Data = dir
	}
	for name, value := range map[string]string{
		"ASSENT_DATA_DIR": d.Data, "ASSENT_DATABASE_URL": "sqlite:" + filepath.Join(d.Data, "assent.db"), "ASSENT_REDIS_URL": "embedded",
		"ASSENT_SMTP_URL": "catcher", "ASSENT_LISTEN": d.Listen, "ASSENT_PUBLIC_URL": publicAt(d.Listen),
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	return run(ctx, settings, app.Options{Demo: true}, func(a *app.App) error {
		demo, err := a.Demo(ctx)
		if err != nil {
			return err
		}
		demo.Print(os.Stdout, settings.PublicURL.String())
		return nil
	})
}

// publicAt is how a browser on this machine reaches an address to listen on.
func publicAt(listen string) string {
	if strings.HasPrefix(listen, ":") {
		listen = "localhost" + listen
	}
	return "http://" + listen
}
