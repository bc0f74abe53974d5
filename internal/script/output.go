package script

import (
	"bufio"
	"errors"
	"io"
	"os"
	"sync"
	"time"
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

// readLines hands the stream's lines to line until it ends. The lock keeps the two streams' calls apart.
func (o *output) readLines(line func(stream string, line []byte), lock *sync.Mutex) {
	defer close(o.done)
	reader := bufio.NewReaderSize(o.pipe, MaxLine)
	for {
		piece, err := reader.ReadSlice('\n')
		if err == nil {
			piece = piece[:len(piece)-1]
		}
		if line != nil && (err == nil || len(piece) > 0) {
			lock.Lock()
			line(o.name, piece)
			lock.Unlock()
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			o.ended = err == io.EOF
			return
		}
	}
}

// stop ends the reading after at most wait and closes the pipe.
func (o *output) stop(wait time.Duration) {
	o.pipe.SetReadDeadline(time.Now().Add(wait))
	<-o.done
	o.pipe.Close()
}
