package script

import (
	"bytes"
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
		t.kept = append(t.kept[:0], lastLines(t.kept, keep)...)
	}
	line = bytes.TrimRight(line, "\r")
	if len(line) > keep {
		line = line[len(line)-keep:]
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		line = AppendText(nil, line) // now, because what was written over the line was not written over the prefix
	}
	t.kept = append(append(append(t.kept, prefix...), line...), '\n')
}

// lastLines returns the last n bytes of text without the line that they begin in the middle of, unless it is the only one.
func lastLines(text []byte, n int) []byte {
	text = text[len(text)-n:]
	if i := bytes.IndexByte(text, '\n') + 1; i < len(text) {
		return text[i:]
	}
	return text
}

// String returns the lines as [Text], oldest first. A line that would fill the tail by itself loses its beginning: the
// newer lines keep their place, and errors are at the end.
func (t *Tail) String() string {
	var text string
	for rest := t.kept; len(rest) > 0; {
		rest = rest[:len(rest)-1] // its newline
		begin := bytes.LastIndexByte(rest, '\n') + 1
		line := Text(rest[begin:]) + "\n"
		if room := t.limit() - 1 - len(text); len(line) > room {
			if len(line) >= t.limit() {
				text = lastBytes(line, room) + text
			}
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
