package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"assent/internal/config"
	"assent/internal/ledger"
	"assent/internal/store"
)

type ledgerCommand struct {
	Verify     ledgerVerify     `cmd:"" help:"Compare every row of the record of consent with the signed log, and name the first that differs."`
	Checkpoint ledgerCheckpoint `cmd:"" help:"Print the newest signed checkpoint, to be kept elsewhere."`
	Key        ledgerKey        `cmd:"" help:"Print the log's public key, with which anybody can check its checkpoints."`
	Restart    ledgerRestart    `cmd:"" help:"End a log that does not fit the database, after a restore by other means than assent restore, and begin a new one. Nothing is sent until you say so."`
}

// ledgerDatabase opens the database and what is kept of its log outside.
func (c *cli) ledgerDatabase(ctx context.Context) (config.Settings, *store.DB, ledger.Outside, error) {
	s, err := c.settings()
	if err != nil {
		return s, nil, ledger.Outside{}, err
	}
	outside, err := ledger.OpenOutside(s.DataDir)
	if err != nil {
		return s, nil, outside, err
	}
	db, err := openDatabase(ctx, s, true)
	return s, db, outside, err
}

type ledgerVerify struct{}

// Run prints a line a fault, the first first, and what was compared.
func (*ledgerVerify) Run(ctx context.Context, c *cli) error {
	_, db, outside, err := c.ledgerDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	kept, err := outside.Kept()
	if err != nil {
		return err
	}
	told := time.Now()
	report, err := ledger.Audit(ctx, db, kept, func(done, of int64) {
		if time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%d of %d entries\n", done, of)
		}
	})
	if err != nil {
		return err
	}
	for _, f := range report.Faults {
		fmt.Println(f)
	}
	fmt.Printf("%s: %d entries compared, %d of erased people, %d events waiting for their place", report.Log.Origin, report.Entries, report.Erased, report.Pending)
	if report.Log.SignedAt != nil {
		fmt.Printf(", last signed %s", report.Log.SignedAt.UTC().Format(time.RFC3339))
	}
	fmt.Println()
	if report.Log.Stopped != "" {
		fmt.Println("The log is stopped:", report.Log.Stopped)
	}
	if len(report.Faults) > 0 {
		return fmt.Errorf("the database is not what was logged; the first row that differs: %s", report.Faults[0])
	}
	fmt.Println("Everything is as it was logged.")
	return nil
}

type ledgerCheckpoint struct{}

// Run prints the note as it is.
func (*ledgerCheckpoint) Run(ctx context.Context, c *cli) error {
	return c.printLog(ctx, func(l ledger.Log) (string, error) {
		if l.Shown == "" {
			return "", errors.New("nothing was signed yet: the log is empty, or the service has not run")
		}
		return l.Shown, nil
	})
}

type ledgerKey struct{}

// Run prints the key as the signed-note format has it.
func (*ledgerKey) Run(ctx context.Context, c *cli) error {
	return c.printLog(ctx, func(l ledger.Log) (string, error) { return l.Verifier + "\n", nil })
}

func (c *cli) printLog(ctx context.Context, what func(ledger.Log) (string, error)) error {
	_, db, _, err := c.ledgerDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var l ledger.Log
	if err := db.Read(ctx, func(tx *store.Tx) (err error) { l, err = ledger.Growing(tx); return err }); err != nil {
		return err
	}
	text, err := what(l)
	fmt.Print(text)
	return err
}

type ledgerRestart struct {
	Reason string `required:"" help:"Why, in a few words. It is public: the new log's first entry says it."`
}

// Run begins a new log, and holds back again what was held back since.
func (r *ledgerRestart) Run(ctx context.Context, c *cli) error {
	s, db, outside, err := c.ledgerDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return restartLedger(ctx, s, db, outside, r.Reason)
}

// restartLedger begins a new log on a database that is older than the world, and
// tells what was entered again.
func restartLedger(ctx context.Context, s config.Settings, db *store.DB, outside ledger.Outside, reason string) error {
	kept, err := outside.Kept()
	if err != nil {
		return err
	}
	restraints, err := outside.Restraints()
	if err != nil {
		return err
	}
	var l ledger.Log
	var again ledger.Reconciled
	err = db.Write(ctx, func(tx *store.Tx) error {
		old, err := ledger.Growing(tx)
		if err != nil {
			return err
		}
		var copied time.Time
		if old.SignedAt != nil {
			copied = old.SignedAt.UTC()
		}
		if l, err = ledger.Restart(tx, kept, ledger.OriginOf(s.PublicURL), reason); err != nil {
			return err
		}
		again, err = ledger.Reconcile(tx, copied, restraints)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("A new log begins: %s\n", l.Origin)
	fmt.Printf("This machine knew what the database did not, and entered it again: %d withdrawals, %d objections, %d bounds and pauses, %d stopped addresses.\n",
		again.Withdrawals, again.Objections, again.Bounds, again.Suppressions)
	fmt.Println("Nothing is sent for now. Enter what only others know of, then run: assent restore --resume")
	return nil
}
