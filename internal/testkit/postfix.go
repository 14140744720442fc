package testkit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PostfixOptions say what an instance is for.
type PostfixOptions struct {
	Host string // loopback address that it listens on
	Next string // host:port that all mail goes on to; "": it is kept
	TLS  bool   // STARTTLS is offered, with a certificate of its own making
}

// PostfixProcess is an instance of Debian's Postfix with folders of its own,
// apart from any that the machine runs.
type PostfixProcess struct {
	*Process
	Addr string // SMTP, host:port
	keep string
}

// Postfix starts an instance, which takes root. It ends with the test.
func Postfix(tb testing.TB, o PostfixOptions) *PostfixProcess {
	tb.Helper()
	bin, err := program("postfix", "postfix")
	if err != nil {
		tb.Fatal(err)
	}
	daemons, err := exec.Command("postconf", "-dh", "daemon_directory").Output()
	if err != nil {
		tb.Fatalf("ask where Postfix lies: %v", err)
	}
	addr := freeAddressOn(tb, o.Host)
	dir := testFolder(tb, "postfix")
	p := &PostfixProcess{Addr: addr, keep: filepath.Join(dir, "mail")}
	p.Process = &Process{
		name: "Postfix", dir: dir, sysproc: dieWithUs(false), stopWith: syscall.SIGTERM,
		argv: []string{filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", filepath.Join(dir, "etc"), "-d"}, // as our child: "postfix start-fg" puts a shell between
		ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.ReadFull(conn, make([]byte, 4)) // "220 "
			return err
		},
	}
	if err := p.write(o); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.Command(bin, "-c", filepath.Join(dir, "etc"), "check").CombinedOutput(); err != nil { // it makes the folders of the queue
		tb.Fatalf("make Postfix's queue: %v: %s", err, out)
	}
	tb.Cleanup(p.Stop)
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	return p
}

func freeAddressOn(tb testing.TB, host string) string {
	tb.Helper()
	ln, err := net.Listen("tcp", host+":0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// write makes the folders and the settings. No name is looked up: nothing of
// this reaches further than loopback.
func (p *PostfixProcess) write(o PostfixOptions) error {
	etc := filepath.Join(p.dir, "etc")
	for dir, mode := range map[string]os.FileMode{p.dir: 0o755, etc: 0o755, filepath.Join(p.dir, "queue"): 0o755, filepath.Join(p.dir, "data"): 0o700, p.keep: 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask, and who made it
			return err
		}
	}
	settings := []string{
		"compatibility_level = 3.6", "queue_directory = " + filepath.Join(p.dir, "queue"), "data_directory = " + filepath.Join(p.dir, "data"),
		"maillog_file = " + p.logFile(), "maillog_file_prefixes = " + p.dir, "mail_owner = postfix", "setgid_group = postdrop", "myhostname = " + strings.ReplaceAll(o.Host, ".", "-") + ".test",
		"inet_interfaces = loopback-only", "inet_protocols = ipv4", "mynetworks = 127.0.0.0/8", "mydestination =", "alias_maps =", "alias_database =",
		"smtpd_relay_restrictions = permit_mynetworks, reject", "smtpd_peername_lookup = no", "smtp_dns_support_level = disabled", "smtputf8_enable = yes",
	}
	if o.Next != "" {
		host, port, err := net.SplitHostPort(o.Next)
		if err != nil {
			return err
		}
		settings = append(settings, fmt.Sprintf("relayhost = [%s]:%s", host, port), "smtp_tls_security_level = may")
	} else {
		settings = append(settings, "virtual_mailbox_domains = static:all", "virtual_mailbox_base = "+p.keep, "virtual_mailbox_maps = static:all/",
			fmt.Sprintf("virtual_uid_maps = static:%d", nobody), fmt.Sprintf("virtual_gid_maps = static:%d", nobody), "virtual_minimum_uid = 1")
	}
	if o.TLS {
		if err := p.certify(); err != nil {
			return err
		}
		settings = append(settings, "smtpd_tls_security_level = may", "smtpd_tls_received_header = yes",
			"smtpd_tls_cert_file = "+filepath.Join(etc, "cert.pem"), "smtpd_tls_key_file = "+filepath.Join(etc, "key.pem"))
	}
	if err := os.WriteFile(filepath.Join(etc, "main.cf"), []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(etc, "master.cf"), []byte(p.services()), 0o644); err != nil {
		return err
	}
	return p.own()
}

// own gives each folder to who writes there: the maildir's owner, and Postfix's.
func (p *PostfixProcess) own() error {
	if err := os.Chown(p.keep, nobody, nobody); err != nil {
		return err
	}
	for _, dir := range []string{p.dir, filepath.Join(p.dir, "etc"), filepath.Join(p.dir, "queue")} {
		if err := os.Chown(dir, 0, 0); err != nil {
			return err
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(p.dir, "data")).CombinedOutput(); err != nil {
		return fmt.Errorf("give Postfix its folder: %w: %s", err, out)
	}
	return nil
}

// services is master.cf (master(5)): name, type, private, unprivileged, chroot,
// wake-up, limit, program.
func (p *PostfixProcess) services() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s inet n - n - 100 smtpd\n", p.Addr)
	for _, s := range strings.Fields("cleanup/unix/n/0 qmgr/unix/n/1 tlsmgr/unix/-/1 rewrite/unix/-/-/trivial-rewrite bounce/unix/-/0 defer/unix/-/0/bounce trace/unix/-/0/bounce verify/unix/-/1 " +
		"flush/unix/n/0 proxymap/unix/-/- proxywrite/unix/-/1/proxymap smtp/unix/-/- relay/unix/-/-/smtp showq/unix/n/- error/unix/-/- retry/unix/-/-/error discard/unix/-/- " +
		"local/unix/-/- virtual/unix/-/- lmtp/unix/-/- anvil/unix/-/1 scache/unix/-/1 postlog/unix-dgram/n/1/postlogd") {
		f := strings.Split(s, "/")
		command := f[0]
		if len(f) == 5 {
			command = f[4]
		}
		unprivileged, wake := "-", "-"
		switch f[0] {
		case "local", "virtual":
			unprivileged = "n"
		case "qmgr":
			wake = "1"
		case "tlsmgr":
			wake = "1000?"
		}
		fmt.Fprintf(&b, "%s %s %s %s n %s %s %s\n", f[0], f[1], f[2], unprivileged, wake, f[3], command)
	}
	return b.String()
}

// certify makes a certificate that nobody signed, as most mail servers have.
func (p *PostfixProcess) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 2)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(p.dir, "etc", name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Kept are the files of the mails that were delivered here.
func (p *PostfixProcess) Kept() []string {
	files, _ := filepath.Glob(filepath.Join(p.keep, "all", "new", "*"))
	return files
}
