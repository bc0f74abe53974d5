package sqlstore

import (
	"slices"

	"grapnel/internal/store"
)

// quota is one bound on what a transaction creates.
type quota struct {
	what  string // see store.QuotaError
	most  int    // 0 is no bound
	count string // counts what there is, with args
	args  []any
}

// within runs create and takes it back with *store.QuotaError when there is then more than a quota allows. It counts
// afterwards, so that what exists already is reported as that and not as too much. It must come first in its transaction:
// one of PostgreSQL sees the moment of its first statement other than LOCK, and two that did not wait for one another
// before it would both find room for the last one.
func (t *tx) within(quotas []quota, create func() error) error {
	quotas = slices.DeleteFunc(quotas, func(q quota) bool { return q.most == 0 })
	if len(quotas) > 0 {
		if err := t.alone(); err != nil {
			return err
		}
	}
	if err := create(); err != nil {
		return err
	}
	for _, q := range quotas {
		n, err := one(t, column[int], q.count, q.args...)
		if err != nil {
			return err
		}
		if n > q.most {
			return &store.QuotaError{What: q.what, Most: q.most}
		}
	}
	return nil
}

// alone waits until no other transaction counts or replaces. What it then sees is what they left behind, if it comes first.
func (t *tx) alone() error {
	if t.counting == "" {
		return nil
	}
	_, err := t.exec(t.counting)
	return err
}
