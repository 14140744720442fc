// Package testkit holds the real parts that tests run against: PostgreSQL,
// Redis, a scriptable SMTP server, a browser, the built program. It serves
// tests, benchmarks and nothing else.
//
// A part that every test of a process can share is started once and dies with
// the process, however the process ends; a part that a test may break is the
// test's own. Nothing is skipped for a missing program: the test fails and
// names the package to install. Only what lives beside the checkout may be
// absent, and then the skip says Absent.
package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nobody runs what refuses to be run by root, as initdb does.
const nobody = 65534

const startLimit = 60 * time.Second

// Process is a server program that a test may stop, kill and start again on the
// same folder and the same address. Its methods may be called from any
// goroutine, one at a time.
type Process struct {
	name     string
	argv     []string
	env      []string // nil: ours
	dir      string   // socket, data and log; the process may write here
	sysproc  *syscall.SysProcAttr
	stopWith syscall.Signal
	ready    func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when cmd has ended
}

// Start starts the program and returns when it answers. A program that ends at
// once is started again for a while: a killed PostgreSQL refuses to come back
// until its last child is gone.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return nil
	}
	deadline := time.Now().Add(startLimit)
	for {
		if err := p.spawn(); err != nil {
			return err
		}
		err := p.waitReady(deadline)
		if err == nil {
			return nil
		}
		if p.alive() || time.Now().After(deadline) {
			p.end(syscall.SIGKILL)
			return fmt.Errorf("start %s: %w; its last words:\n%s", p.name, err, p.tail())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *Process) spawn() error {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, log, log
	cmd.SysProcAttr = p.sysproc
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	p.cmd, p.gone = cmd, gone
	return nil
}

func (p *Process) waitReady(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop asks the program to end, and kills it after 10 s.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(p.stopWith)
}

// Kill ends the program and its children by SIGKILL, all of them stopped
// before the first dies, so that none finishes its work after the blow.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(syscall.SIGKILL)
}

// PID is the program's process id, 0 when it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Freeze stops the program and its children in mid-work: connections are taken
// and nothing is answered, until Thaw.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets what Freeze stopped go on.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return
	}
	pid := p.cmd.Process.Pid
	for _, one := range append([]int{pid}, childrenOf(pid)...) {
		_ = syscall.Kill(one, sig)
	}
}

func (p *Process) alive() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

func (p *Process) end(sig syscall.Signal) {
	if !p.alive() {
		return
	}
	pid := p.cmd.Process.Pid
	if sig != syscall.SIGKILL {
		_ = p.cmd.Process.Signal(sig)
		select {
		case <-p.gone:
			return
		case <-time.After(10 * time.Second):
		}
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	children := childrenOf(pid)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		raw, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// pid (name) state parent …; the name may hold anything, even a bracket.
		text := string(raw)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			found = append(found, child)
		}
	}
	return found
}

func (p *Process) logFile() string { return filepath.Join(p.dir, "log") }

// Log is all that the program has said.
func (p *Process) Log() []byte {
	raw, _ := os.ReadFile(p.logFile()) // none is nothing said
	return raw
}

func (p *Process) tail() string {
	raw, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-2000):])
}

// dieWithUs makes a child end by SIGKILL when this process ends, and run as
// nobody where we are root and it minds.
func dieWithUs(mindsRoot bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if mindsRoot && os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return attr
}

// ownFolder makes a folder with a short path (a socket's may have 107 bytes)
// that is removed when this process has ended, even by SIGKILL: a shell waits
// for its standard input, whose other end is ours, to close.
func ownFolder(name string) (string, error) {
	dir, err := os.MkdirTemp("", "assent-"+name+"-")
	if err != nil {
		return "", err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return "", err
		}
	}
	broom := exec.Command("sh", "-c", `cat >/dev/null; for i in 1 2 3; do sleep 0.3; rm -rf "$1"; done`, "sh", dir)
	broom.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of reach of an interrupt from the keyboard
	handle, err := broom.StdinPipe()
	if err != nil {
		return "", err
	}
	handles.Lock()
	defer handles.Unlock()
	handles.kept = append(handles.kept, handle)
	return dir, broom.Start()
}

// handles are our ends of the pipes: were one collected as garbage, its folder
// would be swept away under a living server.
var handles struct {
	sync.Mutex
	kept []io.Closer
}

// testFolder is a folder for one test's own server, removed at its end.
func testFolder(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := ownFolder(name)
	if err != nil {
		tb.Fatalf("make a folder for %s: %v", name, err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// program finds an executable, or says what to install.
func program(name, debian string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed; run: apt-get install -y %s", name, debian)
	}
	return path, nil
}

// root is the folder of go.mod, looked for from the working folder upwards.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = filepath.Dir(dir)
	}
}

// copyFile copies a regular file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
