package install

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ledger writes the cleanup file of this Install. What is noted has reached the kernel when note returns, so that the end
// of this process loses no line.
type ledger struct {
	mu    sync.Mutex
	file  *os.File
	lines []byte // reused
}

// createLedger makes the cleanup file, which replaying has removed.
func createLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot make the cleanup file: %w", err)
	}
	return &ledger{file: f}, nil
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

// close dates the file at the end of the Install: what has a later time was changed by others (record.edited).
func (l *ledger) close() error {
	now := time.Now()
	return errors.Join(os.Chtimes(l.file.Name(), now, now), l.file.Close())
}
