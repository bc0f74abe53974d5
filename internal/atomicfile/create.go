package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CreateFile is WriteFile for a file that must not be there yet: of several that create path at once one wins, and the
// others get an error that is fs.ErrExist.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	dir, base := filepath.Split(path)
	temp := filepath.Join(dir, "."+base+"."+rand.Text()+".tmp")
	if err := WriteFile(temp, data, mode); err != nil {
		return err
	}
	// A link, unlike a rename, fails when the name is taken.
	err := errors.Join(os.Link(temp, path), os.Remove(temp))
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}
