package testkit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

const (
	rowsMax     = 1000 // of a call to /subscribers/batch
	callsAtOnce = 3
)

// People brings n subscribers by the batch, row i as row gives it: what the API
// takes at /subscribers/batch. A refused row ends the test. The answer is their
// ids, by row.
func (a API) People(tb testing.TB, n int, row func(i int) map[string]any) (ids []string) {
	tb.Helper()
	ids = make([]string, n)
	calls := make(chan int)
	wrong := make(chan error, callsAtOnce)
	var crew sync.WaitGroup
	for range callsAtOnce {
		crew.Go(func() {
			for from := range calls {
				if err := a.batch(ids[from:min(from+rowsMax, n)], func(i int) map[string]any { return row(from + i) }); err != nil {
					wrong <- err
					return
				}
			}
		})
	}
	var err error
	for from := 0; from < n && err == nil; from += rowsMax {
		select {
		case calls <- from:
		case err = <-wrong:
		}
	}
	close(calls)
	crew.Wait()
	if err == nil && len(wrong) > 0 {
		err = <-wrong
	}
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// batch is one call; it fills in the ids.
func (a API) batch(ids []string, row func(i int) map[string]any) error {
	rows := make([]map[string]any, len(ids))
	for i := range rows {
		rows[i] = row(i)
	}
	got, err := a.Do(http.MethodPost, "/subscribers/batch", map[string]any{"subscribers": rows})
	if err != nil {
		return err
	}
	var said struct{ Rows []struct{ ID, Status string } }
	if got.Status != http.StatusOK {
		return fmt.Errorf("POST /subscribers/batch: %d %.500s", got.Status, got.Body)
	}
	if err := json.Unmarshal(got.Body, &said); err != nil {
		return fmt.Errorf("read what a batch came to: %w", err)
	}
	for i, r := range said.Rows {
		if r.Status == "refused" {
			return fmt.Errorf("a row of a batch was refused: %v: %.500s", rows[i], got.Body)
		}
		ids[i] = r.ID
	}
	return nil
}

// Consents are consents for topics as a batch takes them, each with evidence.
func Consents(evidence any, topics ...string) []map[string]any {
	all := make([]map[string]any, len(topics))
	for i, t := range topics {
		all[i] = map[string]any{"topic": t, "basis": "operator", "wording": "Yes, write to me.", "evidence": map[string]any{"sheet": evidence}}
	}
	return all
}
