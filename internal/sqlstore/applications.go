package sqlstore

import (
	"context"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// exists turns the error of a write that would have made a second row with the same key into store.ErrExists.
func exists(err error) error {
	if isUnique(err) {
		return store.ErrExists
	}
	return err
}

// about names what a failed access was about.
func about(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// CreateApplication implements store.Applications.
func (s *Store) CreateApplication(ctx context.Context, a store.Application) error {
	name := awsapi.Value(a.Info.ApplicationName)
	err := s.update(ctx, func(t *tx) error {
		// SQLite counts whole tables by their pages, so that thousands of rows cost next to nothing.
		room := []quota{{what: "applications", most: s.Quotas.Applications, count: `SELECT count(*) FROM applications`}}
		return t.within(room, func() error {
			_, err := t.exec(`INSERT INTO applications (id, name, created_at, info, tags) VALUES ($1, $2, $3, $4, $5)`,
				awsapi.Value(a.Info.ApplicationId), name, micros(a.Info.CreateTime.Time), document{a.Info}, document{a.Tags})
			return exists(err)
		})
	})
	return about(err, "application %s", name)
}

// Application implements store.Applications.
func (s *Store) Application(ctx context.Context, name string) (store.Application, error) {
	a, err := readOne(ctx, s, scanApplication, `SELECT a.id, a.name, a.created_at, a.info, a.tags, a.version, coalesce(c.token, '')
		FROM applications a LEFT JOIN github_connections c ON c.application_id = a.id WHERE a.name = $1`, name)
	return a, about(err, "application %s", name)
}

func scanApplication(row scanner) (a store.Application, err error) {
	var id, name, token string
	var created awsapi.Epoch
	err = row.Scan(&id, &name, instant{&created.Time}, document{&a.Info}, document{&a.Tags}, &a.Version, &token)
	a.Info.ApplicationId, a.Info.ApplicationName, a.Info.CreateTime = &id, &name, created
	// What was stored with the application when it was last changed may be out of date.
	a.Info.LinkedToGitHub, a.Info.GitHubAccountName = new(token != ""), nil
	if token != "" {
		a.Info.GitHubAccountName = &token
	}
	return a, err
}

// Applications implements store.Applications.
func (s *Store) Applications(ctx context.Context, after string, limit int) ([]string, error) {
	return readList(ctx, s, column[string], `SELECT name FROM applications WHERE name > $1 ORDER BY name LIMIT $2`,
		after, limited(limit))
}

// UpdateApplication implements store.Applications. Everything below refers to the application by its id, so that a new
// name needs no other row.
func (s *Store) UpdateApplication(ctx context.Context, name string, a store.Application) error {
	err := s.update(ctx, func(t *tx) error {
		err := t.current(`SELECT id, version FROM applications WHERE name = $1 {{lock}}`, []any{name}, awsapi.Value(a.Info.ApplicationId), a.Version)
		if err != nil {
			return err
		}
		return exists(t.must(`UPDATE applications SET name = $2, info = $3, tags = $4, version = version + 1 WHERE name = $1`,
			name, awsapi.Value(a.Info.ApplicationName), document{a.Info}, document{a.Tags}))
	})
	return about(err, "application %s", name)
}

// current demands that a row (its id and version) is still the one that a change was made of: ErrNotFound, ErrConflict.
func (t *tx) current(text string, args []any, id string, version int64) error {
	type row struct {
		id      string
		version int64
	}
	stored, err := one(t, func(s scanner) (r row, err error) {
		err = s.Scan(&r.id, &r.version)
		return r, err
	}, text, args...)
	if err == nil && stored != (row{id, version}) {
		err = store.ErrConflict
	}
	return err
}

// DeleteApplication implements store.Applications.
func (s *Store) DeleteApplication(ctx context.Context, name string) error {
	err := s.update(ctx, func(t *tx) error { return t.must(`DELETE FROM applications WHERE name = $1`, name) })
	return about(err, "application %s", name)
}
