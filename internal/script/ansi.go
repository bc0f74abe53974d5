package script

import "bytes"

const (
	esc = 0x1b
	bel = 0x07
)

// stripANSI removes terminal escape sequences, such as colours and window titles, from a line. It returns line itself when
// there are none.
func stripANSI(line []byte) []byte {
	next := bytes.IndexByte(line, esc)
	if next < 0 {
		return line
	}
	clean := make([]byte, 0, len(line))
	for next >= 0 {
		clean = append(clean, line[:next]...)
		line = line[next+sequenceLength(line[next:]):]
		next = bytes.IndexByte(line, esc)
	}
	return append(clean, line...)
}

// sequenceLength returns the length of the escape sequence at the start of b (ECMA-48): "ESC [ parameters final", a string
// ended by BEL or "ESC \", or ESC with one more character. A sequence that is cut off reaches to the end of b.
func sequenceLength(b []byte) int {
	if len(b) < 2 {
		return len(b)
	}
	switch b[1] {
	case '[':
		return controlLength(b)
	case ']', 'P', 'X', '^', '_':
		return stringLength(b)
	}
	n := 1
	for n < len(b) && b[n] >= 0x20 && b[n] <= 0x2f { // intermediate characters, as in "ESC ( B"
		n++
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
		if b[i] == bel {
			return i + 1
		}
		if b[i] == esc {
			if i+1 < len(b) && b[i+1] == '\\' {
				return i + 2
			}
			return i
		}
	}
	return len(b)
}
