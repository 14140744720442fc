package config

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	secretMin     = 32 // characters, each a byte of the key
	secretLetters = 10 // different ones, at least: "xxxx…" is no secret
	secretFile    = "secret"
	secretFix     = "make one with: openssl rand -base64 48"
)

// parseSecret reads a ring of keys, newest first. A key is the text itself, at
// least 32 characters, so that there is no second reading of it.
func parseSecret(s *Settings, text string) error {
	s.Secrets = nil
	for i, key := range words(text) {
		if len(key) < secretMin {
			return wrong(fmt.Sprintf("has a key (the %s) of fewer than %d characters", ordinal(i), secretMin), secretFix)
		}
		letters := map[byte]bool{}
		for j := range len(key) {
			letters[key[j]] = true
		}
		if len(letters) < secretLetters {
			return wrong(fmt.Sprintf("has a key (the %s) that can be guessed", ordinal(i)), secretFix)
		}
		for _, other := range s.Secrets {
			if string(other) == key {
				return wrong("has one key twice", "give each key of the ring once, newest first")
			}
		}
		s.Secrets = append(s.Secrets, []byte(key))
	}
	return nil
}

func ordinal(i int) string {
	if i < 3 {
		return [...]string{"first", "second", "third"}[i]
	}
	return fmt.Sprintf("%dth", i+1)
}

// missingSecret finds the keys nobody gave: the data folder's own for SQLite;
// with PostgreSQL, where several nodes must agree, there are none.
func missingSecret(s Settings) ([][]byte, error) {
	if _, ok := s.SQLite(); !ok {
		return nil, &Error{Setting: prefix + "SECRET", Problem: "is missing, and PostgreSQL needs it", Fix: secretFix + ", and give every node the same"}
	}
	path := filepath.Join(s.DataDir, secretFile)
	if err := makeSecret(path); err != nil {
		return nil, &Error{Setting: prefix + "DATA_DIR", Problem: "cannot hold the secret", Fix: "name a folder this user may write", Cause: err}
	}
	return keptSecret(path)
}

// makeSecret writes a new key unless there is one. It appears whole or not at
// all, and never replaces another that came first.
func makeSecret(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := make([]byte, secretMin)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), secretFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	text := "# Keys of this installation, newest first. Whoever has them can sign its links; without them old links die.\n" +
		base64.RawURLEncoding.EncodeToString(key) + "\n"
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func keptSecret(path string) ([][]byte, error) {
	blame := func(what, fix string, cause error) error {
		return &Error{Setting: prefix + "SECRET, kept in " + path + ",", Problem: what, Fix: fix, Cause: cause}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, blame("cannot be read", "let this user read it", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, blame("can be read by others", "run: chmod 600 "+path, nil)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, blame("cannot be read", "let this user read it", err)
	}
	var keys strings.Builder
	for line := range bytes.Lines(raw) {
		if !bytes.HasPrefix(line, []byte("#")) {
			keys.Write(line)
		}
	}
	var s Settings
	if err := parseSecret(&s, keys.String()); err != nil {
		e := err.(*Error)
		return nil, blame(e.Problem, "restore the file from a backup", nil)
	}
	if len(s.Secrets) == 0 {
		return nil, blame("is empty", "restore the file from a backup", nil)
	}
	return s.Secrets, nil
}
