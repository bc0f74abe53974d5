// Package sdnotify tells systemd how this service is: ready, stopping, alive, and one line for `systemctl status`
// (sd_notify(3), sd_watchdog_enabled(3)). Where systemd did not start the process, every call does nothing.
//
// The usual library looks its socket up in the environment at every call. An agent hands its environment to the scripts of
// customers, and what those start would answer the watchdog in the agent's place or take itself for watched; so the
// variables are read once and removed.
package sdnotify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier is the line to systemd. Nil, like one without a socket, tells nobody.
type Notifier struct {
	socket   string        // path, or with a leading @ the name of an abstract socket; "" without systemd
	watchdog time.Duration // systemd ends the service after this much silence; 0 without a watchdog
}

const (
	socketVariable   = "NOTIFY_SOCKET"
	intervalVariable = "WATCHDOG_USEC"
	watchedVariable  = "WATCHDOG_PID"
)

// FromEnvironment reads what systemd passed to this process and removes it from the environment, so that processes started
// later do not inherit it. The Notifier is usable in any case; the error names a variable that made no sense.
func FromEnvironment() (*Notifier, error) {
	n := &Notifier{socket: os.Getenv(socketVariable)}
	watchdog, err := watchdogInterval(os.Getenv(intervalVariable), os.Getenv(watchedVariable))
	n.watchdog = watchdog
	if n.socket != "" && n.socket[0] != '/' && n.socket[0] != '@' {
		err = errors.Join(err, fmt.Errorf("%s=%q is no Unix socket; systemd will not hear of this service", socketVariable, n.socket))
		n.socket = ""
	}
	for _, name := range []string{socketVariable, intervalVariable, watchedVariable} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	return n, err
}

// watchdogInterval is 0 when there is no watchdog, or when another process is the one that it watches.
func watchdogInterval(microseconds, watched string) (time.Duration, error) {
	if microseconds == "" || (watched != "" && watched != strconv.Itoa(os.Getpid())) {
		return 0, nil
	}
	n, err := strconv.ParseInt(microseconds, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/int64(time.Microsecond) {
		return 0, fmt.Errorf("%s=%q is no number of microseconds; the watchdog gets no answer", intervalVariable, microseconds)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// Ready ends the start of the service (Type=notify): units that wait for it go on.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Stopping says that the service ends by itself or as told, and what it still waits for.
func (n *Notifier) Stopping(status string) error { return n.send("STOPPING=1", statusLine(status)) }

// Watch answers the watchdog at half its interval until ctx ends, but only while alive reports true: a process whose loop
// hangs must fall silent, because silence is what makes systemd start it anew. It returns at once when there is no watchdog,
// and with ctx's end otherwise; that a single message is lost is no reason to end. While a service stops it is still watched:
// keep ctx and alive true until the last work is done.
func (n *Notifier) Watch(ctx context.Context, alive func() bool) {
	if n == nil || n.socket == "" || n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		if alive() {
			_ = n.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// statusLine keeps a text to one line: each further one would be an assignment of its own.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// send passes all assignments in one datagram. It dials anew each time, so that a systemd that executed itself anew is found.
func (n *Notifier) send(assignments ...string) error {
	if n == nil || n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot tell systemd %s: %w", assignments[0], err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("cannot tell systemd %s: %w", assignments[0], err)
	}
	return nil
}
