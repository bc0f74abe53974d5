package sqlstore

import "context"

const selectSecret = `SELECT sealed FROM secrets WHERE name = $1`

// Secret implements store.Secrets.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	sealed, err := readOne(ctx, s, column[[]byte], selectSecret, name)
	return sealed, about(err, "secret %s", name)
}

// AddSecret implements store.Secrets.
func (s *Store) AddSecret(ctx context.Context, name string, sealed []byte) (stored []byte, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, sealed); err != nil {
			return err
		}
		stored, err = one(t, column[[]byte], selectSecret, name)
		return err
	})
	return stored, about(err, "secret %s", name)
}
