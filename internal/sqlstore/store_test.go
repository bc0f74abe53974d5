package sqlstore

import (
	"log/slog"
	"path/filepath"
	"testing"

	"grapnel/internal/store"
	"grapnel/internal/store/pgtest"
	"grapnel/internal/store/storetest"
)

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	conform(t, func(t *testing.T) *Store { return open(t, filepath.Join(t.TempDir(), "grapnel.db")) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	conform(t, func(t *testing.T) *Store { return open(t, cluster.Database(t)) })
}

func conform(t *testing.T, open func(t *testing.T) *Store) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
	storetest.RunQuotas(t, func(t *testing.T, q store.Quotas) store.Store {
		s := open(t)
		s.Quotas = q
		return s
	})
	storetest.RunNotices(t, func(t *testing.T, noticed func()) store.Store {
		s := open(t)
		s.Noticed = noticed
		return s
	})
}
