package sqlstore

import (
	"context"
	"time"

	"grapnel/internal/store"
)

// updateIdentities is update for what store.Identities keeps, and for the registrations of hosts. The version moves although
// the write failed: whether a commit whose answer was lost took place is not known.
func (s *Store) updateIdentities(ctx context.Context, fn func(*tx) error) error {
	defer s.identities.Add(1)
	return s.update(ctx, fn)
}

// IdentityVersion implements store.Identities.
func (s *Store) IdentityVersion() uint64 { return s.identities.Load() }

// CreateUser implements store.Identities.
func (s *Store) CreateUser(ctx context.Context, u store.User) error {
	err := s.updateIdentities(ctx, func(t *tx) error { return insertUser(t, u) })
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
	err := s.updateIdentities(ctx, func(t *tx) error {
		return inUse(t.must(`DELETE FROM users WHERE name = $1`, name))
	})
	return about(err, "user %s", name)
}

// inUse is the error of a deletion: a row that others refer to stays.
func inUse(err error) error {
	if isReferenced(err) {
		return store.ErrInUse
	}
	return err
}

// CreateAccessKey implements store.Identities.
func (s *Store) CreateAccessKey(ctx context.Context, k store.AccessKey, most int) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		keys := quota{what: "access keys", most: most, count: `SELECT count(*) FROM access_keys ` + ofUser, args: []any{k.User}}
		return t.within([]quota{keys}, func() error { return insertAccessKey(t, k) })
	})
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
	err := s.updateIdentities(ctx, func(t *tx) error {
		return t.must(`UPDATE access_keys SET active = $3 `+ofUser+` AND id = $2`, user, id, active)
	})
	return about(err, "access key %s of user %s", id, user)
}

// DeleteAccessKey implements store.Identities.
func (s *Store) DeleteAccessKey(ctx context.Context, user, id string) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		return t.must(`DELETE FROM access_keys `+ofUser+` AND id = $2`, user, id)
	})
	return about(err, "access key %s of user %s", id, user)
}

// ReplaceAccessKeys implements store.Identities.
func (s *Store) ReplaceAccessKeys(ctx context.Context, user, keep string, add ...store.AccessKey) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		// Of two that replace at once, the second must see the keys that the first has added.
		if err := t.alone(); err != nil {
			return err
		}
		if _, err := one(t, column[string], `SELECT id FROM access_keys `+ofUser+` AND id = $2`, user, keep); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM access_keys `+ofUser+` AND id <> $2`, user, keep); err != nil {
			return err
		}
		for _, k := range add {
			if err := insertAccessKey(t, k); err != nil {
				return err
			}
		}
		return nil
	})
	return about(err, "access key %s of user %s", keep, user)
}

// CreateRole implements store.Identities.
func (s *Store) CreateRole(ctx context.Context, r store.Role) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO roles (name, path, id, trust, description, max_session, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.Name, r.Path, r.ID, r.Trust, r.Description, seconds(r.MaxSession), micros(r.CreatedAt))
		return exists(err)
	})
	return about(err, "role %s", r.Name)
}

const selectRole = `SELECT name, path, id, trust, description, max_session, created_at FROM roles `

func scanRole(row scanner) (r store.Role, err error) {
	var maxSession int64
	err = row.Scan(&r.Name, &r.Path, &r.ID, &r.Trust, &r.Description, &maxSession, instant{&r.CreatedAt})
	r.MaxSession = time.Duration(maxSession) * time.Second
	return r, err
}

// seconds is how the length of a session is stored.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Role implements store.Identities.
func (s *Store) Role(ctx context.Context, name string) (store.Role, error) {
	r, err := readOne(ctx, s, scanRole, selectRole+`WHERE name = $1`, name)
	return r, about(err, "role %s", name)
}

// Roles implements store.Identities.
func (s *Store) Roles(ctx context.Context, after string, limit int) ([]store.Role, error) {
	return readList(ctx, s, scanRole, selectRole+`WHERE name > $1 ORDER BY name LIMIT $2`, after, limited(limit))
}

// UpdateRole implements store.Identities.
func (s *Store) UpdateRole(ctx context.Context, name string, change store.RoleChange) error {
	var maxSession *int64
	if change.MaxSession != nil {
		maxSession = new(seconds(*change.MaxSession))
	}
	err := s.updateIdentities(ctx, func(t *tx) error {
		return t.must(`UPDATE roles SET trust = coalesce($2, trust), description = coalesce($3, description),
			max_session = coalesce($4, max_session) WHERE name = $1`, name, change.Trust, change.Description, maxSession)
	})
	return about(err, "role %s", name)
}

// DeleteRole implements store.Identities.
func (s *Store) DeleteRole(ctx context.Context, name string) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		return inUse(t.must(`DELETE FROM roles WHERE name = $1`, name))
	})
	return about(err, "role %s", name)
}

// policiesOf is the table of an owner's policies, and the value of its column owner. Each table refers to its owners, and the
// database holds it to that.
func policiesOf(o store.Owner) (table, owner string) {
	if o.Role != "" {
		return "role_policies", o.Role
	}
	return "policies", o.User
}

// PutPolicy implements store.Identities.
func (s *Store) PutPolicy(ctx context.Context, of store.Owner, p store.Policy) error {
	table, owner := policiesOf(of)
	err := s.updateIdentities(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO `+table+` (owner, name, document) VALUES ($1, $2, $3)
			ON CONFLICT (owner, name) DO UPDATE SET document = excluded.document`, owner, p.Name, p.Document)
		if isReferenced(err) {
			return store.ErrNotFound
		}
		return err
	})
	return about(err, "owner %s of policy %s", owner, p.Name)
}

func scanPolicy(row scanner) (p store.Policy, err error) {
	err = row.Scan(&p.Name, &p.Document)
	return p, err
}

// Policies implements store.Identities.
func (s *Store) Policies(ctx context.Context, of store.Owner) ([]store.Policy, error) {
	table, owner := policiesOf(of)
	return readList(ctx, s, scanPolicy, `SELECT name, document FROM `+table+` WHERE owner = $1 ORDER BY name`, owner)
}

// DeletePolicy implements store.Identities.
func (s *Store) DeletePolicy(ctx context.Context, of store.Owner, name string) error {
	table, owner := policiesOf(of)
	err := s.updateIdentities(ctx, func(t *tx) error {
		return t.must(`DELETE FROM `+table+` WHERE owner = $1 AND name = $2`, owner, name)
	})
	return about(err, "policy %s of %s", name, owner)
}
