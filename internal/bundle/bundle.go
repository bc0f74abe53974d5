// Package bundle opens, extracts and packs the archives that revisions are delivered in (agent.md section 10).
package bundle

import "context"

// Type is the format of a bundle as a revision names it (agent.md 5.2).
type Type string

// Bundle types.
const (
	Tar Type = "tar" // compression is detected: a gzipped tar declared as tar unpacks (agent.md 10.4)
	Tgz Type = "tgz"
	Zip Type = "zip"
)

// Options bound what Extract accepts.
type Options struct {
	MaxSize    int64 // bytes unpacked; 0 = no limit
	MaxEntries int   // 0 = no limit
	Owners     bool  // restore stored uid/gid (tar, as root)
}

// Stats tells what an archive holds or what was unpacked.
type Stats struct {
	Entries int
	Bytes   int64 // sum of the sizes of regular files
}

// Extract unpacks the bundle at path into the folder dst, which is made with mode 0755 and must not hold anything.
// Names that leave dst, links whose target leaves it when something is written through them, device files and corrupt or
// truncated archives are refused with an *Error; partial output is removed.
func Extract(ctx context.Context, path string, t Type, dst string, o Options) (Stats, error) {
	panic("to be written")
}

// Measure reads an archive's headers without unpacking it, so that space can be checked first. For tgz it reads the whole
// stream.
func Measure(ctx context.Context, path string, t Type) (Stats, error) { panic("to be written") }

// StripWrapper moves the contents of a single wrapping folder up by one level when that folder is the only entry and
// has an entry whose name contains "appspec" (agent.md 10.4). It reports whether it did.
func StripWrapper(dir string) (bool, error) { panic("to be written") }

// Error is a defect of a bundle: which entry, and what is wrong with it.
type Error struct {
	Path    string // the bundle
	Entry   string // the entry within, "" when the whole archive is meant
	Message string
	Err     error
}
