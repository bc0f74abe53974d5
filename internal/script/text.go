package script

import (
	"bytes"
	"unicode/utf8"
)

const (
	esc = 0x1b
	bel = 0x07
	del = 0x7f
)

// Text returns a line of output as people should read it, and as JSON can hold it: without terminal escape sequences
// (colours, window titles, links) and control characters other than tabs, with bytes that are not UTF-8 replaced, and of a
// line that was written over again and again, such as a progress bar, what stood there at the end.
func Text(line []byte) string { return string(AppendText(nil, line)) }

// AppendText appends the [Text] of a line to dst. It is for logs, which take millions of lines.
func AppendText(dst, line []byte) []byte {
	if isPlain(line) {
		return append(dst, line...)
	}
	return append(dst, lastFrame(withoutControls(bytes.ToValidUTF8(line, []byte(string(utf8.RuneError)))))...)
}

// isPlain reports whether the line can stay as it is. Nearly every line can.
func isPlain(line []byte) bool {
	for _, b := range line {
		if b < ' ' && b != '\t' || b >= del {
			return false
		}
	}
	return true
}

// lastFrame returns what stands behind the last carriage return, except those at the end of the line.
func lastFrame(line []byte) []byte {
	line = bytes.TrimRight(line, "\r")
	return line[bytes.LastIndexByte(line, '\r')+1:]
}

// withoutControls removes escape sequences and control characters from valid UTF-8. Carriage returns stay.
func withoutControls(text []byte) []byte {
	clean := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == esc:
			size = sequenceLength(text, 2)
		case r >= 0x80 && r <= 0x9f: // one character for ESC and another: U+009B is "ESC ["
			size = sequenceLength(text, size)
		case r < ' ' && r != '\t' && r != '\r', r == del:
		default:
			clean = append(clean, text[:size]...)
		}
		text = text[size:]
	}
	return clean
}

// sequenceLength returns the length of the escape sequence at the start of b (ECMA-48), whose kind the second of its first
// two bytes tells: "ESC [ parameters final", a string ended by BEL or "ESC \", or ESC with one more character. The
// one-character forms have the same kind in their second byte, 0x40 higher. A sequence that is cut off reaches to the end.
func sequenceLength(b []byte, introducer int) int {
	if len(b) < introducer {
		return len(b)
	}
	kind, single := b[1], b[0] != esc
	if single {
		kind -= 0x40
	}
	switch kind {
	case '[':
		return controlLength(b)
	case ']', 'P', 'X', '^', '_':
		return stringLength(b)
	}
	if single {
		return introducer
	}
	n := 1
	for n < len(b) && b[n] >= 0x20 && b[n] <= 0x2f { // intermediate characters, as in "ESC ( B"
		n++
	}
	if n < len(b) && (b[n] < 0x30 || b[n] > 0x7e) {
		return n // it cannot belong to the sequence: a stray ESC does not swallow it
	}
	return min(n+1, len(b))
}

// controlLength measures "ESC [ parameters intermediates final". A byte that cannot belong to it ends it, so that a stray
// "ESC [" does not swallow the text behind it.
func controlLength(b []byte) int {
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return i + 1
		}
		if b[i] < 0x20 || b[i] > 0x7e {
			return i
		}
	}
	return len(b)
}

// stringLength measures "ESC ] text BEL" and its relatives.
func stringLength(b []byte) int {
	for i := 2; i < len(b); i++ {
		switch {
		case b[i] == bel:
			return i + 1
		case b[i] == esc && i+1 < len(b) && b[i+1] == '\\', b[i] == 0xc2 && i+1 < len(b) && b[i+1] == 0x9c:
			return i + 2
		case b[i] == esc:
			return i
		}
	}
	return len(b)
}
