package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// update runs a write. With the first one of an audited request comes its record, in the same transaction (store.Audit).
func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	audit := store.AuditOf(ctx)
	record, ok := audit.Change(time.Now())
	if !ok {
		return s.database.update(ctx, fn)
	}
	err := s.database.update(ctx, func(t *tx) error {
		if err := fn(t); err != nil {
			return err
		}
		return insertAudit(t, record)
	})
	if err == nil {
		audit.Stored()
	}
	return err
}

// insertAudit stores records. It comes last in a transaction: from here to the commit only one transaction at a time goes
// on, so that places become visible in their order.
func insertAudit(t *tx, records ...awsapi.AuditRecord) error {
	if t.oneByOne != "" {
		if _, err := t.exec(t.oneByOne); err != nil {
			return err
		}
	}
	for _, r := range records {
		_, err := t.exec(`INSERT INTO audit (at, who, name, access_key, source, action, resources, request_id, result, message)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			micros(r.Time.Time), r.Who, lastPart(r.Who), r.AccessKey, r.Source, r.Action, document{r.Resources}, r.RequestId, r.Result, r.Message)
		if err != nil {
			return fmt.Errorf("store the audit record: %w", err)
		}
	}
	return nil
}

// lastPart is the name in an ARN: what follows its last slash.
func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// AppendAudit implements store.AuditLog.
func (s *Store) AppendAudit(ctx context.Context, records []awsapi.AuditRecord) error {
	return s.database.update(ctx, func(t *tx) error { return insertAudit(t, records...) })
}

// AuditRecords implements store.AuditLog.
func (s *Store) AuditRecords(ctx context.Context, f store.AuditFilter) (records []awsapi.AuditRecord, err error) {
	err = s.view(ctx, func(t *tx) error {
		records, err = auditRecords(t, f)
		return err
	})
	return records, err
}

// auditRecords selects in the order of places, by an index that leads to the rows wanted whatever else there is. A prefix has no
// such index: the actions that begin with it are looked up, of which there are few, and what each has is put together.
func auditRecords(t *tx, f store.AuditFilter) ([]awsapi.AuditRecord, error) {
	if f.Prefix == "" {
		return selectAudit(t, f)
	}
	actions, err := actionsWith(t, f.Prefix)
	if err != nil {
		return nil, err
	}
	var all []awsapi.AuditRecord
	for _, action := range actions {
		f.Action = action
		some, err := selectAudit(t, f)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b awsapi.AuditRecord) int {
		if f.Oldest {
			a, b = b, a
		}
		return cmp.Compare(b.Place, a.Place)
	})
	return all[:min(int64(len(all)), limited(f.Limit))], nil
}

// actionsWith returns the recorded actions that begin with prefix, going from one to the next in the index.
func actionsWith(t *tx, prefix string) (actions []string, err error) {
	for last := ""; ; {
		last, err = one(t, column[string], `SELECT coalesce(min(action), '') FROM audit WHERE action >= $1 AND action > $2`, prefix, last)
		if err != nil || !strings.HasPrefix(last, prefix) {
			return actions, err
		}
		actions = append(actions, last)
	}
}

func selectAudit(t *tx, f store.AuditFilter) ([]awsapi.AuditRecord, error) {
	var c conditions
	if f.After > 0 {
		c.add(`place > ?`, f.After)
	}
	if f.Before > 0 {
		c.add(`place < ?`, f.Before)
	}
	if f.Who != "" {
		c.add(`name = ?`, lastPart(f.Who))
	}
	if strings.Contains(f.Who, "/") {
		c.add(`who = ?`, f.Who)
	}
	if f.Action != "" {
		c.add(`action = ?`, f.Action)
	}
	// Places and times grow together, but for requests that were served at once: those around the edge are looked at one by
	// one, so that the rest needs no other order than that of places.
	if !f.Since.IsZero() {
		c.add(`at >= ? AND place >= (SELECT min(place) FROM (SELECT place FROM audit WHERE at >= ? ORDER BY at LIMIT 1000) AS edge)`,
			micros(f.Since), micros(f.Since))
	}
	if !f.Until.IsZero() {
		c.add(`at < ? AND place <= (SELECT max(place) FROM (SELECT place FROM audit WHERE at < ? ORDER BY at DESC LIMIT 1000) AS edge)`,
			micros(f.Until), micros(f.Until))
	}
	order := ` ORDER BY place DESC`
	if f.Oldest {
		order = ` ORDER BY place`
	}
	where, args := c.where()
	args = append(args, limited(f.Limit))
	return list(t, scanAudit, `SELECT place, at, who, access_key, source, action, resources, request_id, result, message FROM audit`+
		where+order+fmt.Sprintf(` LIMIT $%d`, len(args)), args...)
}

func scanAudit(row scanner) (r awsapi.AuditRecord, err error) {
	err = row.Scan(&r.Place, instant{&r.Time.Time}, &r.Who, &r.AccessKey, &r.Source, &r.Action, document{&r.Resources}, &r.RequestId, &r.Result, &r.Message)
	return r, err
}

// PruneAudit implements store.AuditLog.
func (s *Store) PruneAudit(ctx context.Context, before time.Time, limit int) (pruned int64, err error) {
	err = s.database.update(ctx, func(t *tx) error {
		pruned, err = t.exec(`DELETE FROM audit WHERE place IN (SELECT place FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`, micros(before), limited(limit))
		return err
	})
	return pruned, err
}
