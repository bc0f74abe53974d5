package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// CreateDeployment implements store.Deployments.
func (s *Store) CreateDeployment(ctx context.Context, d store.Deployment) error {
	return s.updateNoticing(ctx, func(t *tx) (noticed bool, err error) {
		room := []quota{
			{what: "deployments under way", most: s.Quotas.Deployments, count: `SELECT count(*) FROM deployments WHERE live`},
			{what: "instances in deployments under way", most: s.Quotas.Targets,
				count: `SELECT CAST(sum(targets) AS BIGINT) FROM deployments WHERE live`},
		}
		if err := t.within(room, func() error { return insertDeployment(t, d) }); err != nil {
			return false, err
		}
		return s.notice(t, awsapi.Value(d.Info.DeploymentId), d.Notices)
	})
}

// insertDeployment stores a deployment as Created. Locking the group's row lets one creator at a time look for a live
// deployment; the unique index deployments_live is the second line. What the group last succeeded with is read under the
// lock as well: a caller that read it before could miss a success in between, and a rollback would restore the wrong revision.
func insertDeployment(t *tx, d store.Deployment) error {
	id, at := awsapi.Value(d.Info.DeploymentId), micros(d.Info.CreateTime.Time)
	d.Info.PreviousRevision = nil
	var target string // key of the revision of the group's last success
	application, err := one(t, func(row scanner) (application string, err error) {
		err = row.Scan(&application, &d.Facts.LastGood, &target, document{&d.Info.PreviousRevision})
		return application, err
	}, `SELECT application_id, coalesce(last_success, ''), target_key, (SELECT location FROM revisions r
			WHERE r.application_id = g.application_id AND r.key = g.target_key)
		FROM deployment_groups g WHERE id = $1 {{lock}}`, d.GroupID)
	if err != nil {
		return fmt.Errorf("deployment group %s: %w", d.GroupID, err)
	}
	busy, err := list(t, column[string], `SELECT id FROM deployments WHERE group_id = $1 AND live`, d.GroupID)
	if err != nil {
		return err
	}
	if len(busy) > 0 {
		return &store.BusyError{Deployment: busy[0]}
	}
	if d.Info.DeploymentMode == awsapi.DeploymentModeRestart && d.RevisionKey != target {
		return fmt.Errorf("target revision of deployment group %s: %w", d.GroupID, store.ErrConflict)
	}
	var rollbackOf *string
	if d.Facts.RollbackOf != "" {
		rollbackOf = &d.Facts.RollbackOf
	}
	n, err := t.exec(`INSERT INTO deployments (id, group_id, config, revision_key, rollback_of, info, plan, facts, version,
			status, live, phase, phase_since, created_at, targets)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, TRUE, 0, $10, $10, $11) ON CONFLICT DO NOTHING`,
		id, d.GroupID, awsapi.Value(d.Info.DeploymentConfigName), d.RevisionKey, rollbackOf,
		document{frozen(d.Info)}, document{d.Plan}, document{d.Facts}, string(deploy.Created), at, len(d.Plan.TargetIDs()))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("deployment %s: %w", id, store.ErrExists)
	}
	if err := insertTargets(t, id, d.Plan, at); err != nil {
		return err
	}
	if err := stampRevision(t, application, d, at); err != nil {
		return err
	}
	return t.must(`UPDATE deployment_groups SET last_attempt = $2 WHERE id = $1`, d.GroupID, id)
}

// frozen drops the members that move: they have columns.
func frozen(i awsapi.DeploymentInfo) awsapi.DeploymentInfo {
	i.Status, i.ErrorInformation, i.DeploymentOverview = "", nil, nil
	i.CreateTime, i.StartTime, i.CompleteTime = awsapi.Epoch{}, awsapi.Epoch{}, awsapi.Epoch{}
	return i
}

func insertTargets(t *tx, deployment string, plan deploy.Plan, at int64) error {
	var rows [][]any
	for i, target := range plan.TargetIDs() {
		rows = append(rows, []any{deployment, target, i, string(deploy.TargetPending), 0, at})
	}
	_, err := t.many(`INSERT INTO targets (deployment_id, target, ordinal, status, step, updated_at) VALUES `,
		`(?, ?, ?, ?, ?, ?)`, ``, rows)
	return err
}

// stampRevision notes that the revision is used, and registers it if it is unknown (service.md 2.3).
func stampRevision(t *tx, application string, d store.Deployment, at int64) error {
	if d.Info.Revision == nil {
		return nil
	}
	_, err := t.exec(`INSERT INTO revisions (application_id, key, location, description, registered_at, first_used_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, $5, $5)
		ON CONFLICT (application_id, key) DO UPDATE SET last_used_at = excluded.last_used_at,
			first_used_at = CASE revisions.first_used_at WHEN 0 THEN excluded.first_used_at ELSE revisions.first_used_at END`,
		application, d.RevisionKey, document{d.Info.Revision},
		"Application revision registered by Deployment ID: "+awsapi.Value(d.Info.DeploymentId), at)
	return err
}

const selectDeployment = `SELECT d.id, d.group_id, d.revision_key, d.info, d.facts, d.status, d.phase, d.created_at, d.started_at,
		d.completed_at, d.error_code, d.error_message, d.rollback_message, coalesce(r.id, ''), a.name, g.name
	FROM deployments d
	JOIN deployment_groups g ON g.id = d.group_id
	JOIN applications a ON a.id = g.application_id
	LEFT JOIN deployments r ON r.rollback_of = d.id `

// scanDeployment reads a row of selectDeployment; the plan and the overview are left out.
func scanDeployment(row scanner) (store.Deployment, error) {
	var (
		d                          store.Deployment
		id, application, group     string
		code, why, message, backBy string
	)
	i := &d.Info
	err := row.Scan(&id, &d.GroupID, &d.RevisionKey, document{i}, document{&d.Facts}, &d.Status, &d.Phase,
		instant{&i.CreateTime.Time}, instant{&i.StartTime.Time}, instant{&i.CompleteTime.Time},
		&code, &why, &message, &backBy, &application, &group)
	if err != nil {
		return d, err
	}
	i.DeploymentId, i.ApplicationName, i.DeploymentGroupName = &id, &application, &group
	i.Status = awsapi.DeploymentStatus(d.Status)
	if code != "" {
		i.ErrorInformation = &awsapi.ErrorInformation{Code: awsapi.ErrorCode(code), Message: &why}
	}
	linkRollback(i, d.Facts.RollbackOf, backBy, message)
	return d, nil
}

// linkRollback fills in rollbackInfo, of a rollback and of what it rolls back alike (service.md 6.1). A message that the
// deployment was created with stays unless it got one at its end.
func linkRollback(i *awsapi.DeploymentInfo, rollbackOf, rolledBackBy, message string) {
	if i.RollbackInfo == nil {
		if rollbackOf+rolledBackBy+message == "" {
			return
		}
		i.RollbackInfo = new(awsapi.RollbackInfo)
	}
	set := func(member **string, value string) {
		if value != "" {
			*member = &value
		}
	}
	set(&i.RollbackInfo.RollbackTriggeringDeploymentId, rollbackOf)
	set(&i.RollbackInfo.RollbackDeploymentId, rolledBackBy)
	set(&i.RollbackInfo.RollbackMessage, message)
}

// Deployment implements store.Deployments.
func (s *Store) Deployment(ctx context.Context, id string) (store.Deployment, error) {
	return recall(s, &s.deployments, id, func() (store.Deployment, error) { return s.readDeployment(ctx, id) })
}

func (s *Store) readDeployment(ctx context.Context, id string) (d store.Deployment, err error) {
	err = s.view(ctx, func(t *tx) error {
		if d, err = one(t, scanDeployment, selectDeployment+`WHERE d.id = $1`, id); err != nil {
			return fmt.Errorf("deployment %s: %w", id, err)
		}
		if d.Plan, err = s.plans.load(t, id); err != nil {
			return err
		}
		if d.Status != deploy.Created {
			d.Info.DeploymentOverview, err = overview(t, id)
		}
		return err
	})
	return d, err
}

// overview counts the targets by status.
func overview(t *tx, deployment string) (*awsapi.DeploymentOverview, error) {
	count := make(map[deploy.TargetStatus]*int64)
	for _, status := range []deploy.TargetStatus{deploy.TargetPending, deploy.TargetInProgress, deploy.TargetSucceeded,
		deploy.TargetFailed, deploy.TargetSkipped, deploy.TargetReady} {
		count[status] = new(int64)
	}
	err := t.query(func(row scanner) error {
		var status deploy.TargetStatus
		var n int64
		if err := row.Scan(&status, &n); err != nil {
			return err
		}
		count[status] = &n
		return nil
	}, `SELECT status, count(*) FROM targets WHERE deployment_id = $1 GROUP BY status`, deployment)
	return &awsapi.DeploymentOverview{
		Pending: count[deploy.TargetPending], InProgress: count[deploy.TargetInProgress],
		Succeeded: count[deploy.TargetSucceeded], Failed: count[deploy.TargetFailed],
		Skipped: count[deploy.TargetSkipped], Ready: count[deploy.TargetReady],
	}, err
}

// ListDeployments implements store.Deployments.
func (s *Store) ListDeployments(ctx context.Context, f store.DeploymentFilter) ([]store.Listed, error) {
	var c conditions
	if f.Application != "" {
		c.add(`a.name = ?`, f.Application)
	}
	if f.Group != "" {
		c.add(`g.name = ?`, f.Group)
	}
	if len(f.Statuses) > 0 {
		c.add(`d.status IN (`+repeatMarks(len(f.Statuses))+`)`, anys(f.Statuses)...)
	}
	if !f.From.IsZero() {
		c.add(`d.created_at >= ?`, micros(f.From))
	}
	if !f.To.IsZero() {
		c.add(`d.created_at <= ?`, micros(f.To))
	}
	if f.Before != (store.Listed{}) {
		c.add(`(d.created_at, d.id) < (?, ?)`, micros(f.Before.CreatedAt), f.Before.ID)
	}
	where, args := c.where()
	args = append(args, limited(f.Limit))
	return readList(ctx, s, scanListed, `SELECT d.id, d.created_at FROM deployments d
		JOIN deployment_groups g ON g.id = d.group_id JOIN applications a ON a.id = g.application_id`+where+
		fmt.Sprintf(` ORDER BY d.created_at DESC, d.id DESC LIMIT $%d`, len(args)), args...)
}

func scanListed(row scanner) (l store.Listed, err error) {
	err = row.Scan(&l.ID, instant{&l.CreatedAt})
	return l, err
}

// StopDeployment implements store.Deployments.
func (s *Store) StopDeployment(ctx context.Context, id string, fact deploy.Stop) error {
	return s.addFact(ctx, id, func(f *deploy.Facts) (news bool) {
		if news = f.Stop == nil; news {
			f.Stop = &fact
		}
		return news
	})
}

// ApprovePhase implements store.Deployments.
func (s *Store) ApprovePhase(ctx context.Context, id string, phase int) error {
	return s.addFact(ctx, id, func(f *deploy.Facts) (news bool) {
		if news = f.Approved <= phase; news {
			f.Approved = phase + 1
		}
		return news
	})
}

// addFact stores what an operator wants of a live deployment; add reports whether the facts did not say so before.
func (s *Store) addFact(ctx context.Context, id string, add func(*deploy.Facts) (news bool)) error {
	return s.update(ctx, func(t *tx) error {
		var facts deploy.Facts
		status, err := one(t, func(row scanner) (status deploy.Status, err error) {
			facts = deploy.Facts{}
			err = row.Scan(&status, document{&facts})
			return status, err
		}, `SELECT status, facts FROM deployments WHERE id = $1 {{lock}}`, id)
		switch {
		case err != nil:
			return fmt.Errorf("deployment %s: %w", id, err)
		case status.Terminal():
			return fmt.Errorf("deployment %s: %w", id, store.ErrEnded)
		case !add(&facts):
			return nil
		}
		return t.must(`UPDATE deployments SET facts = $2, version = version + 1 WHERE id = $1`, id, document{facts})
	})
}

// conditions is a WHERE that is put together.
type conditions struct {
	terms []string
	args  []any
}

// add adds a term with a ? for each argument.
func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c *conditions) where() (string, []any) {
	if len(c.terms) == 0 {
		return "", nil
	}
	return " WHERE " + repeat(strings.Join(c.terms, " AND "), 1), c.args
}

// repeatMarks returns "?, ?, ?".
func repeatMarks(n int) string { return strings.Repeat(", ?", n)[2:] }

func anys[S ~string](values []S) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}
