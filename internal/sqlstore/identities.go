package sqlstore

import (
	"context"

	"grapnel/internal/store"
)

// CreateUser implements store.Identities.
func (s *Store) CreateUser(ctx context.Context, u store.User) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO users (name, path, id, created_at) VALUES ($1, $2, $3, $4)`,
			u.Name, u.Path, u.ID, micros(u.CreatedAt))
		return exists(err)
	})
	return about(err, "user %s", u.Name)
}

const selectUser = `SELECT name, path, id, created_at FROM users `

func scanUser(row scanner) (u store.User, err error) {
	return u, row.Scan(&u.Name, &u.Path, &u.ID, instant{&u.CreatedAt})
}

// User implements store.Identities.
func (s *Store) User(ctx context.Context, name string) (u store.User, err error) {
	err = s.view(ctx, func(t *tx) error {
		u, err = one(t, scanUser, selectUser+`WHERE name = $1`, name)
		return err
	})
	return u, about(err, "user %s", name)
}

// Users implements store.Identities.
func (s *Store) Users(ctx context.Context, after string, limit int) (users []store.User, err error) {
	err = s.view(ctx, func(t *tx) error {
		users, err = list(t, scanUser, selectUser+`WHERE name > $1 ORDER BY name LIMIT $2`, after, limited(limit))
		return err
	})
	return users, err
}

// DeleteUser implements store.Identities. Keys and policies refer to their user, and the database holds it to that.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	err := s.update(ctx, func(t *tx) error {
		err := t.must(`DELETE FROM users WHERE name = $1`, name)
		if isReferenced(err) {
			return store.ErrInUse
		}
		return err
	})
	return about(err, "user %s", name)
}

// CreateAccessKey implements store.Identities.
func (s *Store) CreateAccessKey(ctx context.Context, k store.AccessKey) error {
	var user *string
	if k.User != "" {
		user = &k.User
	}
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO access_keys (id, user_name, secret, active, created_at) VALUES ($1, $2, $3, $4, $5)`,
			k.ID, user, k.Secret, k.Active, micros(k.CreatedAt))
		if isReferenced(err) {
			return store.ErrNotFound
		}
		return exists(err)
	})
	return about(err, "access key %s of user %s", k.ID, k.User)
}

const selectAccessKey = `SELECT id, coalesce(user_name, ''), secret, active, created_at FROM access_keys `

func scanAccessKey(row scanner) (k store.AccessKey, err error) {
	return k, row.Scan(&k.ID, &k.User, &k.Secret, &k.Active, instant{&k.CreatedAt})
}

// AccessKey implements store.Identities.
func (s *Store) AccessKey(ctx context.Context, id string) (k store.AccessKey, err error) {
	err = s.view(ctx, func(t *tx) error {
		k, err = one(t, scanAccessKey, selectAccessKey+`WHERE id = $1`, id)
		return err
	})
	return k, about(err, "access key %s", id)
}

// AccessKeys implements store.Identities.
func (s *Store) AccessKeys(ctx context.Context, user string) (keys []store.AccessKey, err error) {
	err = s.view(ctx, func(t *tx) error {
		keys, err = list(t, scanAccessKey, selectAccessKey+`WHERE coalesce(user_name, '') = $1 ORDER BY id`, user)
		return err
	})
	return keys, err
}

// SetAccessKeyActive implements store.Identities.
func (s *Store) SetAccessKeyActive(ctx context.Context, user, id string, active bool) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`UPDATE access_keys SET active = $3 WHERE id = $1 AND coalesce(user_name, '') = $2`, id, user, active)
	})
	return about(err, "access key %s of user %s", id, user)
}

// DeleteAccessKey implements store.Identities.
func (s *Store) DeleteAccessKey(ctx context.Context, user, id string) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`DELETE FROM access_keys WHERE id = $1 AND coalesce(user_name, '') = $2`, id, user)
	})
	return about(err, "access key %s of user %s", id, user)
}

// PutPolicy implements store.Identities.
func (s *Store) PutPolicy(ctx context.Context, user, name, document string) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO policies (user_name, name, document) VALUES ($1, $2, $3)
			ON CONFLICT (user_name, name) DO UPDATE SET document = excluded.document`, user, name, document)
		if isReferenced(err) {
			return store.ErrNotFound
		}
		return err
	})
	return about(err, "user %s", user)
}

// Policy implements store.Identities.
func (s *Store) Policy(ctx context.Context, user, name string) (document string, err error) {
	err = s.view(ctx, func(t *tx) error {
		document, err = one(t, column[string], `SELECT document FROM policies WHERE user_name = $1 AND name = $2`, user, name)
		return err
	})
	return document, about(err, "policy %s of user %s", name, user)
}

// Policies implements store.Identities.
func (s *Store) Policies(ctx context.Context, user string) (names []string, err error) {
	err = s.view(ctx, func(t *tx) error {
		names, err = list(t, column[string], `SELECT name FROM policies WHERE user_name = $1 ORDER BY name`, user)
		return err
	})
	return names, err
}

// DeletePolicy implements store.Identities.
func (s *Store) DeletePolicy(ctx context.Context, user, name string) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`DELETE FROM policies WHERE user_name = $1 AND name = $2`, user, name)
	})
	return about(err, "policy %s of user %s", name, user)
}
