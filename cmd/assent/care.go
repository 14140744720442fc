package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"assent/internal/app"
	"assent/internal/config"
	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/store"
)

type doctorCommand struct{}

// Run checks every part and prints a line for each.
func (*doctorCommand) Run(ctx context.Context, c *cli) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	ill := 0
	for _, f := range app.Examine(ctx, s) {
		mark := "ok "
		switch {
		case f.Err != nil:
			mark, ill = "BAD", ill+1
		case f.Warning:
			mark = "?  "
		}
		fmt.Printf("%s  %-10s %s\n", mark, f.Part, f.Say())
	}
	if ill > 0 {
		return fmt.Errorf("%d of the parts need care", ill)
	}
	return nil
}

type readyCommand struct {
	Worker bool `help:"Ask a process that has the role worker alone."`
}

// readyTime is more than a process takes to ask its database.
const readyTime = 6 * time.Second

// Run asks /readyz of the process that serves on this machine, for those who
// watch over it and have no other way to ask, such as a container's health check.
func (r *readyCommand) Run(ctx context.Context, c *cli) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	listen := s.Listen
	if r.Worker {
		listen = s.WorkerListen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return errors.New("ASSENT_WORKER_LISTEN is not set, so a worker cannot be asked")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := (&http.Transport{}).RoundTrip(q) // directly, whatever proxy the environment names
	if err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it is not ready: %s", answer.Status)
	}
	return nil
}

type backupCommand struct {
	File string `arg:"" help:"File to write; it must not exist. Keep ASSENT_SECRET (or the data folder's file secret) with it: without it no backup can be opened."`
}

// Run writes the backup beside its name first, so that a file of that name is whole.
func (b *backupCommand) Run(ctx context.Context, c *cli) (err error) {
	if _, err := os.Lstat(b.File); err == nil {
		return fmt.Errorf("%s exists; choose another name", b.File)
	}
	db, err := c.database(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.CreateTemp(filepath.Dir(b.File), ".assent-backup-")
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer os.Remove(f.Name())
	sum, err := db.Backup(ctx, f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(f.Name(), b.File); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	fmt.Printf("%s: %d rows of %d tables\n", b.File, sum.Rows(), len(sum.Tables))
	return nil
}

type restoreCommand struct {
	File   string `arg:"" optional:"" help:"Backup to read." type:"existingfile"`
	Resume bool   `help:"Let mails go out again, after the withdrawals since the backup were entered."`
}

// Run restores, or ends the pause after it.
func (r *restoreCommand) Run(ctx context.Context, c *cli) error {
	if (r.File == "") != r.Resume {
		return errors.New("give either a backup to read, or --resume")
	}
	s, err := c.settings()
	if err != nil {
		return err
	}
	db, ring, err := app.OpenDB(ctx, s, clock())
	if err != nil {
		return err
	}
	defer db.Close()
	if r.Resume {
		if err := ledger.MayResume(ctx, db); err != nil {
			return err
		}
		if err := db.ResumeSending(ctx); err != nil {
			return err
		}
		fmt.Println("Mails go out again.")
		return nil
	}
	if err := r.read(ctx, s, db); err != nil {
		return err
	}
	n, err := app.EraseAgain(ctx, db, ring, s)
	if err != nil {
		return fmt.Errorf("restored, but those erased since the backup could not be erased again; the service tries it at every start: %w", err)
	}
	if n > 0 {
		fmt.Printf("%d people whom the list of erasures in %s names were erased again.\n", n, s.DataDir)
	}
	return nil
}

func (r *restoreCommand) read(ctx context.Context, s config.Settings, db *store.DB) error {
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	f, err := os.Open(r.File)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer f.Close()
	sum, err := db.Restore(ctx, f)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d rows of %d tables restored.\n", r.File, sum.Rows(), len(sum.Tables))
	outside, err := ledger.OpenOutside(s.DataDir)
	if err != nil {
		return err
	}
	err = restartLedger(ctx, s, db, outside, "restored from a backup")
	if problem.Is(err, problem.NotFound) { // the backup is from before there was a log
		fmt.Println("Nothing is sent for now. Enter the withdrawals made since the backup, then run: assent restore --resume")
		return nil
	}
	return err
}

type vacuumCommand struct{}

// Run writes the tables anew. On PostgreSQL each is locked meanwhile.
func (*vacuumCommand) Run(ctx context.Context, c *cli) error {
	db, err := c.database(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Vacuum(ctx, true); err != nil {
		return err
	}
	fmt.Println("The tables were written anew: nothing of what was deleted is left in them.")
	return nil
}

type secretCommand struct {
	Rewrap secretRewrap `cmd:"" help:"Bring everything that an older key of ASSENT_SECRET has sealed under the newest. Needs both; may run beside the service on PostgreSQL, and be stopped and begun again."`
}

type secretRewrap struct{}

// Run does at once what the service does within the hour.
func (*secretRewrap) Run(ctx context.Context, c *cli) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	db, ring, err := app.OpenDB(ctx, s, clock())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CheckSchema(ctx); err != nil {
		return err
	}
	if err := app.CheckSecret(ctx, db, ring); err != nil {
		return err
	}
	r, err := app.Rewrap(ctx, db, ring)
	fmt.Printf("%d values were brought under the newest key.\n", r.Done)
	if err != nil {
		return err
	}
	if r.Closed > 0 {
		return fmt.Errorf("%d values open with no key of the ring: keep the older keys, and look for the one that is missing", r.Closed)
	}
	if len(s.Secrets) > 1 {
		fmt.Println("Nothing stored needs the older keys any more. The links in mails that went out under them do, those to leave too: keep an older key behind the newest as long as such mails lie in mailboxes, and take it away at once only if somebody else has it.")
	}
	return nil
}
