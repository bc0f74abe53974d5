// Package sqlstore keeps package store's rows in SQLite or PostgreSQL, from one SQL text.
//
// Both engines accept $n parameters (also reused), ON CONFLICT and RETURNING; what differs is in dialect.go. Times are
// microseconds, JSON is text that is never queried inside, and what is queried has a column of its own.
//
// How writes become durable differs, and is hidden behind database: SQLite has one writer that commits many of them at
// once (sqlite.go), PostgreSQL runs each in a transaction of its own and repeats it when another one got in between
// (postgres.go). A write is therefore a function that may run more than once: it may not count, append or send.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// ErrClosed is what a read or a write gets after Close.
var ErrClosed = errors.New("the store is closed")

// Store is a store.Store on SQLite or PostgreSQL.
type Store struct {
	database
	plans       *plans
	deployments recent[string, store.Deployment]
	silent      recent[silentQuery, []deploy.Target]
	identities  atomic.Uint64 // see IdentityVersion
	// Quotas are set before the store is used; the zero value bounds nothing.
	Quotas store.Quotas
	// Noticed is told after a write that notices wait to be taken; it must not block. It is set before the store is used.
	// Without it, no notices are queued: nobody would send them.
	Noticed func()
}

var _ store.Store = (*Store)(nil)

// database is where transactions run.
type database interface {
	// look runs fn, which reads with one statement.
	look(ctx context.Context, fn func(*tx) error) error
	// view runs fn in a transaction that sees one moment and changes nothing.
	view(ctx context.Context, fn func(*tx) error) error
	// update runs fn in a transaction that is durable when update returns nil, and leaves no trace otherwise. fn may run
	// more than once.
	update(ctx context.Context, fn func(*tx) error) error
	// written counts the writes that were committed, before their callers know. known is false where other processes write
	// too, so that there is no such number.
	written() (n uint64, known bool)
	Ping(ctx context.Context) error
	// Close lets what is under way end and refuses the rest with ErrClosed.
	Close() error
}

// Open opens the database and brings its schema up to date. A dsn that begins with postgres:// or postgresql:// names a
// PostgreSQL database, anything else is the path of an SQLite file, created when it does not exist.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Store, error) {
	open := openSQLite
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		open = openPostgres
	}
	db, err := open(ctx, dsn, log)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{database: db, plans: newPlans()}, nil
}
