package sqlstore

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

const workColumns = `id, target, phase, step, event, runner, status, issued_at, acked_at, ended_at,
	due, timeout, error_code, script_name, message, log_tail`

// workFields are the destinations of workColumns.
func workFields(w *deploy.Work) []any {
	return []any{&w.ID, &w.Target, &w.Phase, &w.Step, &w.Event, &w.By, &w.Status, instant{&w.IssuedAt}, instant{&w.AckedAt},
		instant{&w.EndedAt}, instant{&w.Due}, &w.Timeout, &w.ErrorCode, &w.ScriptName, &w.Message, &w.LogTail}
}

func scanWork(row scanner) (w deploy.Work, err error) {
	err = row.Scan(workFields(&w)...)
	return w, err
}

const selectTarget = `SELECT t.target, t.status, t.step, t.failure, coalesce(h.last_seen_at, 0), t.updated_at, t.ended_at
	FROM targets t LEFT JOIN hosts h ON h.name = t.target `

func scanTarget(row scanner) (t store.Target, err error) {
	err = row.Scan(&t.ID, &t.Status, &t.Step, document{&t.Failure}, instant{&t.LastSeen}, instant{&t.UpdatedAt},
		instant{&t.EndedAt})
	return t, err
}

// Targets implements store.Deployments.
func (s *Store) Targets(ctx context.Context, deployment string, ids ...string) (targets []store.Target, err error) {
	err = s.view(ctx, func(t *tx) error {
		if _, err := one(t, column[string], `SELECT id FROM deployments WHERE id = $1`, deployment); err != nil {
			return fmt.Errorf("deployment %s: %w", deployment, err)
		}
		where, args := ofDeployment("t", deployment, ids)
		if targets, err = list(t, scanTarget, selectTarget+where+` ORDER BY t.ordinal`, args...); err != nil {
			return err
		}
		index := make(map[string]*store.Target, len(targets))
		for i := range targets {
			index[targets[i].ID] = &targets[i]
		}
		where, args = ofDeployment("w", deployment, ids)
		work, err := list(t, scanWork, `SELECT `+workColumns+` FROM work w`+where+` ORDER BY w.issued_at, w.phase, w.step`, args...)
		for _, w := range work {
			if target := index[w.Target]; target != nil {
				target.Work = append(target.Work, w)
			}
		}
		return err
	})
	return targets, err
}

// ofDeployment selects rows of a deployment, of the given targets when there are any.
func ofDeployment(table, deployment string, targets []string) (string, []any) {
	var c conditions
	c.add(table+`.deployment_id = ?`, deployment)
	if len(targets) > 0 {
		c.add(table+`.target IN (`+repeatMarks(len(targets))+`)`, anys(targets)...)
	}
	return c.where()
}

// silentQuery are the arguments of Silent.
type silentQuery struct {
	deployment string
	since      int64
	limit      int
}

// Silent implements store.Deployments.
func (s *Store) Silent(ctx context.Context, deployment string, since time.Time, limit int) ([]deploy.Target, error) {
	q := silentQuery{deployment, micros(since), limit}
	return recall(s, &s.silent, q, func() ([]deploy.Target, error) { return s.readSilent(ctx, q) })
}

func (s *Store) readSilent(ctx context.Context, q silentQuery) ([]deploy.Target, error) {
	scan := func(row scanner) (t deploy.Target, err error) {
		err = row.Scan(&t.ID, instant{&t.LastSeen})
		return t, err
	}
	return readList(ctx, s, scan, `SELECT w.target, coalesce(h.last_seen_at, 0)
		FROM work w LEFT JOIN hosts h ON h.name = w.target
		WHERE w.deployment_id = $1 AND NOT w.settled AND w.status = 'Pending' AND w.runner = 0 AND coalesce(h.last_seen_at, 0) < $2
		ORDER BY w.target LIMIT $3`, q.deployment, q.since, q.limit)
}
