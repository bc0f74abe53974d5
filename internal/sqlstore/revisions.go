package sqlstore

import (
	"context"

	"grapnel/internal/store"
)

// RegisterRevision implements store.Revisions.
func (s *Store) RegisterRevision(ctx context.Context, application string, r store.Revision) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`INSERT INTO revisions (application_id, key, location, description, registered_at)
			SELECT id, $2, $3, $4, $5 FROM applications WHERE name = $1
			ON CONFLICT (application_id, key) DO UPDATE SET description = excluded.description`,
			application, r.Key, document{r.Location}, r.Info.Description, micros(r.Info.RegisterTime.Time))
	})
	return about(err, "register revision of application %s", application)
}

const selectRevision = `SELECT r.key, r.location, r.description, r.registered_at, r.first_used_at, r.last_used_at
	FROM revisions r JOIN applications a ON a.id = r.application_id WHERE a.name = $1 `

func scanRevision(row scanner) (r store.Revision, err error) {
	i := &r.Info
	err = row.Scan(&r.Key, document{&r.Location}, &i.Description, instant{&i.RegisterTime.Time},
		instant{&i.FirstUsedTime.Time}, instant{&i.LastUsedTime.Time})
	return r, err
}

// targetedBy returns the names of the application's groups by the key of their target revision.
func targetedBy(t *tx, application string) (map[string][]string, error) {
	byKey := make(map[string][]string)
	err := t.query(func(row scanner) error {
		var key, group string
		err := row.Scan(&key, &group)
		byKey[key] = append(byKey[key], group)
		return err
	}, `SELECT g.target_key, g.name FROM deployment_groups g JOIN applications a ON a.id = g.application_id
		WHERE a.name = $1 AND g.target_key <> '' ORDER BY g.name`, application)
	return byKey, err
}

// Revision implements store.Revisions.
func (s *Store) Revision(ctx context.Context, application, key string) (r store.Revision, err error) {
	err = s.view(ctx, func(t *tx) error {
		if r, err = one(t, scanRevision, selectRevision+`AND r.key = $2`, application, key); err != nil {
			return err
		}
		groups, err := targetedBy(t, application)
		r.Info.DeploymentGroups = groups[key]
		return err
	})
	return r, about(err, "revision of application %s", application)
}

// Revisions implements store.Revisions.
func (s *Store) Revisions(ctx context.Context, application string) (revisions []store.Revision, err error) {
	err = s.view(ctx, func(t *tx) error {
		revisions, err = list(t, scanRevision, selectRevision+`ORDER BY r.registered_at, r.key`, application)
		if err != nil {
			return err
		}
		groups, err := targetedBy(t, application)
		for i := range revisions {
			revisions[i].Info.DeploymentGroups = groups[revisions[i].Key]
		}
		return err
	})
	return revisions, err
}
