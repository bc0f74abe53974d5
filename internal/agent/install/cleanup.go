package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// cleanupFile records what an Install makes, in the order it makes it, for the next Install to remove (agent.md 6.2).
// Lines go to the kernel one by one: a crash loses none.
type cleanupFile struct{ file *os.File }

func createCleanup(path string) (*cleanupFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot make the cleanup file: %w", err)
	}
	return &cleanupFile{f}, nil
}

func (c *cleanupFile) note(path string) error {
	if strings.ContainsAny(path, "\n\x00") {
		return fmt.Errorf("the name %q holds a newline or NUL, which the cleanup file cannot record", path)
	}
	if _, err := c.file.WriteString(path + "\n"); err != nil {
		return fmt.Errorf("cannot write the cleanup file: %w", err)
	}
	return nil
}

func (c *cleanupFile) close() error { return c.file.Close() }

// readCleanup returns the entries of a cleanup file, none when there is no file. The last line counts only with its
// newline: without it a crash tore it, and a part of a path may be another path.
func readCleanup(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read what the previous Install made: %w", err)
	}
	var entries []string
	for line := range bytes.Lines(data) {
		if entry, whole := bytes.CutSuffix(line, []byte("\n")); whole && len(entry) > 0 {
			entries = append(entries, string(entry))
		}
	}
	return entries, nil
}

// semanagePrefix marks a file that a stock agent gave a SELinux context.
const semanagePrefix = "semanage\x00"

// removedBy returns the paths that replaying the entries will remove. A folder stays when it holds anything that does not.
func removedBy(entries []string) map[string]bool {
	gone := map[string]bool{}
	if len(entries) > 0 {
		gone[tempName(entries[len(entries)-1])] = true
	}
	for _, path := range slices.Backward(entries) {
		children, err := os.ReadDir(path)
		info, statErr := os.Lstat(path)
		gone[path] = err != nil || statErr != nil || !info.IsDir() || !slices.ContainsFunc(children, func(child fs.DirEntry) bool {
			return !gone[filepath.Join(path, child.Name())]
		})
	}
	return gone
}

// replayCleanup removes what the entries name, last made first, and then the cleanup file itself.
func replayCleanup(path string, entries []string) error {
	if len(entries) > 0 {
		// Copies are made one at a time, so only the last one can have been cut off.
		os.Remove(tempName(entries[len(entries)-1]))
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if err := removeEntry(entries[i]); err != nil {
			return fmt.Errorf("cannot remove what the previous Install made: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the cleanup file: %w", err)
	}
	return nil
}

// removeEntry treats what is gone, and folders that hold something else, as done.
func removeEntry(entry string) error {
	if file, ok := strings.CutPrefix(entry, semanagePrefix); ok {
		_ = exec.Command("semanage", "fcontext", "-d", file).Run() // the rule may be gone, and so may the tool
		return nil
	}
	if !filepath.IsAbs(entry) {
		return fmt.Errorf("the cleanup file names %q, which is no absolute path", entry)
	}
	info, err := os.Lstat(entry)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	err = os.Remove(entry)
	if errors.Is(err, fs.ErrNotExist) || info.IsDir() && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)) {
		return nil
	}
	return err
}
