package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed verify.py
var verifyScript string

// dkimpy counts the signatures of the mails, and those it verifies. A mail that
// somebody changed must not be among them.
func (p *place) dkimpy(files []string) (verified, signatures int) {
	host, port, err := net.SplitHostPort(p.names.Addr)
	if err != nil {
		p.Fatal(err)
	}
	ask := func(files ...string) (found struct{ Verified, Signatures int }) {
		cmd := exec.Command("/usr/bin/python3", append([]string{"-c", verifyScript, host, port}, files...)...)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &found)
		}
		if err != nil {
			p.Fatalf("dkimpy (Debian: python3-dkim): %v\n%s%s", err, out, said.String())
		}
		return found
	}
	if f := ask(p.changed(files[0])); f.Verified != 0 || f.Signatures != 2 {
		p.Fatalf("of a mail that was changed dkimpy verifies %d of %d signatures", f.Verified, f.Signatures)
	}
	f := ask(files...)
	if f.Verified != f.Signatures || f.Signatures != 2*len(files) {
		p.Errorf("dkimpy verifies %d of %d signatures of %d mails", f.Verified, f.Signatures, len(files))
	}
	return f.Verified, f.Signatures
}

// changed is a copy of a mail with another word in it.
func (p *place) changed(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		p.Fatal(err)
	}
	at := bytes.LastIndex(raw, []byte("word word"))
	if at < 0 {
		p.Fatal("there is nothing to change in the mail")
	}
	raw[at] = 'W'
	to := filepath.Join(p.TempDir(), "changed")
	if err := os.WriteFile(to, raw, 0o644); err != nil {
		p.Fatal(err)
	}
	return to
}

// nameserver is where opendkim finds our name server: its library knows only
// the resolver of the system, which knows only port 53.
const nameserver = "127.0.0.54"

// opendkim counts the mails that it verifies. It sees another resolv.conf than
// the rest of the machine.
func (p *place) opendkim(files []string) (verified int) {
	stop := p.lend()
	defer stop()
	conf := filepath.Join(p.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+nameserver+"\n"), 0o644); err != nil {
		p.Fatal(err)
	}
	script := `mount --bind "$0" /etc/resolv.conf || exit 9; for f in "$@"; do opendkim-testmsg <"$f" >/dev/null 2>&1 && echo good || echo bad; done`
	ask := func(files ...string) (good int) {
		out, err := exec.Command("unshare", append([]string{"-m", "sh", "-c", script, conf}, files...)...).CombinedOutput()
		if n := strings.Count(string(out), "\n"); err != nil || n != len(files) {
			p.Fatalf("opendkim-testmsg (Debian: opendkim-tools): %v\n%s", err, out)
		}
		return strings.Count(string(out), "good")
	}
	if ask(p.changed(files[0])) != 0 {
		p.Fatal("opendkim verifies a mail that was changed")
	}
	if verified = ask(files...); verified != len(files) {
		p.Errorf("opendkim verifies %d of %d mails", verified, len(files))
	}
	return verified
}

// lend has our name server answer at port 53 of a loopback address too.
func (p *place) lend() (stop func()) {
	conn, err := net.ListenPacket("udp", nameserver+":53")
	if err != nil {
		p.Fatal(err)
	}
	go func() {
		question := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			answer, err := p.forward(question[:n])
			if err != nil {
				fmt.Fprintln(os.Stderr, "forward a question:", err)
				continue
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return func() { _ = conn.Close() }
}

func (p *place) forward(question []byte) ([]byte, error) {
	to, err := net.Dial("udp", p.names.Addr)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	if err := to.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := to.Write(question); err != nil {
		return nil, err
	}
	answer := make([]byte, 64<<10)
	n, err := to.Read(answer)
	return answer[:n], err
}
