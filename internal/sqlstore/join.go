package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// CreateJoinToken implements store.JoinTokens.
func (s *Store) CreateJoinToken(ctx context.Context, j store.JoinToken, forget time.Time) error {
	id := awsapi.Value(j.Info.TokenId)
	err := s.update(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM join_tokens WHERE expires_at < $1`, micros(forget)); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO join_tokens (id, secret, created_at, expires_at, info) VALUES ($1, $2, $3, $4, $5)`,
			id, j.Secret, micros(j.Info.CreateTime.Time), micros(j.Info.ExpireTime.Time), document{j.Info})
		return exists(err)
	})
	return about(err, "join token %s", id)
}

const selectJoinToken = `SELECT id, secret, created_at, expires_at, info, used_at, used_by, attempt FROM join_tokens `

func scanJoinToken(row scanner) (j store.JoinToken, err error) {
	var id, usedBy string
	var created, expires, used awsapi.Epoch
	err = row.Scan(&id, &j.Secret, instant{&created.Time}, instant{&expires.Time}, document{&j.Info}, instant{&used.Time}, &usedBy, &j.Attempt)
	j.Info.TokenId, j.Info.CreateTime, j.Info.ExpireTime, j.Info.UseTime = &id, created, expires, used
	if usedBy != "" {
		j.Info.UsedBy = &usedBy
	}
	return j, err
}

// JoinToken implements store.JoinTokens.
func (s *Store) JoinToken(ctx context.Context, id string) (store.JoinToken, error) {
	j, err := readOne(ctx, s, scanJoinToken, selectJoinToken+`WHERE id = $1`, id)
	return j, about(err, "join token %s", id)
}

// JoinTokens implements store.JoinTokens.
func (s *Store) JoinTokens(ctx context.Context) ([]store.JoinToken, error) {
	return readList(ctx, s, scanJoinToken, selectJoinToken+`ORDER BY created_at DESC, id`)
}

// DeleteJoinToken implements store.JoinTokens.
func (s *Store) DeleteJoinToken(ctx context.Context, id string) error {
	err := s.update(ctx, func(t *tx) error { return t.must(`DELETE FROM join_tokens WHERE id = $1`, id) })
	return about(err, "join token %s", id)
}

// Join implements store.JoinTokens.
func (s *Store) Join(ctx context.Context, j store.Join) error {
	err := s.updateIdentities(ctx, func(t *tx) error {
		token, err := one(t, scanJoinToken, selectJoinToken+`WHERE id = $1 {{lock}}`, j.Token)
		switch {
		case err != nil:
			return err
		case j.At.After(token.Info.ExpireTime.Time):
			return store.ErrEnded
		case token.Attempt == nil:
			err = join(t, j)
		default:
			err = rejoin(t, j, token)
		}
		if err != nil {
			return err
		}
		return t.must(`UPDATE join_tokens SET used_at = CASE WHEN used_at = 0 THEN $2 ELSE used_at END, used_by = $3, attempt = $4, access_key = $5
			WHERE id = $1`, j.Token, micros(j.At), j.User.Name, j.Attempt, j.Key.ID)
	})
	return about(err, "join with token %s", j.Token)
}

// join stores a host that is new.
func join(t *tx, j store.Join) error {
	err := registerHost(t, j.Host)
	if inUse := (*store.ARNInUseError)(nil); errors.Is(err, store.ErrExists) || errors.As(err, &inUse) {
		return &store.JoinNameError{Host: true}
	}
	if err != nil {
		return err
	}
	err = insertUser(t, j.User)
	if errors.Is(err, store.ErrExists) {
		return &store.JoinNameError{}
	}
	if err != nil {
		return err
	}
	return insertAccessKey(t, j.Key)
}

// rejoin gives a host whose reply was lost another key in place of the first. The host and its user must still be those
// that the token made.
func rejoin(t *tx, j store.Join, token store.JoinToken) error {
	if !bytes.Equal(token.Attempt, j.Attempt) || awsapi.Value(token.Info.UsedBy) != j.User.Name {
		return store.ErrEnded
	}
	err := t.must(`DELETE FROM access_keys WHERE user_name = $1 AND id = (SELECT access_key FROM join_tokens WHERE id = $2)
		AND EXISTS (SELECT 1 FROM hosts WHERE name = $1 AND arn = $3 AND deregistered_at = 0)`,
		j.User.Name, j.Token, awsapi.Value(j.Host.Info.IamUserArn))
	if errors.Is(err, store.ErrNotFound) {
		return store.ErrEnded // rotated, deleted or deregistered since
	}
	if err != nil {
		return err
	}
	return insertAccessKey(t, j.Key)
}
