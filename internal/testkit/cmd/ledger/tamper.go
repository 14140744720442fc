package main

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// tampering is something that is done to the database by hand, and undone. %s is
// the event at the place, %n a new id.
type tampering struct {
	name     string
	do, undo []string
	want     string // what the audit names: the event, or the new one
}

const (
	place = 777
	fresh = "01990000-0000-7000-8000-0000000000ff"
)

var tamperings = []tampering{
	{"changed", []string{"UPDATE consent_events SET state = 'refused' WHERE id = '%s'"}, []string{"UPDATE consent_events SET state = 'given' WHERE id = '%s'"}, "%s"},
	{"deleted", []string{"CREATE TABLE held AS SELECT * FROM consent_events WHERE id = '%s'", "DELETE FROM consent_events WHERE id = '%s'"},
		[]string{"INSERT INTO consent_events SELECT * FROM held", "DROP TABLE held"}, "%s"},
	{"inserted", []string{`INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf)
		SELECT '` + fresh + `', brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf FROM consent_events WHERE id = '%s'`},
		[]string{"DELETE FROM consent_events WHERE id = '" + fresh + "'"}, fresh},
	{"reordered", []string{"UPDATE log_entries SET place = -1 WHERE place = 777", "UPDATE log_entries SET place = 777 WHERE place = 778", "UPDATE log_entries SET place = 778 WHERE place = -1"},
		[]string{"UPDATE log_entries SET place = -1 WHERE place = 777", "UPDATE log_entries SET place = 777 WHERE place = 778", "UPDATE log_entries SET place = 778 WHERE place = -1"}, "entry 777"},
}

func (c *court) tamper(x tampering) (named string, err error) {
	id, err := c.eventAt()
	if err != nil {
		return "", err
	}
	return strings.ReplaceAll(x.want, "%s", id), c.byHand(x.do, id)
}

func (c *court) undo(x tampering) error {
	id, err := c.eventAt()
	if err != nil {
		return err
	}
	return c.byHand(x.undo, id)
}

// hand is a connection past the program: SQLite checks no references unless told
// to, and PostgreSQL neither them nor triggers for a replica.
func (c *court) hand() (*sql.DB, error) {
	if c.postgres {
		return sql.Open("pgx", c.database+"&options=-c%20session_replication_role%3Dreplica")
	}
	return sql.Open("sqlite", strings.TrimPrefix(c.database, "sqlite:"))
}

func (c *court) eventAt() (id string, err error) {
	db, err := c.hand()
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRow(fmt.Sprintf("SELECT event_id FROM log_entries WHERE log = 1 AND place = %d", place)).Scan(&id)
	return id, err
}

// byHand runs statements; SQLite's triggers are taken away for them and put back.
func (c *court) byHand(statements []string, id string) error {
	db, err := c.hand()
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if !c.postgres {
		drop, back, err := triggers(db)
		if err != nil {
			return err
		}
		statements = append(append(drop, statements...), back...)
	}
	for _, s := range statements {
		if _, err := db.Exec(strings.ReplaceAll(s, "%s", id)); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func triggers(db *sql.DB) (drop, back []string, err error) {
	rows, err := db.Query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, made string
		if err := rows.Scan(&name, &made); err != nil {
			return nil, nil, err
		}
		drop, back = append(drop, "DROP TRIGGER "+name), append(back, made)
	}
	return drop, back, rows.Err()
}

// maintain runs a statement that no database may be open for.
func (c *court) maintain(statement string) {
	c.Helper()
	db, err := sql.Open("pgx", strings.Replace(c.database, "/"+c.name()+"?", "/template1?", 1))
	if err != nil {
		c.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		c.Fatalf("%s: %v", statement, err)
	}
}

// name is that of the database.
func (c *court) name() string {
	u, err := url.Parse(c.database)
	if err != nil {
		c.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// older puts yesterday's copy of the database in its place: it must not be
// signed on. Then somebody says that it was on purpose.
func (c *court) older() {
	c.Helper()
	c.stopped(c.keepCopy)
	if _, err := c.write(20_000_000, 50); err != nil {
		c.Fatal(err)
	}
	time.Sleep(2 * time.Second) // until the last checkpoint is kept and shown
	before := c.checkpoint().Size
	c.stopped(c.putCopy)
	shown := c.checkpoint().Size
	if _, err := c.write(30_000_000, 50); err != nil {
		c.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	c.tampered++
	out, sound := c.verify2()
	if got := c.checkpoint().Size; got != shown || got >= before || sound {
		c.Errorf("a copy with %d entries of %d was signed on to %d: %s", shown, before, got, out)
	} else {
		c.named++
		fmt.Printf("postgres=%v restored copy of %d entries, %d were shown: %s\n", c.postgres, shown, before, line(out, "older"))
	}
}

// verify2 is verify where a SQLite file belongs to the running service.
func (c *court) verify2() (out string, sound bool) {
	if c.postgres {
		return c.verify()
	}
	c.stopped(func() { out, sound = c.verify() })
	return out, sound
}

func line(text, with string) string {
	for l := range strings.Lines(text) {
		if strings.Contains(l, with) {
			return strings.TrimSpace(l)
		}
	}
	return text
}

func (c *court) keepCopy() {
	c.Helper()
	if c.postgres {
		c.maintain("CREATE DATABASE yesterday TEMPLATE " + c.name())
		return
	}
	c.copyFile(".yesterday", "")
}

func (c *court) putCopy() {
	c.Helper()
	if c.postgres {
		c.maintain("ALTER DATABASE " + c.name() + " RENAME TO today")
		c.maintain("ALTER DATABASE yesterday RENAME TO " + c.name())
		return
	}
	for _, of := range []string{"-wal", "-shm"} {
		os.Remove(filepath.Join(c.service.Dir, "assent.db"+of))
	}
	c.copyFile("", ".yesterday")
}

func (c *court) copyFile(to, from string) {
	c.Helper()
	path := filepath.Join(c.service.Dir, "assent.db")
	b, err := os.ReadFile(path + from)
	if err == nil {
		err = os.WriteFile(path+to, b, 0o600)
	}
	if err != nil {
		c.Fatal(err)
	}
}
