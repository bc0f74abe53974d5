package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"grapnel/internal/filelock"
)

// lockFolder takes the data folder for this process: two servers on one SQLite file would each believe that they alone
// decide. The lock goes with the process, also after kill -9.
func lockFolder(dir string) (*os.File, error) {
	f, err := filelock.Acquire(filepath.Join(dir, "lock"), 0o600)
	if errors.Is(err, filelock.ErrHeld) {
		err = errors.New("another server runs on it; stop that one, or choose another folder with --data")
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	return f, nil
}
