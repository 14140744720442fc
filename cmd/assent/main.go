// Command assent is the whole program: the service, and what sets it up and
// looks after it. `assent --help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"assent/internal/app"
	"assent/internal/config"
	"assent/internal/i18n"
	"assent/internal/problem"
)

// version is set by the builder: -ldflags "-X main.version=…".
var version = "development"

type cli struct {
	Config  string           `help:"Settings file; the environment overrides it." type:"existingfile" placeholder:"FILE"`
	Version kong.VersionFlag `help:"Print the version."`

	Demo    demoCommand    `cmd:"" help:"Run everything in one process with a demo brand, and print where to look."`
	Serve   serveCommand   `cmd:"" help:"Run the service."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's schema up to date, or show where it stands."`
	User    userCommand    `cmd:"" help:"Add a person who signs in."`
	Key     keyCommand     `cmd:"" help:"Make an API key."`
	DKIM    dkimCommand    `cmd:"" name:"dkim" help:"Make and change the keys that sign a brand's mail."`
	Doctor  doctorCommand  `cmd:"" help:"Check the settings and every part they name."`
	Ready   readyCommand   `cmd:"" help:"Ask the running service on this machine whether it is ready; fails if not."`
	Backup  backupCommand  `cmd:"" help:"Write the whole database to a file."`
	Ledger  ledgerCommand  `cmd:"" help:"Check the record of consent against its signed log, and look after the log."`
	Vacuum  vacuumCommand  `cmd:"" help:"Write the tables anew, so that their files hold nothing of what was deleted or erased."`
	Secret  secretCommand  `cmd:"" help:"Change the secret without losing what it has sealed."`
	Restore restoreCommand `cmd:"" help:"Fill an empty database from a backup. Nothing is sent until you say so."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("assent"), kong.Description("Permission-based e-mail marketing that can prove every mail it sent."),
		kong.Vars{"version": version}, kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "assent:", say(err))
		stop()
		os.Exit(1)
	}
}

// say puts an error in words for the one at the terminal.
func say(err error) string {
	var setting *config.Error
	if errors.As(err, &setting) {
		return setting.Error()
	}
	p, ok := problem.Of(err)
	if !ok {
		return err.Error()
	}
	title, fields := i18n.For("en").Problem(p)
	for name, text := range fields {
		title += fmt.Sprintf("\n  %s: %s", name, text)
	}
	return title
}

// settings reads them, and sets up the log.
func (c *cli) settings() (config.Settings, error) {
	s, err := config.Load(c.Config, os.Environ())
	if err != nil {
		return s, err
	}
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if s.Log == "json" {
		handler = slog.NewJSONHandler(os.Stderr, nil)
	}
	slog.SetDefault(slog.New(handler))
	return s, nil
}

// run starts the program, says so, and waits for its end.
func run(ctx context.Context, s config.Settings, o app.Options, started func(*app.App) error) error {
	o.Clock = clock()
	a, err := app.Open(ctx, s, o)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Start(ctx); err != nil {
		return err
	}
	if err := started(a); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.Failed():
		return err
	}
}
