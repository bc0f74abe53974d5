package sqlstore

import (
	"context"

	"grapnel/internal/store"
)

// PutGitHubToken implements store.GitHubTokens.
func (s *Store) PutGitHubToken(ctx context.Context, g store.GitHubToken, application string) error {
	err := s.update(ctx, func(t *tx) error {
		room := []quota{{what: "GitHub tokens", most: s.Quotas.GitHubTokens, count: `SELECT count(*) FROM github_tokens`}}
		return t.within(room, func() error {
			_, err := t.exec(`INSERT INTO github_tokens (name, sealed) VALUES ($1, $2)
				ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`, g.Name, g.Sealed)
			if err != nil || application == "" {
				return err
			}
			return connectGitHub(t, application, g.Name)
		})
	})
	return about(err, "GitHub token %s", g.Name)
}

// ConnectGitHub implements store.GitHubTokens.
func (s *Store) ConnectGitHub(ctx context.Context, application, token string) error {
	err := s.update(ctx, func(t *tx) error { return connectGitHub(t, application, token) })
	return about(err, "application %s and GitHub token %s", application, token)
}

func connectGitHub(t *tx, application, token string) error {
	err := t.must(`INSERT INTO github_connections (application_id, token) SELECT id, $2 FROM applications WHERE name = $1
		ON CONFLICT (application_id) DO UPDATE SET token = excluded.token`, application, token)
	if isReferenced(err) {
		return store.ErrNoToken
	}
	return err
}

// GitHubTokens implements store.GitHubTokens.
func (s *Store) GitHubTokens(ctx context.Context, after string, limit int) ([]string, error) {
	return readList(ctx, s, column[string], `SELECT name FROM github_tokens WHERE name > $1 ORDER BY name LIMIT $2`, after, limited(limit))
}

// DeleteGitHubToken implements store.GitHubTokens. Its connections go with it.
func (s *Store) DeleteGitHubToken(ctx context.Context, name string) error {
	err := s.update(ctx, func(t *tx) error { return t.must(`DELETE FROM github_tokens WHERE name = $1`, name) })
	return about(err, "GitHub token %s", name)
}

// GroupGitHubToken implements store.GitHubTokens.
func (s *Store) GroupGitHubToken(ctx context.Context, group string) (store.GitHubToken, error) {
	scan := func(row scanner) (g store.GitHubToken, err error) {
		err = row.Scan(&g.Name, &g.Sealed)
		return g, err
	}
	g, err := readOne(ctx, s, scan, `SELECT t.name, t.sealed FROM deployment_groups g
		JOIN github_connections c ON c.application_id = g.application_id JOIN github_tokens t ON t.name = c.token WHERE g.id = $1`, group)
	return g, about(err, "GitHub token of group %s", group)
}
