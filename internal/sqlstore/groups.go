package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// CreateGroup implements store.Groups.
func (s *Store) CreateGroup(ctx context.Context, g store.Group) error {
	application, name := awsapi.Value(g.Info.ApplicationName), awsapi.Value(g.Info.DeploymentGroupName)
	err := s.update(ctx, func(t *tx) error {
		room := []quota{{
			what: "deployment groups of an application", most: s.Quotas.Groups, args: []any{application},
			count: `SELECT count(*) FROM deployment_groups WHERE application_id = (SELECT id FROM applications WHERE name = $1)`,
		}}
		return t.within(room, func() error { return insertGroup(t, g) })
	})
	return about(err, "deployment group %s of application %s", name, application)
}

func insertGroup(t *tx, g store.Group) error {
	if err := touchConfig(t, g); err != nil {
		return err
	}
	err := exists(t.must(`INSERT INTO deployment_groups (id, application_id, name, config, info, tags, triggered)
		SELECT $1, id, $3, $4, $5, $6, $7 FROM applications WHERE name = $2`,
		awsapi.Value(g.Info.DeploymentGroupId), awsapi.Value(g.Info.ApplicationName), awsapi.Value(g.Info.DeploymentGroupName),
		awsapi.Value(g.Info.DeploymentConfigName), document{settings(g.Info)}, document{g.Tags}, len(g.Info.TriggerConfigurations) > 0))
	if err != nil {
		return err
	}
	return takeServices(t, g.Info)
}

// touchConfig keeps a custom config from being deleted while a group begins to refer to it: PostgreSQL lets one of two
// that write a row begin anew. Predefined configs have no row.
func touchConfig(t *tx, g store.Group) error {
	name := awsapi.Value(g.Info.DeploymentConfigName)
	if strings.HasPrefix(name, planner.PredefinedPrefix) {
		return nil
	}
	n, err := t.exec(`UPDATE deployment_configs SET name = name WHERE name = $1`, name)
	if err == nil && n == 0 {
		err = store.ErrNoConfig
	}
	return err
}

// takeServices makes the ECS services of a group its own, and lets go of those that it had.
func takeServices(t *tx, g awsapi.DeploymentGroupInfo) error {
	id := awsapi.Value(g.DeploymentGroupId)
	if _, err := t.exec(`DELETE FROM ecs_services WHERE group_id = $1`, id); err != nil {
		return err
	}
	for _, s := range g.EcsServices {
		service := store.ECSServiceKey(s)
		n, err := t.exec(`INSERT INTO ecs_services (service, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, service, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return serviceTaken(t, service)
		}
	}
	return nil
}

func serviceTaken(t *tx, service string) error {
	taken, err := one(t, func(row scanner) (store.ServiceTakenError, error) {
		taken := store.ServiceTakenError{Service: service}
		err := row.Scan(&taken.Application, &taken.Group)
		return taken, err
	}, `SELECT a.name, g.name FROM ecs_services s JOIN deployment_groups g ON g.id = s.group_id
		JOIN applications a ON a.id = g.application_id WHERE s.service = $1`, service)
	if err != nil {
		return fmt.Errorf("the deployment group of ECS service %s: %w", service, err)
	}
	return &taken
}

// settings drops the members that the engine moves: they have columns.
func settings(i awsapi.DeploymentGroupInfo) awsapi.DeploymentGroupInfo {
	i.TargetRevision, i.LastSuccessfulDeployment, i.LastAttemptedDeployment = nil, nil, nil
	return i
}

// Group implements store.Groups.
func (s *Store) Group(ctx context.Context, application, name string) (store.Group, error) {
	g, err := readOne(ctx, s, scanGroup, `SELECT g.id, a.name, g.name, g.info, g.tags, g.version, r.location,
				s.id, coalesce(s.status, ''), coalesce(s.created_at, 0), coalesce(s.completed_at, 0),
				l.id, coalesce(l.status, ''), coalesce(l.created_at, 0), coalesce(l.completed_at, 0)
			FROM deployment_groups g
			JOIN applications a ON a.id = g.application_id
			LEFT JOIN revisions r ON r.application_id = g.application_id AND r.key = g.target_key
			LEFT JOIN deployments s ON s.id = g.last_success
			LEFT JOIN deployments l ON l.id = g.last_attempt
			WHERE a.name = $1 AND g.name = $2`, application, name)
	return g, about(err, "deployment group %s of application %s", name, application)
}

func scanGroup(row scanner) (g store.Group, err error) {
	var id, application, name string
	var success, attempt lastDeployment
	dest := []any{&id, &application, &name, document{&g.Info}, document{&g.Tags}, &g.Version, document{&g.Info.TargetRevision}}
	err = row.Scan(append(append(dest, success.fields()...), attempt.fields()...)...)
	i := &g.Info
	i.DeploymentGroupId, i.ApplicationName, i.DeploymentGroupName = &id, &application, &name
	i.LastSuccessfulDeployment, i.LastAttemptedDeployment = success.info(), attempt.info()
	return g, err
}

// lastDeployment is what a group shows of a deployment; id is nil when there is none.
type lastDeployment struct {
	id             *string
	status         deploy.Status
	created, ended awsapi.Epoch
}

func (l *lastDeployment) fields() []any {
	return []any{&l.id, &l.status, instant{&l.created.Time}, instant{&l.ended.Time}}
}

func (l *lastDeployment) info() *awsapi.LastDeploymentInfo {
	if l.id == nil {
		return nil
	}
	return &awsapi.LastDeploymentInfo{
		DeploymentId: l.id, Status: awsapi.DeploymentStatus(l.status), CreateTime: l.created, EndTime: l.ended,
	}
}

// Groups implements store.Groups.
func (s *Store) Groups(ctx context.Context, application, after string, limit int) ([]string, error) {
	return readList(ctx, s, column[string], `SELECT g.name FROM deployment_groups g JOIN applications a ON a.id = g.application_id
			WHERE a.name = $1 AND g.name > $2 ORDER BY g.name LIMIT $3`, application, after, limited(limit))
}

// inApplication selects a group ($2) by the name of its application ($1).
const inApplication = ` WHERE name = $2 AND application_id = (SELECT id FROM applications WHERE name = $1)`

// UpdateGroup implements store.Groups.
func (s *Store) UpdateGroup(ctx context.Context, application, name string, g store.Group) error {
	err := s.update(ctx, func(t *tx) error {
		id := awsapi.Value(g.Info.DeploymentGroupId)
		err := t.current(`SELECT id, version FROM deployment_groups`+inApplication+` {{lock}}`, []any{application, name}, id, g.Version)
		if err != nil {
			return err
		}
		if err := touchConfig(t, g); err != nil {
			return err
		}
		err = exists(t.must(`UPDATE deployment_groups SET name = $3, config = $4, info = $5, tags = $6, triggered = $7,
				version = version + 1`+inApplication,
			application, name, awsapi.Value(g.Info.DeploymentGroupName), awsapi.Value(g.Info.DeploymentConfigName),
			document{settings(g.Info)}, document{g.Tags}, len(g.Info.TriggerConfigurations) > 0))
		if err != nil {
			return err
		}
		return takeServices(t, g.Info)
	})
	return about(err, "deployment group %s of application %s", name, application)
}

// DeleteGroup implements store.Groups.
func (s *Store) DeleteGroup(ctx context.Context, application, name string) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`DELETE FROM deployment_groups`+inApplication, application, name)
	})
	return about(err, "deployment group %s of application %s", name, application)
}

// GroupHealth implements store.Hosts.
func (s *Store) GroupHealth(ctx context.Context, group string) ([]store.TargetHealth, error) {
	return readList(ctx, s, func(row scanner) (h store.TargetHealth, err error) {
		err = row.Scan(&h.Target, &h.Healthy, &h.RevisionKey)
		return h, err
	}, `SELECT target, healthy, revision_key FROM target_health WHERE group_id = $1 ORDER BY target`, group)
}
