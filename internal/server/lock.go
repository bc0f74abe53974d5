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
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	locked, err := filelock.TryExclusive(f)
	if err == nil && !locked {
		err = errors.New("another server runs on it; stop that one, or choose another folder with --data")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder %s: %w", dir, err), f.Close())
	}
	return f, nil
}
