package script

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// drainTime is how long what a killed script has left in its pipes is still read. It is short because a process that left
// the group can hold a pipe open for ever, and long enough for 64 KiB.
const drainTime = 250 * time.Millisecond

// output is one stream of a running script.
type output struct {
	name  string
	pipe  *os.File      // our end
	done  chan struct{} // closed when the stream is at its end, or no longer read
	ended bool          // at its end; valid once done is closed
}

// receiver hands lines of both streams on, one at a time.
type receiver struct {
	mu   sync.Mutex
	line func(stream string, line []byte) // nil when nobody wants them, or no longer
}

func (r *receiver) take(stream string, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.line != nil {
		r.line(stream, line)
	}
}

// close makes sure that no line is handed on any more.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line = nil
}

// readLines hands the stream's lines to r until it ends. The buffer is all the memory that a stream takes, however long its
// lines are.
func (o *output) readLines(r *receiver) {
	defer close(o.done)
	buffer := make([]byte, MaxLine)
	for held := 0; ; {
		n, err := o.pipe.Read(buffer[held:])
		text := buffer[:held+n]
		for {
			line, rest, found := bytes.Cut(text, []byte{'\n'})
			if !found {
				break
			}
			r.take(o.name, line)
			text = rest
		}
		if len(text) == len(buffer) {
			piece := text[:splitPoint(text)]
			r.take(o.name, piece)
			text = text[len(piece):]
		}
		if err != nil {
			if len(text) > 0 {
				r.take(o.name, text)
			}
			o.ended = err == io.EOF
			return
		}
		held = copy(buffer, text)
	}
}

// maxSequence is the length in bytes of the longest escape sequence that is kept in one piece.
const maxSequence = 4 << 10

// splitPoint says where to split an over-long line that b is the beginning of: behind the last frame of a progress bar, and
// otherwise at the end, but not within an escape sequence or a character, whose halves nobody could recognize.
func splitPoint(b []byte) int {
	if i := bytes.LastIndexByte(b, '\r'); i > 0 {
		return i + 1
	}
	if i := bytes.LastIndexByte(b, esc); i > 0 && i >= len(b)-maxSequence && sequenceLength(b[i:], 2) == len(b)-i {
		return i
	}
	for i := len(b) - 1; i > len(b)-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// stop ends the reading after at most wait, and gives our end of the pipe back. Where a read cannot be interrupted, as on
// Windows, it goes on until the stream ends.
func (o *output) stop(wait time.Duration) {
	if o.pipe.SetReadDeadline(time.Now().Add(wait)) != nil {
		select {
		case <-o.done:
		case <-time.After(wait):
			return
		}
	}
	<-o.done
	o.pipe.Close()
}
