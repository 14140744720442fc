package delivery

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"assent/internal/link"
)

// journal is what a process writes beside the database, so that after its
// death it is known which messages had begun. One line a record, one write
// each, no fsync: it outlives the process, not the machine's power, for which
// the boot id stands (see node).
//
//	B {"s":source,"m":message,"a":attempt}                     before the final dot
//	E {"s":…,"m":…,"a":…,"v":verdict,"c":code,"t":text}        after its answer
//
// A begun message without an end is uncertain. The file is written anew, with
// the unsettled records only, when it has grown.
type journal struct {
	dir  string
	lock *os.File

	mu    sync.Mutex
	file  *os.File
	open  map[link.Message][]byte // records of messages that the database has not settled yet
	lines int
	torn  bool // the last write failed
}

// entry is one record.
type entry struct {
	Source  uuid.UUID `json:"s"`
	ID      uuid.UUID `json:"m"`
	Attempt int       `json:"a"`
	Verdict verdict   `json:"v,omitempty"`
	Code    int       `json:"c,omitempty"`
	Text    string    `json:"t,omitempty"`
	ended   bool
}

const (
	journalFile = "journal"
	rewriteAt   = 100_000 // records
)

// openJournal takes the folder of a node, if no living process has it.
func openJournal(dir string) (j *journal, taken bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the journal's folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("lock the journal: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, true, nil
	}
	j = &journal{dir: dir, lock: lock, open: map[link.Message][]byte{}}
	j.file, err = os.OpenFile(j.path(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		lock.Close()
		return nil, false, fmt.Errorf("open the journal: %w", err)
	}
	return j, false, nil
}

func (j *journal) path() string { return filepath.Join(j.dir, journalFile) }

// begin must be on file before the final dot goes out. If it can't be, the
// message must not go.
func (j *journal) begin(m *claimed) error {
	return j.write('B', entry{Source: m.SourceID, ID: m.ID, Attempt: m.Attempt})
}

// end notes the answer.
func (j *journal) end(m *claimed, r reply) error {
	return j.write('E', entry{Source: m.SourceID, ID: m.ID, Attempt: m.Attempt, Verdict: r.verdict, Code: r.code, Text: r.text})
}

func (j *journal) write(mark byte, e entry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(body)+4)
	line = append(line, mark, ' ')
	line = append(append(line, body...), '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.torn {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := j.file.Write(line); err != nil {
		j.torn = true // half a line may stand there: the disk was full
		return fmt.Errorf("write the journal: %w", err)
	}
	j.torn = false
	j.open[link.Message{Source: e.Source, ID: e.ID}] = line
	j.lines++
	return nil
}

// settled forgets what the database knows now.
func (j *journal) settled(refs []link.Message) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, ref := range refs {
		delete(j.open, ref)
	}
	if j.lines < rewriteAt {
		return nil
	}
	return j.rewrite()
}

// rewrite puts a new file in the old one's place in one step. It is open before
// that: what is written next must never go to the file that was replaced.
func (j *journal) rewrite() error {
	var all bytes.Buffer
	for _, line := range j.open {
		all.Write(line)
	}
	fresh := j.path() + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	if _, err := file.Write(all.Bytes()); err != nil {
		file.Close()
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	if err := os.Rename(fresh, j.path()); err != nil {
		file.Close()
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	j.file.Close()
	j.file, j.lines = file, len(j.open)
	return nil
}

// read gives the last record of each message. A torn last line, which a crash
// can leave, was not followed by the dot it stood before.
func (j *journal) read() (map[link.Message]entry, error) {
	f, err := os.Open(j.path())
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer f.Close()
	last := map[link.Message]entry{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		mark, body, ok := strings.Cut(lines.Text(), " ")
		var e entry
		if !ok || json.Unmarshal([]byte(body), &e) != nil {
			continue
		}
		e.ended = mark == "E"
		last[link.Message{Source: e.Source, ID: e.ID}] = e
	}
	return last, lines.Err()
}

// clear empties the journal after all it said is in the database.
func (j *journal) clear() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.open)
	return j.rewrite()
}

// close gives the folder up; what it says stays for the next process.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.file.Close()
	j.lock.Close()
	return err
}
