package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"grapnel/internal/atomicfile"
)

// ledger writes the cleanup file of this Install. What is noted has reached the kernel when note returns, so that the end
// of this process loses no line.
type ledger struct {
	mu    sync.Mutex
	file  *os.File
	mode  fs.FileMode
	lines []byte // reused
	// withdrawn holds noted files that were not copied, so that what is there is still somebody else's.
	withdrawn map[string]bool
}

// createLedger makes the cleanup file, which replaying has removed.
func createLedger(path string, mode fs.FileMode) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot make the cleanup file: %w", err)
	}
	return &ledger{file: f, mode: mode}, nil
}

// note writes a line for each entry, all in one call of the kernel.
func (l *ledger) note(entries ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = l.lines[:0]
	for _, entry := range entries {
		l.lines = append(append(l.lines, entry...), '\n')
	}
	if _, err := l.file.Write(l.lines); err != nil {
		return fmt.Errorf("cannot write the cleanup file: %w", err)
	}
	return nil
}

// withdraw takes back the note of a file that was to take the place of another and has not.
func (l *ledger) withdraw(entry string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.withdrawn == nil {
		l.withdrawn = map[string]bool{}
	}
	l.withdrawn[entry] = true
}

// close brings the file to the disk, because what it does not name is in the way of every later deployment. It dates it at
// the end of the Install: what has a later time was changed by others (record.edited).
func (l *ledger) close() error {
	path := l.file.Name()
	err := errors.Join(l.file.Sync(), l.file.Close())
	if len(l.withdrawn) > 0 {
		err = errors.Join(err, l.rewrite(path))
	}
	now := time.Now()
	return errors.Join(err, os.Chtimes(path, now, now))
}

func (l *ledger) rewrite(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept []byte
	for _, entry := range entriesOf(data) {
		if !l.withdrawn[entry] {
			kept = append(append(kept, entry...), '\n')
		}
	}
	return atomicfile.WriteFile(path, kept, l.mode)
}
