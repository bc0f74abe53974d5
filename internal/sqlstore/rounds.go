package sqlstore

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

const (
	selectLive      = `SELECT id FROM deployments WHERE live ORDER BY created_at, id`
	selectUnsettled = `SELECT ` + workColumns + ` FROM work WHERE deployment_id = $1 AND NOT settled ORDER BY issued_at, id`
)

// Live implements store.Rounds.
func (s *Store) Live(ctx context.Context) ([]string, error) {
	return readList(ctx, s, column[string], selectLive)
}

// Load implements store.Rounds. It reads the Work that no decision has settled, so that what is finished costs nothing.
func (s *Store) Load(ctx context.Context, deployment string) (state deploy.State, err error) {
	err = s.view(ctx, func(t *tx) error {
		if state, err = one(t, scanState, `SELECT id, version, status, phase, phase_since, created_at, facts
			FROM deployments WHERE id = $1`, deployment); err != nil {
			return fmt.Errorf("deployment %s: %w", deployment, err)
		}
		if state.Plan, err = s.plans.load(t, deployment); err != nil {
			return err
		}
		if state.Targets, err = list(t, func(row scanner) (deploy.Target, error) {
			target, err := scanTarget(row)
			return target.Target, err
		}, selectTarget+`WHERE t.deployment_id = $1 ORDER BY t.ordinal`, deployment); err != nil {
			return err
		}
		state.Work, err = list(t, scanWork, selectUnsettled, deployment)
		return err
	})
	return state, err
}

func scanState(row scanner) (s deploy.State, err error) {
	err = row.Scan(&s.ID, &s.Version, &s.Status, &s.Phase, instant{&s.PhaseSince}, instant{&s.CreatedAt}, document{&s.Facts})
	return s, err
}

// Commit implements store.Rounds.
func (s *Store) Commit(ctx context.Context, r store.Round) error {
	return s.updateNoticing(ctx, func(t *tx) (noticed bool, err error) {
		for _, step := range []func(*tx, store.Round) error{
			moveDeployment, moveTargets, settleWork, issueWork, concludeGroup, replaceDeployment,
		} {
			if err := step(t, r); err != nil {
				return false, fmt.Errorf("commit round %d of deployment %s: %w", r.State.Version, r.State.ID, err)
			}
		}
		return s.notice(t, r.State.ID, r.Notices)
	})
}

// replaceDeployment stores the rollback that takes the place of the ended deployment.
func replaceDeployment(t *tx, r store.Round) error {
	if r.Rollback == nil {
		return nil
	}
	return insertDeployment(t, *r.Rollback)
}

// statusAfter is the status of the deployment after the round.
func statusAfter(r store.Round) deploy.Status {
	if r.Decision.Status != "" {
		return r.Decision.Status
	}
	return r.State.Status
}

// moveDeployment checks the guard and moves the deployment's own row.
func moveDeployment(t *tx, r store.Round) error {
	at, status, since := micros(r.At), statusAfter(r), micros(r.State.PhaseSince)
	if r.Decision.Phase != r.State.Phase {
		since = at
	}
	var started, completed int64
	if status == deploy.InProgress {
		started = at
	}
	if status.Terminal() {
		completed = at
	}
	n, err := t.exec(`UPDATE deployments SET version = version + 1, status = $3, live = $4, phase = $5, phase_since = $6,
			started_at = CASE started_at WHEN 0 THEN $7 ELSE started_at END, completed_at = $8,
			error_code = $9, error_message = $10,
			rollback_message = CASE CAST($11 AS TEXT) WHEN '' THEN rollback_message ELSE $11 END
		WHERE id = $1 AND version = $2 AND live`,
		r.State.ID, r.State.Version, string(status), !status.Terminal(), r.Decision.Phase, since, started, completed,
		r.Decision.Why.Code, r.Decision.Why.Message, r.Decision.RollbackMessage)
	if err != nil || n == 1 {
		return err
	}
	if _, err := one(t, column[string], `SELECT id FROM deployments WHERE id = $1`, r.State.ID); err != nil {
		return err
	}
	return store.ErrConflict
}

// all says that a statement has to change every row it was given.
func all(n int64, err error, want int) error {
	if err == nil && n != int64(want) {
		err = store.ErrConflict
	}
	return err
}

func moveTargets(t *tx, r store.Round) error {
	var rows [][]any
	for _, c := range r.Decision.Targets {
		var failure any
		if c.Failure != nil {
			failure = document{c.Failure}
		}
		var ended int64
		switch c.Status {
		case deploy.TargetSucceeded, deploy.TargetFailed, deploy.TargetSkipped:
			ended = micros(r.At)
		}
		rows = append(rows, []any{r.State.ID, c.ID, string(c.Status), c.Step, failure, micros(r.At), ended})
	}
	n, err := t.many(`WITH v (deployment_id, target, status, step, failure, at, ended_at) AS (VALUES `,
		`(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT))`,
		`) UPDATE targets SET status = v.status, step = v.step, failure = v.failure, updated_at = v.at, ended_at = v.ended_at
		FROM v WHERE targets.deployment_id = v.deployment_id AND targets.target = v.target`, rows)
	return all(n, err, len(rows))
}

// settleWork marks Work whose consequences are drawn, if it still is what Decide saw, and ends it where Decide says so.
func settleWork(t *tx, r store.Round) error {
	var rows [][]any
	for _, w := range r.Decision.Settle {
		rows = append(rows, []any{w.ID, string(w.Saw), string(w.Status), micros(r.At), w.ErrorCode, w.ScriptName, w.Message, w.LogTail})
	}
	n, err := t.many(`WITH v (id, saw, status, ended_at, error_code, script_name, message, log_tail) AS (VALUES `,
		`(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))`,
		`) UPDATE work SET settled = TRUE, status = v.status,
			ended_at = CASE v.status WHEN v.saw THEN work.ended_at ELSE v.ended_at END,
			error_code = CASE v.status WHEN v.saw THEN work.error_code ELSE v.error_code END,
			script_name = CASE v.status WHEN v.saw THEN work.script_name ELSE v.script_name END,
			message = CASE v.status WHEN v.saw THEN work.message ELSE v.message END,
			log_tail = CASE v.status WHEN v.saw THEN work.log_tail ELSE v.log_tail END
		FROM v WHERE work.id = v.id AND work.status = v.saw AND NOT work.settled`, rows)
	return all(n, err, len(rows))
}

// issueWork stores new Work. Its ids are derived, so that Work which exists means that somebody else decided the same.
func issueWork(t *tx, r store.Round) error {
	var rows [][]any
	for _, w := range r.Decision.Issue {
		rows = append(rows, []any{w.ID, r.State.ID, w.Target, w.Phase, w.Step, string(w.Event), int(w.By), string(w.Status),
			micros(w.IssuedAt), micros(w.Due), int64(w.Timeout)})
	}
	n, err := t.many(`INSERT INTO work (id, deployment_id, target, phase, step, event, runner, status, issued_at, due, timeout) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ` ON CONFLICT DO NOTHING`, rows)
	return all(n, err, len(rows))
}

// concludeGroup tells the group what an ended deployment has left: the health of the targets that were attempted, and
// after a success the target revision (service.md 5.2).
func concludeGroup(t *tx, r store.Round) error {
	status := statusAfter(r)
	if !status.Terminal() {
		return nil
	}
	if _, err := t.exec(`INSERT INTO target_health (group_id, target, healthy, revision_key)
		SELECT d.group_id, t.target, t.status = 'Succeeded', CASE t.status WHEN 'Succeeded' THEN d.revision_key ELSE '' END
		FROM targets t JOIN deployments d ON d.id = t.deployment_id
		WHERE t.deployment_id = $1 AND t.status NOT IN ('Pending', 'Skipped')
		ON CONFLICT (group_id, target) DO UPDATE SET healthy = excluded.healthy,
			revision_key = CASE WHEN excluded.healthy THEN excluded.revision_key ELSE target_health.revision_key END`,
		r.State.ID); err != nil {
		return err
	}
	if status != deploy.Succeeded {
		return nil
	}
	return t.must(`UPDATE deployment_groups SET last_success = d.id, target_key = d.revision_key
		FROM deployments d WHERE d.id = $1 AND deployment_groups.id = d.group_id`, r.State.ID)
}

// Reprieve implements store.Rounds.
func (s *Store) Reprieve(ctx context.Context, until time.Time) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE work SET due = $1
			WHERE NOT settled AND runner = 0 AND status IN ('Pending', 'Running') AND due > 0 AND due < $1`, micros(until))
		return err
	})
}
