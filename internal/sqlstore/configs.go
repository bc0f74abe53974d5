package sqlstore

import (
	"context"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// CreateConfig implements store.Configs.
func (s *Store) CreateConfig(ctx context.Context, c awsapi.DeploymentConfigInfo) error {
	name := awsapi.Value(c.DeploymentConfigName)
	err := s.update(ctx, func(t *tx) error {
		room := []quota{{what: "custom deployment configs", most: s.Quotas.Configs, count: `SELECT count(*) FROM deployment_configs`}}
		return t.within(room, func() error {
			_, err := t.exec(`INSERT INTO deployment_configs (name, created_at, info) VALUES ($1, $2, $3)`,
				name, micros(c.CreateTime.Time), document{c})
			return exists(err)
		})
	})
	return about(err, "deployment config %s", name)
}

// Config implements store.Configs.
func (s *Store) Config(ctx context.Context, name string) (awsapi.DeploymentConfigInfo, error) {
	c, err := readOne(ctx, s, func(row scanner) (c awsapi.DeploymentConfigInfo, err error) {
		var created awsapi.Epoch
		err = row.Scan(instant{&created.Time}, document{&c})
		c.CreateTime = created
		return c, err
	}, `SELECT created_at, info FROM deployment_configs WHERE name = $1`, name)
	return c, about(err, "deployment config %s", name)
}

// Configs implements store.Configs.
func (s *Store) Configs(ctx context.Context, after string, limit int) ([]string, error) {
	return readList(ctx, s, column[string], `SELECT name FROM deployment_configs WHERE name > $1 ORDER BY name LIMIT $2`,
		after, limited(limit))
}

// DeleteConfig implements store.Configs.
func (s *Store) DeleteConfig(ctx context.Context, name string) error {
	err := s.update(ctx, func(t *tx) error {
		if err := t.must(`DELETE FROM deployment_configs WHERE name = $1`, name); err != nil {
			return err
		}
		users, err := list(t, column[string], `SELECT name FROM deployment_groups WHERE config = $1
			UNION ALL SELECT id FROM deployments WHERE config = $1 AND live`, name)
		if err == nil && len(users) > 0 {
			err = store.ErrInUse
		}
		return err
	})
	return about(err, "deployment config %s", name)
}
