package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ServiceOptions say how the program is run.
type ServiceOptions struct {
	Database  string     // ASSENT_DATABASE_URL; "" is a SQLite file in the service's folder
	Redis     string     // ASSENT_REDIS_URL; "" is embedded
	SMTP      string     // ASSENT_SMTP_URL
	Args      []string   // after "serve"
	Env       []string   // more NAME=value, the last word
	TestClock bool       // built so that Pass works
	PublicURL string     // "" is where it listens
	Disk      *SmallDisk // where its data folder lies; nil: where there is room
}

const serviceSecret = "only-for-tests-0123456789abcdefghijklmnopqrstuvwxyz"

// Service is the built program as a process of its own, which the test may
// Kill, Stop and Start again on the same folder and port.
type Service struct {
	*Process
	Base string // http://host:port
	Dir  string // ASSENT_DATA_DIR

	binary string
	env    []string
	clock  string
	ahead  time.Duration
}

// NewService brings the database's schema up to date and starts `assent serve`.
// It ends with the test.
func NewService(tb testing.TB, o ServiceOptions) *Service {
	tb.Helper()
	s := PrepareService(tb, o)
	s.mustRun(tb, "migrate", "up")
	if err := s.Start(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// PrepareService is NewService without migrating and starting.
func PrepareService(tb testing.TB, o ServiceOptions) *Service {
	tb.Helper()
	var tags []string
	if o.TestClock {
		tags = append(tags, "testclock")
	}
	addr := FreeAddress(tb)
	own := testFolder(tb, "service")
	s := &Service{Base: "http://" + addr, Dir: own, binary: Binary(tb, tags...), clock: filepath.Join(own, "clock")}
	if o.Disk != nil {
		s.Dir = o.Disk.folder(tb, "data")
	}
	if o.Database == "" {
		o.Database = "sqlite:" + filepath.Join(s.Dir, "assent.db")
	}
	if o.Redis == "" {
		o.Redis = "embedded"
	}
	if o.PublicURL == "" {
		o.PublicURL = s.Base
	}
	s.env = append(os.Environ(), "ASSENT_DATABASE_URL="+o.Database, "ASSENT_REDIS_URL="+o.Redis, "ASSENT_SMTP_URL="+o.SMTP,
		"ASSENT_LISTEN="+addr, "ASSENT_PUBLIC_URL="+o.PublicURL, "ASSENT_DATA_DIR="+s.Dir, "ASSENT_SECRET="+serviceSecret,
		"ASSENT_TEST_CLOCK="+s.clock)
	s.env = append(s.env, "ASSENT_SIGNUP_PROOF=off") // tests are programs
	s.env = append(s.env, o.Env...)
	s.Process = &Process{
		name: "assent", dir: own, sysproc: dieWithUs(false), stopWith: syscall.SIGTERM, env: s.env,
		argv:  append([]string{s.binary, "serve"}, o.Args...),
		ready: s.answers,
	}
	tb.Cleanup(func() {
		s.Stop()
		if tb.Failed() {
			tb.Logf("the service's last words:\n%s", s.tail())
		}
	})
	return s
}

func (s *Service) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Base+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", res.Status)
	}
	return nil
}

// Run runs a command of the program beside the service, and gives its output.
func (s *Service) Run(input string, args ...string) (string, error) {
	cmd := exec.Command(s.binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.Dir, s.env, strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("assent %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func (s *Service) mustRun(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := s.Run("", args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Set changes a setting, NAME=value, from the next start on.
func (s *Service) Set(setting string) {
	s.env = append(s.env, setting)
	s.Process.env = s.env
}

// Key makes a key of the installation that may do everything. A SQLite file
// belongs to one process, so the service is stopped for that moment.
func (s *Service) Key(tb testing.TB) string {
	tb.Helper()
	running := s.PID() != 0
	s.Stop()
	key := s.mustRun(tb, "key", "add", "tests")
	if running {
		if err := s.Start(); err != nil {
			tb.Fatal(err)
		}
	}
	return key
}

// clockSettles is more than the program goes on with a time it has read: who acts
// at once would be answered from before and from after.
const clockSettles = 20 * time.Millisecond

// Pass moves the service's clock on; it needs TestClock. The zone in which
// leases are held stays that of the real clock.
func (s *Service) Pass(tb testing.TB, d time.Duration) {
	tb.Helper()
	s.ahead += d
	fresh := s.clock + ".new"
	if err := errors.Join(os.WriteFile(fresh, []byte(s.ahead.String()), 0o644), os.Rename(fresh, s.clock)); err != nil {
		tb.Fatal(err)
	}
	time.Sleep(clockSettles)
}

// Ahead is how far Pass has moved the service's clock.
func (s *Service) Ahead() time.Duration { return s.ahead }

// Now is the time as the service sees it.
func (s *Service) Now() time.Time { return time.Now().Add(s.ahead) }

// API calls the service's JSON interface.
type API struct {
	Base  string // http://host:port
	Key   string
	Brand string // slug, for a key of the installation
}

// APIAnswer is what the API said.
type APIAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes one call; body is what JSON makes of it, nil for none. Headers are
// name, value pairs.
func (a API) Do(method, path string, body any, headers ...string) (APIAnswer, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return APIAnswer{}, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, a.Base+"/api/v1"+path, in)
	if err != nil {
		return APIAnswer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+a.Key)
	if a.Brand != "" {
		req.Header.Set("Assent-Brand", a.Brand)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := apiClient.Do(req)
	if err != nil {
		return APIAnswer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return APIAnswer{Status: res.StatusCode, Header: res.Header, Body: raw}, err
}

var apiClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Must makes a call that has to succeed, and reads its answer into out (nil:
// nowhere).
func (a API) Must(tb testing.TB, method, path string, body, out any) {
	tb.Helper()
	got, err := a.Do(method, path, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	if got.Status < 200 || got.Status > 299 {
		tb.Fatalf("%s %s: %d\n%s", method, path, got.Status, got.Body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(got.Body, out); err != nil {
		tb.Fatalf("%s %s: read the answer: %v\n%s", method, path, err, got.Body)
	}
}
