// Package templates holds everything that is written down and shown: the mails, the help,
// the pages, their static files and the sign-up widget. It has no rules; who
// renders what is said in the packages compose, web and signup.
package templates

import "embed"

// FS has the folders help, mail, pages, schema and static, and the script of the widget.
//
//go:embed help mail all:pages schema static widget/widget.js
var FS embed.FS
