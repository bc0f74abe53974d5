package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"grapnel/internal/audit"
	"grapnel/internal/policy"
	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// Bounds of a session's length, as AWS has them. How long the sessions of a role may be at most is the role's own setting,
// at least DefaultSession.
const (
	MinSession     = 15 * time.Minute
	DefaultSession = time.Hour
	MaxSession     = 12 * time.Hour
)

// ActionAssumeRole is the right to take on a role.
const ActionAssumeRole = "sts:AssumeRole"

// Temporary is the credentials of a session.
type Temporary struct {
	Credentials sigv4.Credentials
	Expires     time.Time // whole seconds
	ARN         string
	ID          string
}

// SessionTooLongError says that the role does not allow sessions of the length that was asked for.
type SessionTooLongError struct{ Max time.Duration }

// Error tells the longest that it allows.
func (e *SessionTooLongError) Error() string {
	return fmt.Sprintf("the sessions of this role may be at most %v long", e.Max)
}

// claims is what a session token holds. It is all that is known of a session.
type claims struct {
	Role    string `json:"r"`
	RoleID  string `json:"i"` // a role that is made again under the same name is another
	Session string `json:"n"`
	Secret  string `json:"s"`
	Expires int64  `json:"e"` // seconds since 1970
}

// maxToken is the longest session token in bytes that is looked at; ours are under 1 KiB.
const maxToken = 4 << 10

// temporary begins the ids of access keys that go with a session token, as on AWS.
const temporary = "ASIA"

// tokenName binds a token to its access key.
func tokenName(accessKeyID string) string { return "session/" + accessKeyID }

// AssumeRole starts a session of the role with this ARN for somebody. A *DeniedError when they may not, or there is no such
// role: only who may take it on learns that it exists. *SessionTooLongError.
func (a *Auth) AssumeRole(ctx context.Context, who Identity, arn, session string, length time.Duration) (Temporary, error) {
	audit.Note(ctx, ActionAssumeRole, arn)
	role, err := a.store.Role(ctx, arn[strings.LastIndexByte(arn, '/')+1:])
	if err == nil && a.RoleARN(role) != arn {
		err = store.ErrNotFound
	}
	if errors.Is(err, store.ErrNotFound) {
		return Temporary{}, &DeniedError{who, ActionAssumeRole, arn, "because there is no such role, or its trust policy does not name " +
			"the caller: aws iam list-roles tells which there are"}
	}
	if err != nil {
		return Temporary{}, err
	}
	if err := a.mayAssume(ctx, who, role); err != nil {
		return Temporary{}, err
	}
	if length > role.MaxSession {
		return Temporary{}, &SessionTooLongError{role.MaxSession}
	}
	return a.newSession(role, session, now().Add(length)), nil
}

func (a *Auth) newSession(role store.Role, session string, expires time.Time) Temporary {
	c := newCredentials(temporary)
	token, err := json.Marshal(claims{role.Name, role.ID, session, c.SecretAccessKey, expires.Unix()})
	if err != nil {
		panic(err) // strings and a number always encode
	}
	c.SessionToken = base64.StdEncoding.EncodeToString(a.key.Seal(tokenName(c.AccessKeyID), token))
	return Temporary{
		Credentials: c, Expires: time.Unix(expires.Unix(), 0).UTC(), ARN: a.sessionARN(role.Name, session), ID: role.ID + ":" + session,
	}
}

// mayAssume holds a caller to the trust policy of a role and to their own policies: somebody whom the trust policy names needs
// no policy of their own, somebody whose account it names does, and a Deny on either side counts.
func (a *Auth) mayAssume(ctx context.Context, who Identity, role store.Role) error {
	arn := a.RoleARN(role)
	denied := func(why string) error { return &DeniedError{who, ActionAssumeRole, arn, why} }
	switch who.Kind {
	case Root:
		return nil
	case Nobody, Host:
		return a.Allow(ctx, who, ActionAssumeRole, arn)
	}
	names := []string{who.ARN}
	if who.Role != "" {
		own, err := a.store.Role(ctx, who.Role)
		if err != nil {
			return err
		}
		names = append(names, a.RoleARN(own))
	}
	trust, err := policy.ParseTrust(role.Trust)
	if err != nil {
		return denied(fmt.Sprintf("because the trust policy of the role cannot be read: %v; replace it with aws iam update-assume-role-policy", err))
	}
	own, err := a.judge(ctx, who, ActionAssumeRole, arn)
	if err != nil {
		return err
	}
	switch answer := trust.Evaluate(ActionAssumeRole, a.account, names...); {
	case answer == policy.Denied:
		return denied("with an explicit deny in the trust policy of the role")
	case own.answer == policy.Denied, answer == policy.Delegated && own.answer != policy.Allowed:
		return denied(own.why)
	case answer == policy.Silent:
		return denied("because the trust policy of the role does not name the caller; add this to it (aws iam update-assume-role-policy): " +
			`{"Effect": "Allow", "Principal": {"AWS": "` + names[len(names)-1] + `"}, "Action": "` + ActionAssumeRole + `"}`)
	}
	return nil
}

// readSession opens a session token and makes sure that its role is still there. It says nothing about the token's time.
func (a *Auth) readSession(ctx context.Context, accessKeyID, token string) (credential, error) {
	if !strings.HasPrefix(accessKeyID, temporary) {
		return credential{}, sigv4.Errorf(sigv4.BadToken, "The security token included in the request is invalid: %s is a key that needs "+
			"none. Unset AWS_SESSION_TOKEN.", accessKeyID)
	}
	c, err := a.openToken(accessKeyID, token)
	if err != nil {
		return credential{}, sigv4.Errorf(sigv4.BadToken, "The security token included in the request is invalid: it does not belong to the "+
			"access key %s, or another server made it. Set all three parts of the credentials that AssumeRole returned.", accessKeyID)
	}
	role, err := a.store.Role(ctx, c.Role)
	if errors.Is(err, store.ErrNotFound) || err == nil && role.ID != c.RoleID {
		return credential{}, sigv4.Errorf(sigv4.BadToken, "The security token included in the request is invalid: its role %q was deleted. "+
			"Take on another one.", c.Role)
	}
	if err != nil {
		return credential{}, fmt.Errorf("load role %q: %w", c.Role, err)
	}
	id, err := a.orHost(ctx, Identity{Kind: Session, ARN: a.sessionARN(c.Role, c.Session), ID: c.RoleID + ":" + c.Session, Role: c.Role})
	return credential{id, c.Secret, time.Unix(c.Expires, 0).UTC()}, err
}

func (a *Auth) openToken(accessKeyID, token string) (c claims, err error) {
	if len(token) > maxToken {
		return c, errors.New("the token is too long")
	}
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return c, err
	}
	plain, err := a.key.Open(tokenName(accessKeyID), sealed)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(plain, &c)
}

// CreateRole stores a new role with an id of its own; store.ErrExists when the name is taken. Of r, ID and CreatedAt are
// filled in.
func (a *Auth) CreateRole(ctx context.Context, r store.Role) (store.Role, error) {
	r.ID, r.CreatedAt = randomID("AROA", 17), now()
	return r, a.store.CreateRole(ctx, r)
}
