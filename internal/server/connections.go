package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections is a listener that bounds how many connections are open, so that they never use up the files that the database
// and the bundles need.
//
//	         Accept            headers read             reply sent
//	(none) ─────────► waiting ─────────────► serving ─────────────► waiting
//	                     │                       │
//	                     └── closed: by the client, a time limit, or, waiting ones only, for a newcomer when all are taken
//
// Whoever opens many connections and says nothing on them takes only such places as he loses to the next that comes.
type connections struct {
	net.Listener
	max int
	log *slog.Logger

	mu      sync.Mutex
	open    int
	waiting map[net.Conn]time.Time // since when
	told    time.Time              // when the log was last told that all were taken
}

func newConnections(l net.Listener, most int, log *slog.Logger) *connections {
	return &connections{Listener: l, max: most, log: log, waiting: map[net.Conn]time.Time{}}
}

// Accept returns the next connection that there is a place for; others are closed.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c.admit() {
			return conn, nil
		}
		cut(conn)
	}
}

// admit takes a place, which changed gives back.
func (c *connections) admit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.max {
		c.tell()
		if !c.makeRoom() {
			return false
		}
	}
	c.open++
	return true
}

// sampled is how many connections are looked at for the one to close.
const sampled = 8

// makeRoom closes the one of some that waits longest: a client that has just connected is about to send its request.
func (c *connections) makeRoom() bool {
	var longest net.Conn
	seen := 0
	for conn, since := range c.waiting { // in an order that is different each time
		if longest == nil || since.Before(c.waiting[longest]) {
			longest = conn
		}
		if seen++; seen == sampled {
			break
		}
	}
	if longest == nil {
		return false
	}
	delete(c.waiting, longest)
	cut(longest)
	return true
}

// tellEvery is how often the log says the same.
const tellEvery = time.Minute

func (c *connections) tell() {
	if now := time.Now(); now.Sub(c.told) > tellEvery {
		c.told = now
		c.log.Warn("all connections are in use: new ones take the place of those that wait, and are refused when none does; "+
			"raise --max-connections and the limit of open files (ulimit -n), or look who connects",
			"connections", c.open, "waiting", len(c.waiting))
	}
}

// cut closes a connection at once: a TLS connection would first say goodbye, for up to five seconds.
func cut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close() //nolint:errcheck // there is nobody to tell
}

// changed is the ConnState of the http.Server that serves the listener.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		c.waiting[conn] = time.Now()
	case http.StateActive:
		delete(c.waiting, conn)
	case http.StateClosed, http.StateHijacked:
		delete(c.waiting, conn)
		c.open--
	}
}
