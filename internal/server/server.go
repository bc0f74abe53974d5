// Package server puts the control plane together: one address, one handler, and what runs behind it. It is the only
// place that knows everything.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"grapnel/internal/audit"
	"grapnel/internal/auth"
	"grapnel/internal/engine"
	"grapnel/internal/hosts"
	"grapnel/internal/logs"
	"grapnel/internal/notify"
	"grapnel/internal/seal"
	"grapnel/internal/sigv4"
	"grapnel/internal/sqlstore"
)

// drainTime is how long requests that are under way may take after SIGTERM; agents and clients retry what is cut off.
const drainTime = 20 * time.Second

// Limits on what a client may make the server wait for or hold. Bodies have limits of their own, where they are read;
// there is no limit on the time of a whole request, because a poll is held and a bundle may be large.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeader is in bytes, and becomes 16 KiB: net/http adds 4 KiB. A presigned URL with a session token has 3 KiB.
	maxHeader = 12 << 10
)

// Server is a control plane that listens, and serves once Run is called.
type Server struct {
	opts     Options
	lock     *os.File
	listener net.Listener
	http     *http.Server
	store    *sqlstore.Store
	bundles  bundles
	engine   *engine.Engine
	hosts    *hosts.Service
	logs     *logs.Service
	audit    *audit.Log
	notices  *notify.Sender // nil when there is nobody to send them to
	chain    [][]byte       // of certificates, in DER, as clients are shown it; nil without TLS
	root     sigv4.Credentials
	draining atomic.Bool
}

// New opens or creates the data folder and listens. Everything that can be wrong with the options or the folder is
// told here, with what to do.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.DataDir, err = filepath.Abs(o.DataDir); err != nil {
		return nil, err
	}
	s := &Server{opts: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s (is another server running, or the address not of this machine?): %w", o.Listen, err)
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if s.lock, err = lockFolder(o.DataDir); err != nil {
		return nil, err
	}
	key, err := seal.LoadOrCreateKey(filepath.Join(o.DataDir, "secret.key"))
	if err != nil {
		return nil, err
	}
	if s.store, err = sqlstore.Open(ctx, o.database(), o.Log); err != nil {
		return nil, err
	}
	s.store.Quotas = o.Limits.Quotas()
	identities := auth.New(auth.Options{Store: s.store, Key: key, Region: o.Region, AccountID: o.AccountID})
	if s.root, err = identities.EnsureRoot(ctx, o.RootAccessKeyID, o.RootSecretAccessKey); err != nil {
		return nil, err
	}
	if err := s.encrypt(); err != nil {
		return nil, err
	}
	handler, err := s.assemble(ctx, identities, key)
	if err != nil {
		return nil, err
	}
	places := newConnections(s.listener, o.maxConnections(), o.Log)
	s.listener = places
	s.http = &http.Server{
		Handler: handler, ConnState: places.changed, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		// HTTP/2 costs three times the memory for each waiting agent.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	// Last of all: once the file is there, the server answers.
	return s, auth.WriteCredentials(s.credentialsFile(), s.root)
}

func (s *Server) credentialsFile() string { return filepath.Join(s.opts.DataDir, "credentials") }

// encrypt puts TLS on what is listened to, when the options ask for it.
func (s *Server) encrypt() error {
	if !s.opts.encrypted() {
		return nil
	}
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	s.chain = certificate.Certificate
	s.listener = tls.NewListener(s.listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	return nil
}

func (s *Server) certificate() (tls.Certificate, error) {
	if s.opts.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.opts.TLSCert, s.opts.TLSKey)
		if err != nil {
			return pair, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		return pair, nil
	}
	host, _, _ := net.SplitHostPort(s.opts.Listen) // checked with the options
	maker := selfSigned{
		dir: filepath.Dir(CAFile(s.opts.DataDir)), names: certificateNames(host, s.opts.Domain), now: time.Now(),
	}
	return maker.certificate()
}

// URL is the address for AWS_ENDPOINT_URL.
func (s *Server) URL() string {
	scheme := "http"
	if s.opts.encrypted() {
		scheme = "https"
	}
	addr := s.listener.Addr().(*net.TCPAddr)
	host, _, _ := net.SplitHostPort(s.opts.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // listening everywhere: the name that is right on this machine
	}
	return scheme + "://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// Root is the root access key.
func (s *Server) Root() sigv4.Credentials { return s.root }

// Environment is what points the aws CLI and the SDKs at the server, as NAME=value.
func (s *Server) Environment() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + s.URL(),
		"AWS_SHARED_CREDENTIALS_FILE=" + s.credentialsFile(),
		"AWS_REGION=" + s.opts.Region,
		"AWS_DEFAULT_REGION=" + s.opts.Region,
	}
	if s.opts.TLS != "" {
		env = append(env, "AWS_CA_BUNDLE="+CAFile(s.opts.DataDir))
	}
	return env
}

// Run serves until ctx ends, and then drains: it reports itself as not ready, lets held polls return, requests end and
// the round under way commit. It returns nil after that, or what ended it before.
func (s *Server) Run(ctx context.Context) error {
	s.opts.Log.Info("serving", "url", s.URL(), "data", s.opts.DataDir)
	group, running := errgroup.WithContext(ctx)
	// The engine outlives the requests: what they store while draining is still decided on, and what they did is recorded.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	group.Go(func() error { return s.engine.Run(engineCtx) })
	group.Go(func() error { return s.audit.Run(engineCtx) })
	if s.notices != nil {
		group.Go(func() error { return s.notices.Run(engineCtx) })
	}
	group.Go(func() error { return s.hosts.Run(running) })
	group.Go(func() error { return s.logs.Run(running) })
	group.Go(func() error { return s.reapUploads(running) })
	group.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		defer stopEngine()
		return s.drain()
	})
	err := group.Wait()
	return errors.Join(err, s.store.Close(), s.lock.Close())
}

// reapEvery is how often abandoned multipart uploads are looked for.
const reapEvery = time.Hour

func (s *Server) reapUploads(ctx context.Context) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		n, err := s.bundles.Reap(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.opts.Log.Error("abandoned uploads could not be dropped; it is tried again", "error", err)
		case n > 0:
			s.opts.Log.Info("dropped abandoned uploads", "uploads", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) drain() error {
	s.draining.Store(true)
	s.opts.Log.Info("draining", "at_most", drainTime)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.opts.Log.Warn("requests were cut off", "error", err)
		return s.http.Close()
	}
	return nil
}

// close gives back what New has opened when it fails half way.
func (s *Server) close() error {
	var errs []error
	if s.listener != nil {
		errs = append(errs, s.listener.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
