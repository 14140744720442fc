// Package configs holds what ships beside the program as data: the example of
// all settings, for people, and what is known of the large mailbox providers.
package configs

import _ "embed"

// Providers is the table that package provider reads; its comments say what it
// means and where it is from.
//
//go:embed providers.yaml
var Providers []byte
