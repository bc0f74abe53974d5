package sim

import (
	"context"
	"errors"
	"time"

	"grapnel/internal/deploy"
	"grapnel/internal/engine"
	"grapnel/internal/hosts"
	"grapnel/internal/store"
)

var (
	errDown    = errors.New("the server was killed")
	errTrouble = errors.New("the store could not be reached")
)

// server is one life of the server, from its start until it is killed. What it held in memory dies with it.
type server struct {
	world   *world
	engine  *engine.Engine
	service *hosts.Service
	ctx     context.Context
	cancel  context.CancelFunc
}

// startServer begins a life of the server.
func (w *world) startServer() {
	s := &server{world: w}
	s.ctx, s.cancel = context.WithCancel(w.ctx)
	link := &link{laws: w.store, server: s}
	s.service = hosts.New(hosts.Options{
		Store: link, Region: "us-east-1", Account: "000000000000", Log: w.log, Hold: w.hold,
		Wake: func(id string) { s.engine.Wake(id) },
	})
	s.engine = engine.New(engine.Options{Store: link, Issued: s.service.Issued, Log: w.log})
	w.running.Go(func() {
		if err := s.engine.Run(s.ctx); err != nil {
			w.fail(err)
		}
	})
	w.server.Store(s)
}

func (s *server) dead() bool { return s.ctx.Err() != nil }

// kill ends this life at once; the next one begins some seconds later.
func (s *server) kill() {
	if !s.world.server.CompareAndSwap(s, nil) {
		return
	}
	s.cancel()
	s.world.kills.Add(1)
	down := time.Duration(s.world.intN(int(s.world.downtime)))
	s.world.running.Go(func() {
		if s.world.sleep(down) {
			s.world.startServer()
		}
	})
}

// link is a server's connection to the store. It fails now and then, before or after a call took effect, and it is where
// the server is killed.
type link struct {
	*laws
	server *server
}

// fault is what happens to one call.
type fault int

const (
	none fault = iota
	failBefore
	failAfter
	killBefore
	killAfter
)

// write passes on a call that changes something.
func (l *link) write(call func() error) error {
	if l.server.dead() {
		return errDown
	}
	fault := l.server.world.fault()
	switch fault {
	case failBefore:
		return errTrouble
	case killBefore:
		l.server.kill()
		return errDown
	}
	err := call()
	switch fault {
	case failAfter:
		return errTrouble
	case killAfter:
		l.server.kill()
	}
	if l.server.dead() {
		return errDown
	}
	return err
}

// read passes on a call that changes nothing.
func (l *link) read(call func() error) error {
	if l.server.dead() {
		return errDown
	}
	if l.server.world.fault() == failBefore {
		return errTrouble
	}
	return call()
}

func (l *link) Live(ctx context.Context) (ids []string, err error) {
	err = l.read(func() error { ids, err = l.laws.Live(ctx); return err })
	return ids, err
}

func (l *link) Load(ctx context.Context, id string) (s deploy.State, err error) {
	err = l.read(func() error { s, err = l.laws.Load(ctx, id); return err })
	return s, err
}

func (l *link) Commit(ctx context.Context, r store.Round) error {
	return l.write(func() error { return l.laws.Commit(ctx, r) })
}

func (l *link) Reprieve(ctx context.Context, until time.Time) error {
	return l.write(func() error { return l.laws.Reprieve(ctx, until) })
}

func (l *link) Deployment(ctx context.Context, id string) (d store.Deployment, err error) {
	err = l.read(func() error { d, err = l.laws.Deployment(ctx, id); return err })
	return d, err
}

// HandOver looks often and mostly finds nothing, so only what it finds may go wrong. In a steady world neither it nor the
// acknowledgement does: when both are lost, a Work is left that nobody runs (see package hosts).
func (l *link) HandOver(ctx context.Context, host string, at, again time.Time) (store.Command, error) {
	if l.server.dead() {
		return store.Command{}, errDown
	}
	c, err := l.laws.HandOver(ctx, host, at, again)
	if err != nil || l.server.world.steady {
		return c, err
	}
	switch l.server.world.fault() {
	case none:
	case killBefore, killAfter:
		l.server.kill()
		return store.Command{}, errDown
	default:
		return store.Command{}, errTrouble
	}
	return c, nil
}

func (l *link) Acknowledge(ctx context.Context, work string, noop bool, at time.Time) (c store.Command, first bool, err error) {
	if l.server.world.steady && !l.server.dead() {
		return l.laws.Acknowledge(ctx, work, noop, at)
	}
	err = l.write(func() error { c, first, err = l.laws.Acknowledge(ctx, work, noop, at); return err })
	return c, first, err
}

func (l *link) Complete(ctx context.Context, work string, status deploy.WorkStatus, d deploy.Diagnostics, at time.Time) error {
	return l.write(func() error { return l.laws.Complete(ctx, work, status, d, at) })
}
