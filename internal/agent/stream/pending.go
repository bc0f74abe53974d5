package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

const (
	// maxPending bounds the lines that wait, in bytes.
	maxPending = 256 << 10
	// lineCost is what a line takes besides its text, in memory and on the wire.
	lineCost = 96
	// maxPiece is how much of a long line is sent as one, in bytes: two of them fill a payload.
	maxPiece = 3500
	// maxScript is how much of a script's location is sent, in bytes.
	maxScript = 128
)

// line is one line of output, or what is still to be sent of it, as the script wrote it.
type line struct {
	at             int64 // milliseconds since 1970
	script, stream string
	text           []byte
}

func (l line) cost() int { return lineCost + len(l.text) }

// pending is a queue of lines, of which the oldest are left out when there are too many.
type pending struct {
	lines []line
	size  int                        // cost of them
	lost  struct{ lines, bytes int } // left out since the last payload, before lines
}

// push adds a line.
func (p *pending) push(at int64, script, stream string, text []byte) {
	var spare []byte // memory of a line that is left out: a script that writes fast needs no more
	for len(p.lines) > 0 && p.size+lineCost+len(text) > maxPending {
		spare = p.leaveOut()
	}
	l := line{at, script, stream, append(spare[:0], text...)}
	p.lines = append(p.lines, l)
	p.size += l.cost()
}

// trim leaves out the oldest lines until no more than size is left.
func (p *pending) trim(size int) {
	for len(p.lines) > 0 && p.size > size {
		p.leaveOut()
	}
}

func (p *pending) leaveOut() (spare []byte) {
	oldest := p.lines[0].text
	p.lost.lines++
	p.lost.bytes += len(oldest)
	p.pop()
	return oldest
}

func (p *pending) pop() {
	p.size -= p.lines[0].cost()
	p.lines[0] = line{} // the array keeps its place, but not the text
	p.lines = p.lines[1:]
}

// finish empties the queue and returns how many lines it had.
func (p *pending) finish() (lines int) {
	lines = len(p.lines) + p.lost.lines
	*p = pending{}
	return lines
}

// payload takes as many lines as the JSON of an update of at most room bytes holds, "" when there are none. Room is at least
// leastRoom.
func (p *pending) payload(seq int64, room int) string {
	begin, end := fmt.Sprintf(`{"seq":%d,"log":[`, seq), "]}"
	room -= len(begin) + len(end)
	var log []byte
	if p.lost.lines > 0 {
		log = append(log, p.lostEntry()...)
		p.lost.lines, p.lost.bytes = 0, 0
	}
	for len(p.lines) > 0 {
		entry, rest := nextEntry(p.lines[0], room)
		if len(log) > 0 {
			entry = append([]byte{','}, entry...)
		}
		if len(log)+len(entry) > room {
			break
		}
		log = append(log, entry...)
		if rest == "" {
			p.pop()
			continue
		}
		p.size += len(rest) - len(p.lines[0].text)
		p.lines[0].text = []byte(rest)
	}
	if len(log) == 0 {
		return ""
	}
	return begin + string(log) + end
}

// lostEntry is the line in the place of those that were left out.
func (p *pending) lostEntry() []byte {
	text := fmt.Sprintf("… %d lines (%d bytes) are left out here: they came faster than they may be sent; scripts.log on the host has them",
		p.lost.lines, p.lost.bytes)
	var at int64
	if len(p.lines) > 0 {
		at = p.lines[0].at
	}
	return encode(awsapi.LogLine{Time: at, Text: text})
}

// nextEntry returns a line, or its first part, so that its JSON has at most room bytes, and the rest of its text.
func nextEntry(l line, room int) (entry []byte, rest string) {
	text := script.Text(l.text)
	for limit := maxPiece; ; limit /= 2 { // JSON may need six bytes for one
		piece := firstBytes(text, limit)
		entry = encode(awsapi.LogLine{Time: l.at, Script: location(l.script), Stream: l.stream, Text: piece})
		if len(entry) <= room || limit <= utf8.UTFMax {
			return entry, text[len(piece):]
		}
	}
}

// location returns the script's location as it is sent: short, and without what JSON needs many bytes for.
func location(script string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(script, "?"))
	return firstBytes(printable, maxScript)
}

// firstBytes returns at most the first n bytes of s, whole characters only.
func firstBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// encode returns the JSON of a line. Characters of HTML stay as they are: each would take six bytes.
func encode(l awsapi.LogLine) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(l) // a number and three texts always encode
	return bytes.TrimRight(b.Bytes(), "\n")
}
