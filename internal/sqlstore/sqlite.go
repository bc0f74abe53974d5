package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// maxBatch is how many writes share one commit: beyond some hundred the sync is no longer what costs.
	maxBatch = 256
	// sqliteReaders is the number of connections that read: more of them than cores only wait for each other.
	sqliteReaders = 8
	// maxPrepared bounds the compiled statements of a connection; lists of filters make texts without end.
	maxPrepared = 200
)

// Before 3.51.3 SQLite can corrupt a WAL file when one connection writes while another one checkpoints. The driver holds
// its SQLite, so this is settled when the program is built: with an older one the constant is negative and does not compile.
const _ uint = sqlite3.SQLITE_VERSION_NUMBER - 3_051_003

// sqliteDB is one SQLite file: one connection that writes and several that read. In WAL mode they do not hinder each
// other. Statements run to their end whatever becomes of the caller's context: SQLite rolls the whole transaction back
// when a write is interrupted, which would take the other writes of the batch with it.
type sqliteDB struct {
	pool    *sql.DB // of the writer
	readers *sql.DB
	idle    chan *prepared // readers that nobody uses
	writer  *prepared

	commits atomic.Uint64

	mu      sync.RWMutex // held for reading while a write is queued, so that nobody queues one after Close
	queue   chan *pendingWrite
	closed  chan struct{}
	drained chan struct{}
}

// pendingWrite is a write with its waiting caller.
type pendingWrite struct {
	fn   func(*tx) error
	done chan error
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (database, error) {
	if err := ownFile(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"))
	if err != nil {
		return nil, err
	}
	readers, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	db := &sqliteDB{
		pool: pool, readers: readers, idle: make(chan *prepared, sqliteReaders),
		queue: make(chan *pendingWrite, maxBatch), closed: make(chan struct{}), drained: make(chan struct{}),
	}
	if err := db.start(ctx, log); err != nil {
		return nil, errors.Join(fmt.Errorf("SQLite file %s: %w", path, err), pool.Close(), readers.Close())
	}
	go db.write()
	return db, nil
}

// sqliteDSN names a file with the pragmas that every connection sets. A reader that meets a checkpoint, or a backup that
// holds the file, is waited for.
func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (db *sqliteDB) start(ctx context.Context, log *slog.Logger) error {
	if err := migrate(ctx, db.pool, goose.DialectSQLite3, "sqlite", log); err != nil {
		return err
	}
	var err error
	if db.writer, err = prepare(ctx, db.pool); err != nil {
		return err
	}
	for range sqliteReaders {
		reader, err := prepare(ctx, db.readers)
		if err != nil {
			return err
		}
		db.idle <- reader
	}
	return nil
}

// look implements database.
func (db *sqliteDB) look(ctx context.Context, fn func(*tx) error) error {
	select {
	case conn := <-db.idle:
		defer func() { db.idle <- conn }()
		return fn(&tx{context.WithoutCancel(ctx), conn, sqliteDialect})
	case <-db.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// written implements database. The folder's lock keeps other servers away from the file.
func (db *sqliteDB) written() (uint64, bool) { return db.commits.Load(), true }

// view implements database.
func (db *sqliteDB) view(ctx context.Context, fn func(*tx) error) error {
	return db.look(ctx, func(t *tx) (err error) {
		if _, err := t.exec("BEGIN"); err != nil {
			return err
		}
		// Deferred, so that a panic that somebody above recovers from does not leave the reader in this transaction.
		defer func() {
			_, end := t.exec("ROLLBACK")
			err = errors.Join(err, end)
		}()
		return fn(t)
	})
}

// update implements database.
func (db *sqliteDB) update(ctx context.Context, fn func(*tx) error) error {
	w := &pendingWrite{fn, make(chan error, 1)}
	if err := db.enqueue(ctx, w); err != nil {
		return err
	}
	// No way out by ctx: fn hands its results to the caller through variables they share.
	return <-w.done
}

func (db *sqliteDB) enqueue(ctx context.Context, w *pendingWrite) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	select {
	case <-db.closed:
		return ErrClosed
	default:
	}
	select {
	case db.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the one writer: it takes what waits, commits it at once, and tells everybody after that.
func (db *sqliteDB) write() {
	defer close(db.drained)
	t := &tx{context.Background(), db.writer, sqliteDialect}
	for first := range db.queue {
		batch := []*pendingWrite{first}
		for len(batch) < maxBatch && len(db.queue) > 0 {
			batch = append(batch, <-db.queue)
		}
		results := commitBatch(t, batch)
		db.commits.Add(1)
		for i, err := range results {
			batch[i].done <- err
		}
	}
}

// commitBatch runs the writes in one transaction and returns the error of each. A write that fails leaves nothing behind
// and does not harm the others; trouble with the transaction itself is everybody's, and then nothing is stored.
func commitBatch(t *tx, batch []*pendingWrite) []error {
	results := make([]error, len(batch))
	_, err := t.exec("BEGIN IMMEDIATE")
	for i := 0; err == nil && i < len(batch); i++ {
		results[i], err = isolate(t, batch[i].fn)
	}
	if err == nil {
		_, err = t.exec("COMMIT")
	}
	if err == nil {
		return results
	}
	// When the disk is full SQLite may have rolled back by itself; then this fails, and there is nothing left to do.
	_, _ = t.exec("ROLLBACK")
	for i := range results {
		results[i] = fmt.Errorf("nothing was stored: %w", err)
	}
	return results
}

// isolate runs one write so that its error undoes nothing but itself. broken says that the transaction is gone.
func isolate(t *tx, fn func(*tx) error) (failed, broken error) {
	if _, err := t.exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	if failed = recovered(t, fn); failed != nil {
		if _, err := t.exec("ROLLBACK TO one"); err != nil {
			return nil, failed
		}
	}
	_, broken = t.exec("RELEASE one")
	return failed, broken
}

// recovered runs one write and turns its panic into an error: on the writer's goroutine it would end the process, where a
// caller's own goroutine may have somebody who recovers.
func recovered(t *tx, fn func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(t)
}

// Ping implements database.
func (db *sqliteDB) Ping(ctx context.Context) error {
	return db.look(ctx, func(t *tx) error {
		_, err := one(t, column[int], "SELECT 1")
		return err
	})
}

// Close implements database.
func (db *sqliteDB) Close() error {
	if !db.refuse() {
		return nil
	}
	<-db.drained
	err := db.writer.close()
	for range sqliteReaders {
		err = errors.Join(err, (<-db.idle).close())
	}
	return errors.Join(err, db.readers.Close(), db.pool.Close())
}

// refuse lets nothing begin any more; false says that Close was called before.
func (db *sqliteDB) refuse() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	select {
	case <-db.closed:
		return false
	default:
	}
	close(db.closed)
	close(db.queue)
	return true
}

// prepared is one connection that keeps its statements compiled.
type prepared struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func prepare(ctx context.Context, pool *sql.DB) (*prepared, error) {
	conn, err := pool.Conn(ctx)
	return &prepared{conn, make(map[string]*sql.Stmt)}, err
}

// statement returns the compiled statement, nil when it is not worth keeping.
func (p *prepared) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	s, ok := p.statements[text]
	if ok || len(p.statements) >= maxPrepared {
		return s, nil
	}
	s, err := p.conn.PrepareContext(ctx, text)
	if err == nil {
		p.statements[text] = s
	}
	return s, err
}

// ExecContext implements executor.
func (p *prepared) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.conn.ExecContext(ctx, text, args...)
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements executor.
func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.conn.QueryContext(ctx, text, args...)
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) close() error {
	var err error
	for _, s := range p.statements {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, p.conn.Close())
}

// ownFile makes the file readable by its owner alone, also when its folder is not: it holds what scripts wrote. SQLite
// gives the files beside it the same mode.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}
