package sqlstore

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// dialect is what the two engines do not share in SQL.
type dialect struct {
	markers *strings.Replacer // {{lock}} and {{skip}} at the end of a SELECT whose rows are then written
	// rows is how many rows one statement should carry at most. SQLite is three times as fast with one prepared row at a
	// time as with long lists; PostgreSQL pays a round trip per statement.
	rows int
	// counting is run before a transaction counts what a quota bounds, "" when it needs nothing: see tx.within.
	counting string
	// oneByOne makes transactions wait for each other until the commit; "" where there is one writer anyway.
	oneByOne string
}

var (
	// SQLite's single writer is the lock.
	sqliteDialect   = dialect{strings.NewReplacer("{{lock}}", "", "{{skip}}", ""), 1, "", ""}
	postgresDialect = dialect{
		strings.NewReplacer("{{lock}}", "FOR UPDATE", "{{skip}}", "FOR UPDATE SKIP LOCKED"), 512,
		"LOCK TABLE quotas IN EXCLUSIVE MODE",
		"SELECT pg_advisory_xact_lock(7235420471)", // a number that nothing else in the database should use
	}
)

// isUnique reports whether a row with the same key exists.
func isUnique(err error) bool { return hasCode(err, "23505", 1555, 2067) }

// isReferenced reports whether a row refers to one that does not exist, or the reverse.
func isReferenced(err error) bool { return hasCode(err, "23503", 787) }

// isRetry reports whether a PostgreSQL transaction lost against another one and would do better alone. A key that exists
// already is among the reasons: a write that has an answer to it does not return this error, and others have looked for
// the row before they inserted it, so that it came in between; the next attempt will see it.
func isRetry(err error) bool {
	return hasCode(err, "40001") || hasCode(err, "40P01") || hasCode(err, "23505")
}

// hasCode reports whether err has PostgreSQL's code or one of SQLite's extended result codes.
func hasCode(err error, postgres string, sqliteCodes ...int) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code == postgres
	}
	var s *sqlite.Error
	if errors.As(err, &s) {
		for _, code := range sqliteCodes {
			if s.Code() == code {
				return true
			}
		}
	}
	return false
}
