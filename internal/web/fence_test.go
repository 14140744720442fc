package web

import (
	"bytes"
	"testing"
)

func TestFence(t *testing.T) {
	const base = openBeside
	for mail, want := range map[string]string{
		"":                                base,
		"hello":                           base + "hello",
		"<p>hello":                        base + "<p>hello",
		"<!doctype html><p>x":             "<!doctype html>" + base + "<p>x",
		"\n <!-- c --><!DOCTYPE html>\nx": "\n <!-- c --><!DOCTYPE html>" + base + "\nx",
		"<!-- <!doctype html> -->x":       base + "<!-- <!doctype html> -->x",
		"x<!doctype html>":                base + "x<!doctype html>",
		"<html><!doctype html>":           base + "<html><!doctype html>",
		"<!doctype":                       "<!doctype" + base,
	} {
		if got := string(fence(mail)); got != want {
			t.Errorf("%q became %q, want %q", mail, got, want)
		}
	}
}

// The fence adds its mark once and changes nothing else.
func FuzzFence(f *testing.F) {
	for _, seed := range []string{"", "<!doctype html><p>", "<!-->x", "<!doctype", "<base target=_top>", "\x00<!doctype html>", "<!--<!doctype html>", "\r\n<!doctype html>\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, mail string) {
		got := fence(mail)
		at := afterDoctype(mail)
		if len(got) != len(mail)+len(openBeside) || !bytes.Equal(got[:at], []byte(mail[:at])) || !bytes.HasPrefix(got[at:], []byte(openBeside)) || string(got[at+len(openBeside):]) != mail[at:] {
			t.Errorf("%q became %q", mail, got)
		}
	})
}
