package auth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// newRole makes a role whose trust policy has one statement.
func newRole(t testing.TB, a *Auth, name, effect, principal string) store.Role {
	t.Helper()
	r, err := a.CreateRole(t.Context(), store.Role{
		Name: name, Path: "/ops/", MaxSession: DefaultSession,
		Trust: `{"Statement": {"Effect": "` + effect + `", "Principal": {"AWS": "` + principal + `"}, "Action": "sts:AssumeRole"}}`,
	})
	ok(t, err)
	return r
}

// newSession starts a session as root.
func newSession(t testing.TB, a *Auth, r store.Role, name string) Temporary {
	t.Helper()
	made, err := a.AssumeRole(t.Context(), a.root(), a.RoleARN(r), name, DefaultSession)
	ok(t, err)
	return made
}

// wantProblem looks up credentials that are not good.
func wantProblem(t *testing.T, a *Auth, c sigv4.Credentials, want sigv4.Problem, text string) {
	t.Helper()
	_, _, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken)
	if e, ok := errors.AsType[*sigv4.Error](err); !ok || e.Problem != want || !strings.Contains(e.Text, text) {
		t.Errorf("got error %v, want problem %d that says %q", err, want, text)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		a := newAuth(t, s)
		role := newRole(t, a, "ci", "Allow", "*")
		made := newSession(t, a, role, "build-7")
		c := made.Credentials

		who, secret, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken)
		ok(t, err)
		want := Identity{Kind: Session, ARN: "arn:aws:sts::123456789012:assumed-role/ci/build-7", ID: role.ID + ":build-7", Role: "ci"}
		if who != want || secret != c.SecretAccessKey || made.ARN != want.ARN || made.ID != want.ID {
			t.Errorf("got %+v with secret %q and %+v, want %+v", who, secret, made, want)
		}
		if !strings.HasPrefix(c.AccessKeyID, "ASIA") || time.Until(made.Expires) > time.Hour || time.Until(made.Expires) < 59*time.Minute {
			t.Errorf("got %+v", made)
		}
		wantDenied(t, a.Allow(t.Context(), who, "iam:ListUsers", "*"), "a policy of role ci (aws iam put-role-policy)")
		ok(t, s.PutPolicy(t.Context(), store.Owner{Role: "ci"}, store.Policy{Name: "all", Document: allowAll}))
		ok(t, a.Allow(t.Context(), who, "iam:ListUsers", "*"))

		another := newSession(t, a, role, "build-8").Credentials
		wantProblem(t, a, sigv4.Credentials{AccessKeyID: c.AccessKeyID}, sigv4.UnknownKey, "Set AWS_SESSION_TOKEN")
		wantProblem(t, a, sigv4.Credentials{AccessKeyID: c.AccessKeyID, SessionToken: another.SessionToken}, sigv4.BadToken, "does not belong")
		wantProblem(t, a, sigv4.Credentials{AccessKeyID: c.AccessKeyID, SessionToken: "x"}, sigv4.BadToken, "does not belong")
		wantProblem(t, a, sigv4.Credentials{AccessKeyID: c.AccessKeyID, SessionToken: strings.Repeat("A", maxToken+4)}, sigv4.BadToken, "does not belong")
		wantProblem(t, newAuth(t, s), c, sigv4.BadToken, "another server made it")
		_, key, _ := newUser(t, a, "/", "ann")
		wantProblem(t, a, sigv4.Credentials{AccessKeyID: key.ID, SessionToken: c.SessionToken}, sigv4.BadToken, "Unset AWS_SESSION_TOKEN")

		time.Sleep(time.Until(made.Expires))
		wantProblem(t, a, c, sigv4.ExpiredToken, "expired")
	})
}

// TestSessionEndsWithItsRole: a role of the same name that is made later is another one.
func TestSessionEndsWithItsRole(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	made := newSession(t, a, newRole(t, a, "ci", "Allow", "*"), "build")
	_, _, err := a.Lookup(t.Context(), made.Credentials.AccessKeyID, made.Credentials.SessionToken)
	ok(t, err)
	ok(t, s.DeleteRole(t.Context(), "ci"))
	wantProblem(t, a, made.Credentials, sigv4.BadToken, `role "ci" was deleted`)
	newRole(t, a, "ci", "Allow", "*")
	wantProblem(t, a, made.Credentials, sigv4.BadToken, `role "ci" was deleted`)
}

func TestSessionOfHost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	role := newRole(t, a, "hosts", "Allow", "*")
	ok(t, s.PutPolicy(t.Context(), store.Owner{Role: "hosts"}, store.Policy{Name: "all", Document: allowAll}))
	one, two := newSession(t, a, role, "web-1"), newSession(t, a, role, "web-2")
	lookup := func(made Temporary) Identity {
		t.Helper()
		who, _, err := a.Lookup(t.Context(), made.Credentials.AccessKeyID, made.Credentials.SessionToken)
		ok(t, err)
		return who
	}
	if who := lookup(one); who.Kind != Session {
		t.Errorf("before registration: got %+v", who)
	}
	name := "the-host"
	info := awsapi.InstanceInfo{InstanceName: &name, IamSessionArn: &one.ARN, RegisterTime: awsapi.At(time.Now())}
	ok(t, s.RegisterHost(t.Context(), store.Host{Info: info}))
	who := lookup(one)
	if who.Kind != Host || who.Host != name || who.Role != "hosts" {
		t.Errorf("registered: got %+v", who)
	}
	ok(t, a.Allow(t.Context(), who, ActionCommand+"PollHostCommand", "*"))
	wantDenied(t, a.Allow(t.Context(), who, "iam:ListUsers", "*"), "may only run its own commands")
	if who := lookup(newSession(t, a, role, "web-1")); who.Host != name {
		t.Errorf("the same session with fresh credentials: got %+v", who)
	}
	if who := lookup(two); who.Kind != Session {
		t.Errorf("another session of the role: got %+v", who)
	}
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	for _, name := range []string{"ann", "bob", "eve"} {
		newUser(t, a, "/", name)
	}
	user := func(name string) Identity {
		u, err := s.User(t.Context(), name)
		ok(t, err)
		return Identity{Kind: User, ARN: a.UserARN(u), ID: u.ID, User: name}
	}
	policy := func(of store.Owner, effect string) {
		t.Helper()
		ok(t, s.PutPolicy(t.Context(), of, store.Policy{Name: "p", Document: `{"Statement": {"Effect": "` + effect +
			`", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/ops/*"}}`}))
	}
	policy(store.Owner{User: "bob"}, "Allow")
	policy(store.Owner{User: "eve"}, "Deny")
	named := newRole(t, a, "named", "Allow", user("ann").ARN)
	account := newRole(t, a, "account", "Allow", account)
	everybody := newRole(t, a, "everybody", "Allow", "*")
	forbidden := newRole(t, a, "forbidden", "Deny", "*")
	chained := newRole(t, a, "chained", "Allow", a.RoleARN(named))
	broken, err := a.CreateRole(t.Context(), store.Role{Name: "broken", Path: "/", Trust: "{}", MaxSession: DefaultSession})
	ok(t, err)
	session := Identity{Kind: Session, ARN: "arn:aws:sts::123456789012:assumed-role/named/x", Role: "named"}
	host := Identity{Kind: Host, ARN: user("ann").ARN, User: "ann", Host: "web-1"}

	for _, tt := range []struct {
		who  Identity
		role store.Role
		why  string // "" if it is allowed
	}{
		{a.root(), forbidden, ""},
		{a.root(), broken, ""},
		{user("ann"), named, ""},
		{user("ann"), account, "no identity-based policy"},
		{user("ann"), everybody, ""},
		{user("ann"), forbidden, "explicit deny in the trust policy"},
		{user("ann"), chained, `"Principal": {"AWS": "arn:aws:iam::123456789012:user/ann"}`},
		{user("ann"), broken, "trust policy of the role cannot be read"},
		{user("bob"), account, ""},
		{user("bob"), named, "does not name the caller"},
		{user("eve"), everybody, "explicit deny in the identity-based policy"},
		{session, chained, ""},
		{session, named, `"Principal": {"AWS": "arn:aws:iam::123456789012:role/ops/named"}`},
		{host, everybody, "may only run its own commands"},
		{Identity{}, everybody, "not signed"},
		{user("ann"), store.Role{Name: "gone", Path: "/ops/"}, "no such role"},
		{user("ann"), store.Role{Name: "everybody", Path: "/"}, "no such role"},
	} {
		made, err := a.AssumeRole(t.Context(), tt.who, a.RoleARN(tt.role), "x", MinSession)
		if tt.why != "" {
			wantDenied(t, err, tt.why)
		} else if err != nil || made.Credentials.SessionToken == "" {
			t.Errorf("%s as %s: %v", tt.role.Name, tt.who.ARN, err)
		}
	}
	_, err = a.AssumeRole(t.Context(), a.root(), a.RoleARN(named), "x", DefaultSession+1)
	if e, ok := errors.AsType[*SessionTooLongError](err); !ok || e.Max != DefaultSession {
		t.Errorf("too long a session: got error %v", err)
	}
}
