package script

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// TailLimit is the length in bytes that the log of a completion's diagnostics stays below (agent.md 4.7, 9.6).
const TailLimit = 2048

// truncated stands where the beginning of an over-long line was.
const truncated = "…"

// Tail keeps the newest lines of a log: whole ones, as many as stay below its limit together. The zero value has the limit
// TailLimit and is ready to use. It is not safe for concurrent use.
//
// Adding only copies bytes, because scripts write hundreds of megabytes of which nobody reads more than the end. What is
// kept is several times the limit, for lines that get shorter as text.
type Tail struct {
	Limit int // length in bytes that String stays below; 0 = TailLimit
	kept  []byte
}

// Add appends a line that begins with prefix; a newline is added.
func (t *Tail) Add(prefix string, line []byte) {
	keep := 4 * t.limit()
	if len(t.kept) > 4*keep {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-keep:]...)
	}
	if len(line) > keep {
		line = line[len(line)-keep:]
	}
	t.kept = append(append(append(t.kept, prefix...), line...), '\n')
}

// String returns the lines as [Text], oldest first. A line that would fill the tail by itself loses its beginning, not the
// others their place and not its end: errors are at the end.
func (t *Tail) String() string {
	var text string
	for rest := t.kept; len(rest) > 0; {
		rest = rest[:len(rest)-1] // its newline
		begin := bytes.LastIndexByte(rest, '\n') + 1
		line := Text(rest[begin:]) + "\n"
		if len(line) >= t.limit() {
			line = lastBytes(line, t.limit()-1)
		}
		if len(line)+len(text) >= t.limit() {
			break
		}
		text, rest = line+text, rest[:begin]
	}
	return text
}

func (t *Tail) limit() int {
	if t.Limit > 0 {
		return t.Limit
	}
	return TailLimit
}

// Text returns a line of output as people should read it, and as JSON can hold it: without terminal escape sequences, and
// with bytes that are not UTF-8 replaced.
func Text(line []byte) string {
	return strings.ToValidUTF8(string(stripANSI(line)), string(utf8.RuneError))
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
