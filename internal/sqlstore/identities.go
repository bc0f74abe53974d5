package sqlstore

import (
	"context"

	"grapnel/internal/store"
)

// CreateUser implements store.Identities.
func (s *Store) CreateUser(ctx context.Context, u store.User) error {
	err := s.update(ctx, func(t *tx) error { return insertUser(t, u) })
	return about(err, "user %s", u.Name)
}

func insertUser(t *tx, u store.User) error {
	_, err := t.exec(`INSERT INTO users (name, path, id, created_at) VALUES ($1, $2, $3, $4)`, u.Name, u.Path, u.ID, micros(u.CreatedAt))
	return exists(err)
}

const selectUser = `SELECT name, path, id, created_at FROM users `

func scanUser(row scanner) (u store.User, err error) {
	err = row.Scan(&u.Name, &u.Path, &u.ID, instant{&u.CreatedAt})
	return u, err
}

// User implements store.Identities.
func (s *Store) User(ctx context.Context, name string) (store.User, error) {
	u, err := readOne(ctx, s, scanUser, selectUser+`WHERE name = $1`, name)
	return u, about(err, "user %s", name)
}

// Users implements store.Identities.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]store.User, error) {
	return readList(ctx, s, scanUser, selectUser+`WHERE name > $1 ORDER BY name LIMIT $2`, after, limited(limit))
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
	err := s.update(ctx, func(t *tx) error { return insertAccessKey(t, k) })
	return about(err, "access key %s of user %s", k.ID, k.User)
}

func insertAccessKey(t *tx, k store.AccessKey) error {
	_, err := t.exec(`INSERT INTO access_keys (id, user_name, secret, active, created_at) VALUES ($1, nullif($2, ''), $3, $4, $5)`,
		k.ID, k.User, k.Secret, k.Active, micros(k.CreatedAt))
	if isReferenced(err) {
		return store.ErrNotFound
	}
	return exists(err)
}

const selectAccessKey = `SELECT id, coalesce(user_name, ''), secret, active, created_at FROM access_keys `

// ofUser selects the keys of a user ($1); those of the root, whose name is "", are stored with NULL. The two cases are
// spelt out so that both engines use the index.
const ofUser = `WHERE (user_name = $1 OR ($1 = '' AND user_name IS NULL))`

func scanAccessKey(row scanner) (k store.AccessKey, err error) {
	err = row.Scan(&k.ID, &k.User, &k.Secret, &k.Active, instant{&k.CreatedAt})
	return k, err
}

// AccessKey implements store.Identities.
func (s *Store) AccessKey(ctx context.Context, id string) (store.AccessKey, error) {
	k, err := readOne(ctx, s, scanAccessKey, selectAccessKey+`WHERE id = $1`, id)
	return k, about(err, "access key %s", id)
}

// AccessKeys implements store.Identities.
func (s *Store) AccessKeys(ctx context.Context, user string) ([]store.AccessKey, error) {
	return readList(ctx, s, scanAccessKey, selectAccessKey+ofUser+` ORDER BY id`, user)
}

// SetAccessKeyActive implements store.Identities.
func (s *Store) SetAccessKeyActive(ctx context.Context, user, id string, active bool) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`UPDATE access_keys SET active = $3 `+ofUser+` AND id = $2`, user, id, active)
	})
	return about(err, "access key %s of user %s", id, user)
}

// DeleteAccessKey implements store.Identities.
func (s *Store) DeleteAccessKey(ctx context.Context, user, id string) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`DELETE FROM access_keys `+ofUser+` AND id = $2`, user, id)
	})
	return about(err, "access key %s of user %s", id, user)
}

// ReplaceAccessKeys implements store.Identities.
func (s *Store) ReplaceAccessKeys(ctx context.Context, user, keep string, add ...store.AccessKey) (deleted []string, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := one(t, column[string], `SELECT id FROM access_keys `+ofUser+` AND id = $2 {{lock}}`, user, keep); err != nil {
			return err
		}
		deleted, err = list(t, column[string], `DELETE FROM access_keys `+ofUser+` AND id <> $2 RETURNING id`, user, keep)
		if err != nil {
			return err
		}
		for _, k := range add {
			if err := insertAccessKey(t, k); err != nil {
				return err
			}
		}
		return nil
	})
	return deleted, about(err, "access key %s of user %s", keep, user)
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
func (s *Store) Policy(ctx context.Context, user, name string) (string, error) {
	document, err := readOne(ctx, s, column[string], `SELECT document FROM policies WHERE user_name = $1 AND name = $2`, user, name)
	return document, about(err, "policy %s of user %s", name, user)
}

// Policies implements store.Identities.
func (s *Store) Policies(ctx context.Context, user string) ([]string, error) {
	return readList(ctx, s, column[string], `SELECT name FROM policies WHERE user_name = $1 ORDER BY name`, user)
}

// DeletePolicy implements store.Identities.
func (s *Store) DeletePolicy(ctx context.Context, user, name string) error {
	err := s.update(ctx, func(t *tx) error {
		return t.must(`DELETE FROM policies WHERE user_name = $1 AND name = $2`, user, name)
	})
	return about(err, "policy %s of user %s", name, user)
}
