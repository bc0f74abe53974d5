package sqlstore

import (
	"context"
	"database/sql"
	"math/bits"
	"strconv"
	"strings"

	"grapnel/internal/store"
)

// tx is one transaction.
type tx struct {
	ctx context.Context
	on  executor
	dialect
}

// executor is what runs statements: an *sql.Tx, or SQLite's prepared statements.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// exec runs a statement and returns the number of rows it changed.
func (t *tx) exec(text string, args ...any) (int64, error) {
	result, err := t.on.ExecContext(t.ctx, t.markers.Replace(text), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// must runs a statement that has to change a row: ErrNotFound if it does not.
func (t *tx) must(text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

// query calls scan for each row.
func (t *tx) query(scan func(scanner) error, text string, args ...any) error {
	rows, err := t.on.QueryContext(t.ctx, t.markers.Replace(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list returns what scan makes of each row.
func list[T any](t *tx, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	var all []T
	err := t.query(func(row scanner) error {
		one, err := scan(row)
		all = append(all, one)
		return err
	}, text, args...)
	return all, err
}

// one returns what scan makes of the first row; ErrNotFound when there is none.
func one[T any](t *tx, scan func(scanner) (T, error), text string, args ...any) (T, error) {
	all, err := list(t, scan, text, args...)
	if err == nil && len(all) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

// readList is list in a read of its own.
func readList[T any](ctx context.Context, db database, scan func(scanner) (T, error), text string, args ...any) (all []T, err error) {
	err = db.look(ctx, func(t *tx) error {
		all, err = list(t, scan, text, args...)
		return err
	})
	return all, err
}

// readOne is one in a read of its own.
func readOne[T any](ctx context.Context, db database, scan func(scanner) (T, error), text string, args ...any) (v T, err error) {
	err = db.look(ctx, func(t *tx) error {
		v, err = one(t, scan, text, args...)
		return err
	})
	return v, err
}

// column scans a row of one column.
func column[T any](row scanner) (T, error) {
	var v T
	err := row.Scan(&v)
	return v, err
}

// many runs head + rows + tail for all rows, as many in one statement as the engine likes, and returns how many rows were
// changed. row is the pattern of one row, with a ? for each value: "(?, CAST(? AS BIGINT))".
func (t *tx) many(head, row, tail string, rows [][]any) (int64, error) {
	var changed int64
	for len(rows) > 0 {
		// Powers of two keep the number of different texts small, so that the engine's statement cache holds them.
		n := min(t.rows, 1<<(bits.Len(uint(len(rows)))-1))
		var args []any
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		c, err := t.exec(head+repeat(row, n)+tail, args...)
		if err != nil {
			return 0, err
		}
		changed += c
		rows = rows[n:]
	}
	return changed, nil
}

// repeat returns n comma-separated copies of a pattern with its ? numbered from $1.
func repeat(pattern string, n int) string {
	var b strings.Builder
	parts := strings.Split(strings.Repeat(","+pattern, n)[1:], "?")
	for i, part := range parts {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}
