// Package templates holds everything that is written down and shown: the mails,
// the pages, their static files and the sign-up widget. It has no rules; who
// renders what is said in the packages compose, web and signup.
package templates

import "embed"

// FS has the folders mail, pages, static and widget.
//
//go:embed mail pages static widget
var FS embed.FS
