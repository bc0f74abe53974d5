package script

import (
	"strings"
	"unicode/utf8"
)

// TailLimit is the length in bytes that the log of a completion's diagnostics stays below (agent.md 4.7, 9.6).
const TailLimit = 2048

// truncated stands where the beginning of an over-long entry was.
const truncated = "…"

// Tail keeps the newest entries of a log: whole ones, as many as stay below its limit together. The zero value has the limit
// TailLimit and is ready to use. It is not safe for concurrent use.
type Tail struct {
	Limit   int // length in bytes that String stays below; 0 = TailLimit
	entries []string
	size    int
}

// Add appends an entry, to which a newline is added. Bytes that are not UTF-8 are replaced, since diagnostics are JSON. An
// entry that would fill the tail by itself loses its beginning, not the others their place and not its end: errors are at
// the end.
func (t *Tail) Add(entry string) {
	entry = strings.ToValidUTF8(entry, string(utf8.RuneError)) + "\n"
	if len(entry) >= t.limit() {
		entry = lastBytes(entry, t.limit()-1)
	}
	t.entries = append(t.entries, entry)
	t.size += len(entry)
	for t.size >= t.limit() {
		t.size -= len(t.entries[0])
		t.entries[0] = "" // let go of its bytes: append keeps the array
		t.entries = t.entries[1:]
	}
}

// String returns the entries, oldest first.
func (t *Tail) String() string { return strings.Join(t.entries, "") }

func (t *Tail) limit() int {
	if t.Limit > 0 {
		return t.Limit
	}
	return TailLimit
}

// lastBytes returns the end of s, with a mark that something is missing, in at most n bytes of whole characters.
func lastBytes(s string, n int) string {
	if n < len(truncated) {
		return ""
	}
	from := len(s) - (n - len(truncated))
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return truncated + s[from:]
}
