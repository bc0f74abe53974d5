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
	// gone says which paths replaying removes, and goneIDs the same of those that can be told under another name: a
	// destination may lead through a link now that it did not lead through then.
	gone    map[string]bool
	goneIDs map[fileID]bool
	// staying holds the folders that replaying leaves because something else lies in them.
	staying map[fileID]string
}

// semanagePrefix marks a file that was given a SELinux context.
const semanagePrefix = "semanage\x00"

// readRecord reads the cleanup file at path, which may be absent.
func readRecord(ctx context.Context, path string, log *slog.Logger) (*record, error) {
	r := &record{path: path, found: map[string]meta{}, gone: map[string]bool{}, goneIDs: map[fileID]bool{}, staying: map[fileID]string{}}
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
	return r, r.foresee(ctx)
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

// foresee finds out what replaying will remove.
func (r *record) foresee(ctx context.Context) error {
	for _, temp := range r.unfinished() {
		r.gone[temp] = true
	}
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
	for i, path := range slices.Backward(r.entries) {
		if !absent[i] {
			r.add(path, metas[i])
		}
	}
	delete(r.staying, fileID{}) // of systems that do not number their files
	return nil
}

// add takes note of an entry that is on the host, after those that were made later.
func (r *record) add(path string, m meta) {
	r.found[path] = m
	if m.mode.IsDir() && !r.emptied(path) {
		r.staying[m.id()] = path
		return
	}
	r.gone[path] = true
	if m.serial != 0 && (m.mode.IsDir() || m.links == 1) {
		r.goneIDs[m.id()] = true
	}
}

// emptied reports whether everything in a folder goes.
func (r *record) emptied(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return !r.gone[filepath.Join(path, name)] })
}

// removes reports whether replaying removes what is at path now.
func (r *record) removes(path string, m meta) bool {
	return r.gone[path] || m.serial != 0 && r.goneIDs[m.id()]
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

// replay removes what the entries name, last made first, and then the cleanup file itself. Folders in stays are left.
// Plain files go before everything else, in no order: nothing lies in them, and no other entry is reached through them.
func (r *record) replay(ctx context.Context, stays map[string]bool) error {
	for _, temp := range r.unfinished() {
		_ = os.Remove(temp) // there is one only after a crash
	}
	var plain, others, objects []string
	for _, entry := range slices.Backward(r.entries) {
		if object, ok := strings.CutPrefix(entry, semanagePrefix); ok {
			objects = append(objects, object)
		} else if m, ok := r.found[entry]; ok && m.mode.IsRegular() {
			plain = append(plain, entry)
		} else if !stays[entry] {
			others = append(others, entry)
		}
	}
	if err := sideBySide(ctx, len(plain), func(from, to int) error { return removeAll(plain[from:to]) }); err != nil {
		return err
	}
	if err := removeAll(others); err != nil {
		return err
	}
	forgetContexts(ctx, objects)
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the cleanup file: %w", err)
	}
	return nil
}

func removeAll(paths []string) error {
	for _, path := range paths {
		if err := remove(path); err != nil {
			return fmt.Errorf("cannot remove what the previous Install made: %w", err)
		}
	}
	return nil
}

// remove treats what is gone, and folders that hold something else, as done.
func remove(path string) error {
	err := os.Remove(path)
	if err == nil || isAbsent(err) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	if m, statErr := lstat(path); statErr == nil && m.mode.IsDir() && errors.Is(err, syscall.EBUSY) {
		return nil // something is mounted on it, which is a way of holding something else
	}
	return err
}

// edited returns the files that someone has changed since the previous Install copied them: their time or size is not
// that of the archive they came from. Its instructions, which nothing else reads, tell which file that was. A status that
// is older than the end of that Install says without them that nothing was changed.
func (r *record) edited(instructions string) map[string]bool {
	suspects := map[string]bool{}
	for path, m := range r.found {
		if r.gone[path] && m.mode.IsRegular() && (m.ctime > r.written || m.mtime > r.written) {
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
