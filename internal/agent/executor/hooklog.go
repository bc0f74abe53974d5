package executor

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"time"

	"grapnel/internal/agent/logfile"
	"grapnel/internal/script"
)

// hookLog takes the output of one event's scripts: to the deployment's scripts.log, to the log of all deployments, and as a
// short tail to the service. Lines are gathered and written when there are many or after a moment, so that a script which
// writes hundreds of megabytes is not slowed down, and one which writes little can be watched.
type hookLog struct {
	deployment string
	scripts    *logfile.Sized
	all        *logfile.Sized // nil when the configuration switches it off
	log        *slog.Logger

	mu         sync.Mutex
	scriptsBuf []byte
	allBuf     []byte
	tail       script.Tail
	lastError  []byte // newest line of stderr
	stamps     stamps
	text       []byte // of the current line
	broken     bool   // a write failed, and it was said

	stop     chan struct{}
	flushing sync.WaitGroup
}

const (
	logsKept      = 8 // files of each log of output (agent.md 9.6, 11)
	hookLogBuffer = 256 << 10
	hookLogPeriod = 200 * time.Millisecond
)

func (e *Executor) newHookLog(d *Deployment) *hookLog {
	l := &hookLog{
		deployment: d.ID,
		scripts:    &logfile.Sized{Path: e.ScriptsLog(d), Keep: logsKept, Modes: e.modes.Output},
		all:        e.deployments,
		log:        e.log,
		stop:       make(chan struct{}),
	}
	l.flushing.Go(l.flushNowAndThen)
	return l
}

func (l *hookLog) flushNowAndThen() {
	ticker := time.NewTicker(hookLogPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			l.flush()
			l.mu.Unlock()
		}
	}
}

// close writes what is left.
func (l *hookLog) close() {
	close(l.stop)
	l.flushing.Wait()
	l.flush()
	l.scripts.Close()
}

// line takes one line, as text: colours and broken characters are of no use in a log.
func (l *hookLog) line(prefix string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = script.AppendText(l.text[:0], text)
	text = l.text
	l.stamps.set(time.Now())
	l.scriptsBuf = append(l.scriptsBuf, l.stamps.seconds...)
	l.scriptsBuf = append(append(append(l.scriptsBuf, prefix...), text...), '\n')
	if l.all != nil {
		l.allBuf = append(append(append(l.allBuf, l.stamps.millis...), '['), l.deployment...)
		l.allBuf = append(append(append(append(l.allBuf, ']'), prefix...), text...), '\n')
	}
	l.tail.Add(prefix, text)
	if len(l.scriptsBuf) >= hookLogBuffer {
		l.flush()
	}
}

// output is called with each line of a script's output.
func (l *hookLog) output(stream string, text []byte) {
	if stream == script.Stdout {
		l.line(stdoutPrefix, text)
		return
	}
	l.line(stderrPrefix, text)
	if len(bytes.TrimSpace(text)) > 0 {
		l.lastError = append(l.lastError[:0], text...) // not concurrent with itself
	}
}

// What a line of output begins with (agent.md 9.6).
const (
	stdoutPrefix = "[stdout]"
	stderrPrefix = "[stderr]"
)

// flush writes the buffers. A log that cannot be written, because the disk is full say, must not fail the script.
func (l *hookLog) flush() {
	if len(l.scriptsBuf) > 0 {
		l.check(l.scripts.Write(l.scriptsBuf))
		l.scriptsBuf = l.scriptsBuf[:0]
	}
	if len(l.allBuf) > 0 {
		l.check(l.all.Write(l.allBuf))
		l.allBuf = l.allBuf[:0]
	}
}

func (l *hookLog) check(_ int, err error) {
	if err != nil && !l.broken {
		l.broken = true
		l.log.Warn("output of scripts is lost because a log cannot be written", slog.Any("error", err))
	}
}

// lastLines returns the tail of the output. The newest line of stderr is always in it: the two streams are read
// separately, so a script that has written much to stdout may have had its last words on stderr read before that.
func (l *hookLog) lastLines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lastError) > 0 && !strings.Contains(l.tail.String(), stderrPrefix+script.Text(l.lastError)) {
		l.tail.Add(stderrPrefix, l.lastError)
	}
	return l.tail.String()
}

// stamps are the time as the two logs write it, kept because formatting costs more than writing a line.
type stamps struct {
	at              int64 // milliseconds
	seconds, millis []byte
}

func (s *stamps) set(now time.Time) {
	if now.UnixMilli() == s.at {
		return
	}
	s.at = now.UnixMilli()
	s.seconds = now.AppendFormat(s.seconds[:0], "2006-01-02 15:04:05 ")
	s.millis = now.AppendFormat(s.millis[:0], "[2006-01-02 15:04:05.000] ")
}
