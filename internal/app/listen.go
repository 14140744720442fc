package app

import (
	"assent/internal/event"
	"assent/internal/sequence"
	"assent/internal/store"
)

// listen joins those who act on a fact to it, within the fact's transaction.
func listen(db *store.DB) {
	for _, kind := range []string{event.ConsentGiven, event.ConsentRefused, event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated} {
		event.ListenAll(db, kind, sequence.OnConsent)
	}
	event.Listen(db, event.MailSkipped, sequence.OnMessage)
}
