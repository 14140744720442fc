package delivery

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
//	B source message epoch tracking                       before the final dot
//	E source message epoch tracking verdict code text     after its answer
//
// A begun message without an end is uncertain. The file is written anew, with
// the unsettled records only, when it has grown.
type journal struct {
	dir  string
	lock *os.File

	mu    sync.Mutex
	file  *os.File
	open  map[link.Message]entry // records of messages that the database has not settled yet
	line  []byte
	lines int
	torn  bool // the last write failed
}

// entry is one record.
type entry struct {
	epoch         int64
	opens, clicks bool // what the mail lets be observed
	ended         bool
	verdict       verdict
	code          int
	text          string // one line
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
	j = &journal{dir: dir, lock: lock, open: map[link.Message]entry{}}
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
	return j.write(m.Ref(), entry{epoch: m.Epoch, opens: m.TracksOpens, clicks: m.TracksClicks})
}

// end notes the answer.
func (j *journal) end(m *claimed, r reply) error {
	return j.write(m.Ref(), entry{epoch: m.Epoch, opens: m.TracksOpens, clicks: m.TracksClicks, ended: true, verdict: r.verdict, code: r.code, text: r.text})
}

func (j *journal) write(ref link.Message, e entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.line = j.line[:0]
	if j.torn {
		j.line = append(j.line, '\n')
	}
	j.line = appendEntry(j.line, ref, e)
	if _, err := j.file.Write(j.line); err != nil {
		j.torn = true // half a line may stand there: the disk was full
		return fmt.Errorf("write the journal: %w", err)
	}
	j.torn = false
	j.open[ref] = e
	j.lines++
	return nil
}

func appendEntry(b []byte, ref link.Message, e entry) []byte {
	mark := "B "
	if e.ended {
		mark = "E "
	}
	b = hex.AppendEncode(append(b, mark...), ref.Source[:])
	b = hex.AppendEncode(append(b, ' '), ref.ID[:])
	b = strconv.AppendInt(append(b, ' '), e.epoch, 10)
	b = append(b, ' ', '-')
	if e.opens {
		b = append(b, 'o')
	}
	if e.clicks {
		b = append(b, 'c')
	}
	if e.ended {
		b = strconv.AppendInt(append(b, ' '), int64(e.verdict), 10)
		b = strconv.AppendInt(append(b, ' '), int64(e.code), 10)
		b = append(append(b, ' '), e.text...)
	}
	return append(b, '\n')
}

// parseEntry reads a line; ok is false for a torn one.
func parseEntry(line string) (ref link.Message, e entry, ok bool) {
	f := strings.SplitN(line, " ", 8)
	if len(f) < 5 || f[0] != "B" && f[0] != "E" || len(f[1]) != 32 || len(f[2]) != 32 {
		return ref, e, false
	}
	var errs [4]error
	ref.Source, errs[0] = uuid.Parse(f[1])
	ref.ID, errs[1] = uuid.Parse(f[2])
	e.epoch, errs[2] = strconv.ParseInt(f[3], 10, 64)
	e.opens, e.clicks = strings.Contains(f[4], "o"), strings.Contains(f[4], "c")
	if e.ended = f[0] == "E"; e.ended {
		if len(f) < 8 {
			return ref, e, false
		}
		var v int
		v, errs[3] = strconv.Atoi(f[5])
		if e.code, _ = strconv.Atoi(f[6]); v < 0 || v > int(unknown) {
			return ref, e, false
		}
		e.verdict, e.text = verdict(v), f[7]
	}
	for _, err := range errs {
		if err != nil {
			return ref, e, false
		}
	}
	return ref, e, strings.HasPrefix(f[4], "-")
}

// settled forgets what the database knows now; not what a later claim of the
// same message has begun meanwhile.
func (j *journal) settled(page []outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range page {
		if ref := o.Ref(); j.open[ref].epoch <= o.Epoch {
			delete(j.open, ref)
		}
	}
	if j.lines < rewriteAt {
		return nil
	}
	return j.rewrite()
}

// rewrite puts a new file in the old one's place in one step. It is open before
// that: what is written next must never go to the file that was replaced.
func (j *journal) rewrite() error {
	var all []byte
	for ref, e := range j.open {
		all = appendEntry(all, ref, e)
	}
	fresh := j.path() + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	if _, err := file.Write(all); err != nil {
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
	raw, err := os.ReadFile(j.path())
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	last := map[link.Message]entry{}
	lines := bufio.NewScanner(bytes.NewReader(raw[:bytes.LastIndexByte(raw, '\n')+1]))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if ref, e, ok := parseEntry(lines.Text()); ok {
			last[ref] = e
		}
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
