package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// record is what the previous Install of the group made: its cleanup file (agent.md 6.2), compared once with the host.
type record struct {
	path    string
	entries []string // oldest first
	written int64    // when the file was last written, which is the end of that Install; nanoseconds since 1970
	// found holds the entries that are on the host, links not followed.
	found map[string]meta
	temps []string // copies that a crash cut off
	// gone holds answers of goes.
	gone map[string]bool
	// names holds the entries that can be told under another name: a destination may lead through a link now that it did
	// not lead through then. It is nil until such a name is met.
	names map[fileID]string
}

// semanagePrefix marks a file that was given a SELinux context.
const semanagePrefix = "semanage\x00"

// readRecord reads the cleanup file at path, which may be absent.
func readRecord(ctx context.Context, path string, log *slog.Logger) (*record, error) {
	r := &record{path: path, found: map[string]meta{}, gone: map[string]bool{}}
	m, err := lstat(path)
	if isAbsent(err) {
		return r, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read what the previous Install made: %w", err)
	}
	if owned := m.uid < 0 || m.uid == os.Geteuid() && m.mode&0o022 == 0; !m.mode.IsRegular() || !owned {
		// The agent may be root: whoever could write this file could have it remove any other.
		log.Warn("the cleanup file is ignored, because others than the agent can write it: what the previous deployment installed is not removed",
			slog.String("file", path), slog.String("mode", m.mode.String()))
		return r, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the previous Install made: %w", err)
	}
	r.entries, r.written = entriesOf(data), m.mtime
	for _, entry := range r.entries {
		if !strings.HasPrefix(entry, semanagePrefix) && !filepath.IsAbs(entry) {
			return nil, fmt.Errorf("the cleanup file %s names %q, which is no absolute path; remove that line", path, entry)
		}
	}
	return r, r.foresee(ctx, log)
}

// entriesOf returns the lines of a cleanup file. The last one counts only with its newline: without it a crash tore it, and
// a part of a path may be another path.
func entriesOf(data []byte) []string {
	var entries []string
	for line := range bytes.Lines(data) {
		if entry, whole := bytes.CutSuffix(line, []byte("\n")); whole && len(entry) > 0 {
			entries = append(entries, string(entry))
		}
	}
	return entries
}

// foresee looks at every entry. Whether a folder goes is found out when it is asked for (goes): most are made again, and
// listing thousands of folders takes longer than removing them.
func (r *record) foresee(ctx context.Context, log *slog.Logger) error {
	metas, absent := make([]meta, len(r.entries)), make([]bool, len(r.entries))
	err := sideBySide(ctx, len(r.entries), func(from, to int) error {
		for i := from; i < to; i++ {
			var err error
			metas[i], err = lstat(r.entries[i])
			absent[i] = err != nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, path := range r.entries {
		if !absent[i] {
			r.found[path] = metas[i]
		}
	}
	r.leaveDiverted(log)
	for _, temp := range r.unfinished() {
		if isLeftover(temp) {
			r.temps = append(r.temps, temp)
			r.gone[temp] = true
		}
	}
	return nil
}

// leaveDiverted drops the entries below a folder that somebody has replaced by a symbolic link since: what is found there
// now is something else. The link itself goes.
func (r *record) leaveDiverted(log *slog.Logger) {
	known := map[string]bool{}
	var diverted func(dir string) bool
	diverted = func(dir string) bool {
		answer, asked := known[dir]
		if !asked {
			parent := filepath.Dir(dir)
			answer = r.found[dir].isLink() || parent != dir && diverted(parent)
			known[dir] = answer
		}
		return answer
	}
	var left []string
	r.entries = slices.DeleteFunc(r.entries, func(entry string) bool {
		if strings.HasPrefix(entry, semanagePrefix) || !diverted(filepath.Dir(entry)) {
			return false
		}
		left = append(left, entry)
		return true
	})
	for _, entry := range left {
		delete(r.found, entry)
	}
	if len(left) > 0 {
		log.Warn("folders of the previous deployment were replaced by symbolic links; what was installed below them is left alone",
			slog.Int("count", len(left)), slog.Any("first", left[:min(len(left), mostNamed)]))
	}
}

// goes reports whether replaying removes what is at path, which it does if that is an entry and no folder that holds
// something else.
func (r *record) goes(path string) bool {
	if goes, known := r.gone[path]; known {
		return goes
	}
	m, ours := r.found[path]
	goes := ours && (!m.mode.IsDir() || r.emptied(path))
	r.gone[path] = goes
	return goes
}

// emptied reports whether everything in a folder goes.
func (r *record) emptied(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return !r.goes(filepath.Join(path, name)) })
}

// isMounted reports whether a file system is mounted on a folder, or something that looks like it.
func (r *record) isMounted(path string) bool {
	above, ours := r.found[filepath.Dir(path)]
	if !ours {
		above, _ = stat(filepath.Dir(path))
	}
	return r.found[path].device != above.device
}

// removes reports whether replaying removes m, which is at path now, under that or another name.
func (r *record) removes(path string, m meta) bool {
	if r.goes(path) {
		return true
	}
	if r.names == nil {
		r.names = make(map[fileID]string, len(r.found))
		for entry, m := range r.found {
			if m.mode.IsDir() || m.links == 1 {
				r.names[m.id()] = entry
			}
		}
	}
	entry, ours := r.names[m.id()]
	return ours && m.serial != 0 && r.goes(entry)
}

// unfinished returns where copies that a crash cut off may have left something: beside files in folders that are not ours.
// In folders of its own an Install makes no file under another name (copier.copy).
func (r *record) unfinished() []string {
	own := map[string]bool{}
	var temps []string
	for _, entry := range r.entries { // a folder comes before what is in it
		if dir := filepath.Dir(entry); !own[dir] && !strings.HasPrefix(entry, semanagePrefix) {
			temps = append(temps, tempName(entry))
		}
		own[entry] = true
	}
	return temps
}

// replay removes what the entries name, last made first, and then the cleanup file itself. It returns the folders that it
// leaves because they hold something else.
//
// Plain files go before everything else, in no order: nothing lies in them, and no other entry is reached through them. The
// same is true of folders that are empty by then. What is left is few.
func (r *record) replay(ctx context.Context) (left map[string]bool, err error) {
	for _, temp := range r.temps {
		if isLeftover(temp) { // still
			_ = os.Remove(temp)
		}
	}
	done := make([]bool, len(r.entries))
	if err := r.removeSideBySide(ctx, done, fs.FileMode.IsRegular); err != nil {
		return nil, err
	}
	if err := r.removeSideBySide(ctx, done, fs.FileMode.IsDir); err != nil {
		return nil, err
	}
	var objects []string
	left = map[string]bool{}
	for i, entry := range slices.Backward(r.entries) {
		if object, ok := strings.CutPrefix(entry, semanagePrefix); ok {
			objects = append(objects, object)
		} else if !done[i] {
			full, err := r.remove(entry)
			if err != nil {
				return nil, err
			}
			if full {
				left[entry] = true
			}
		}
	}
	forgetContexts(ctx, objects)
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the cleanup file: %w", err)
	}
	return left, nil
}

// removeSideBySide tries to remove the entries of one kind, of which it marks those that are gone. A folder may be tried
// while another hand still empties it.
func (r *record) removeSideBySide(ctx context.Context, done []bool, kind func(fs.FileMode) bool) error {
	last := len(r.entries) - 1
	return sideBySide(ctx, len(r.entries), func(from, to int) error {
		for i := from; i < to; i++ {
			entry := r.entries[last-i]
			if m, ok := r.found[entry]; !ok || !kind(m.mode) {
				continue
			}
			full, err := r.remove(entry)
			if err != nil {
				return err
			}
			done[last-i] = !full
		}
		return nil
	})
}

// remove reports whether path is a folder that holds something else. That, and what is gone already, is no error.
func (r *record) remove(path string) (full bool, err error) {
	if r.found[path].mode.IsDir() {
		err = removeFolder(path)
	} else {
		err = os.Remove(path)
	}
	switch {
	case err == nil || isAbsent(err):
		return false, nil
	case errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST):
		return true, nil
	}
	if m, statErr := lstat(path); statErr == nil && m.mode.IsDir() && errors.Is(err, syscall.EBUSY) {
		return true, nil // something is mounted on it, which is a way of holding something else
	}
	return false, fmt.Errorf("cannot remove what the previous Install made: %w", err)
}

// edited returns the files that someone has changed since the previous Install copied them: their time or size is not
// that of the archive they came from. Its instructions, which nothing else reads, tell which file that was. A status that
// is older than the end of that Install says without them that nothing was changed.
func (r *record) edited(instructions string) map[string]bool {
	suspects := map[string]bool{}
	for path, m := range r.found {
		if m.mode.IsRegular() && (m.ctime > r.written || m.mtime > r.written) {
			suspects[path] = true
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	sources := sourcesOf(instructions, suspects)
	for path := range suspects {
		if !r.differs(r.found[path], sources[path]) {
			delete(suspects, path)
		}
	}
	return suspects
}

// differs compares a file with the one that it was copied from. Where that is not known, only a later time tells.
func (r *record) differs(m meta, source string) bool {
	original, err := lstat(source)
	if source == "" || err != nil {
		return m.mtime > r.written
	}
	const coarse = 1000 // nanoseconds; not every copy of a time has all digits
	return m.size != original.size || m.mtime/coarse != original.mtime/coarse
}

// sourcesOf reads from an instructions file where some destinations were copied from, as far as it can be read.
func sourcesOf(instructions string, destinations map[string]bool) map[string]string {
	sources := map[string]string{}
	f, err := os.Open(instructions)
	if err != nil {
		return sources
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for range 3 { // { "instructions" [
		if _, err := dec.Token(); err != nil {
			return sources
		}
	}
	for dec.More() {
		var i struct{ Type, Source, Destination string }
		if err := dec.Decode(&i); err != nil {
			return sources
		}
		if i.Type == "copy" && destinations[i.Destination] {
			sources[i.Destination] = i.Source
		}
	}
	return sources
}
