package store

import (
	"context"
	"time"

	"grapnel/internal/awsapi"
)

// JoinToken lets one host join. Of its secret, and of the host's, only SHA-256 hashes are kept.
type JoinToken struct {
	Info    awsapi.JoinTokenInfo
	Secret  []byte
	Attempt []byte // of the host that used it; nil while unused
}

// Join is a host that joins with a token that the caller has checked.
type Join struct {
	Token   string // id
	Attempt []byte // SHA-256 of the host's secret
	At      time.Time
	User    User
	Key     AccessKey
	Host    Host
}

// JoinTokens keeps join tokens and lets hosts join with them.
type JoinTokens interface {
	// CreateJoinToken stores a token, and forgets those that expired before the given time.
	CreateJoinToken(ctx context.Context, t JoinToken, forget time.Time) error
	JoinToken(ctx context.Context, id string) (JoinToken, error)
	JoinTokens(ctx context.Context) ([]JoinToken, error) // newest first
	DeleteJoinToken(ctx context.Context, id string) error
	// Join uses up a token and stores the host with its user, access key and tags, all or nothing. The same attempt with the
	// same name may come again as long as the token lives: its key takes the place of the one given before. ErrNotFound without the token; ErrEnded when it is expired or was used by another attempt;
	// *JoinNameError when the host or its user exists already.
	Join(ctx context.Context, j Join) error
}

// JoinNameError says that the name of a host that wants to join is taken.
type JoinNameError struct {
	Host bool // by a registered host; else by a user
}

// Error says by what.
func (e *JoinNameError) Error() string {
	if e.Host {
		return "a host with this name, or with the ARN that it would have, is registered"
	}
	return "there is a user with this name"
}
