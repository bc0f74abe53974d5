package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// postgresConns is below PostgreSQL's default of 100, so that two servers and an operator fit in.
	postgresConns = 40
	// maxAttempts is far more than a write needs: each time one of those in the way has been stored.
	maxAttempts = 100
)

// postgresDB runs every write in a transaction of its own, at REPEATABLE READ: a row that another transaction has changed
// since is not overwritten but makes the write begin anew.
type postgresDB struct {
	pool   *sql.DB
	closed atomic.Bool
}

func openPostgres(ctx context.Context, dsn string, log *slog.Logger) (database, error) {
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	// Of several servers that start at once, one migrates and the others wait.
	locker, err := lock.NewPostgresSessionLocker()
	if err == nil {
		err = migrate(ctx, pool, goose.DialectPostgres, "postgres", log, goose.WithSessionLocker(locker))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("PostgreSQL: %w", err), pool.Close())
	}
	return &postgresDB{pool: pool}, nil
}

// look implements database.
func (db *postgresDB) look(ctx context.Context, fn func(*tx) error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	return fn(&tx{ctx, db.pool, postgresDialect})
}

// written implements database.
func (db *postgresDB) written() (uint64, bool) { return 0, false }

// view implements database.
func (db *postgresDB) view(ctx context.Context, fn func(*tx) error) error {
	return db.run(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn)
}

// update implements database.
func (db *postgresDB) update(ctx context.Context, fn func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		err := db.run(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}, fn)
		if !isRetry(err) || attempt == maxAttempts {
			return err
		}
		select {
		case <-time.After(rand.N(time.Duration(min(attempt, 20)) * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (db *postgresDB) run(ctx context.Context, opts *sql.TxOptions, fn func(*tx) error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	on, err := db.pool.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	// After Commit it does nothing. Its error is not needed: the first one says why, and a broken connection ends the
	// transaction as well. Deferred, so that a panic does not keep the connection.
	defer on.Rollback() //nolint:errcheck
	if err := fn(&tx{ctx, on, postgresDialect}); err != nil {
		return err
	}
	return on.Commit()
}

// Ping implements database.
func (db *postgresDB) Ping(ctx context.Context) error { return db.pool.PingContext(ctx) }

// Close implements database.
func (db *postgresDB) Close() error {
	db.closed.Store(true)
	return db.pool.Close()
}
