package app

import (
	"assent/internal/event"
	"assent/internal/sequence"
	"assent/internal/store"
)

// listen joins those who act on a fact to it, within the fact's transaction.
func listen(db *store.DB) {
	for kind, f := range map[string]func(*store.Tx, event.Event) error{
		event.ConsentGiven:       sequence.OnConsent,
		event.ConsentRefused:     sequence.OnConsent,
		event.ConsentWithdrawn:   sequence.OnConsent,
		event.ConsentExpired:     sequence.OnConsent,
		event.ConsentInvalidated: sequence.OnConsent,
		event.MailSkipped:        sequence.OnMessage,
	} {
		event.Listen(db, kind, f)
	}
}
