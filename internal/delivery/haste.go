package delivery

import (
	"os"
	"runtime/debug"
	"sync"
)

// haste trades memory for time while bulk mail is under way: the collector then
// waits until the heap has grown to four times what lives, and not to twice.
// What lives is small, so it costs some tens of MB, and saves a seventh of the
// processor's time. An operator who has set GOGC has decided already.
type haste struct {
	mu    sync.Mutex
	lanes int
	usual int
}

const hastyGC = 300 // percent

// begin is called by each lane of bulk mail, and end when it is done.
func (h *haste) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes++; h.lanes == 1 && os.Getenv("GOGC") == "" {
		h.usual = debug.SetGCPercent(hastyGC)
	}
}

func (h *haste) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes--; h.lanes == 0 && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(h.usual)
	}
}
