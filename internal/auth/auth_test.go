package auth

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/seal"
	"grapnel/internal/sigv4"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

const account = "123456789012"

func newStore(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "grapnel.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newAuth(t testing.TB, s Store) *Auth {
	t.Helper()
	key, err := seal.LoadOrCreateKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Store: s, Key: key, Region: "us-east-1", AccountID: account})
}

// newUser makes a user with one access key.
func newUser(t testing.TB, a *Auth, path, name string) (store.User, store.AccessKey, string) {
	t.Helper()
	u, err := a.CreateUser(t.Context(), path, name)
	if err != nil {
		t.Fatal(err)
	}
	key, secret, err := a.CreateAccessKey(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u, key, secret
}

func countKeys(t *testing.T, s Store, user string) int {
	t.Helper()
	keys, err := s.AccessKeys(t.Context(), user)
	ok(t, err)
	return len(keys)
}

func mustLookup(t *testing.T, a *Auth, id string) (Identity, string) {
	t.Helper()
	who, secret, err := a.Lookup(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	return who, secret
}

func wantUnknown(t *testing.T, a *Auth, id string) {
	t.Helper()
	_, _, err := a.Lookup(t.Context(), id, "")
	if e, ok := errors.AsType[*sigv4.Error](err); !ok || e.Problem != sigv4.UnknownKey {
		t.Errorf("got error %v, want an unknown key", err)
	}
}

func TestRootKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	ensure := func(id, secret string) sigv4.Credentials {
		t.Helper()
		c, err := a.EnsureRoot(t.Context(), id, secret)
		if err != nil {
			t.Fatal(err)
		}
		who, got := mustLookup(t, a, c.AccessKeyID)
		if want := (Identity{Kind: Root, ARN: "arn:aws:iam::123456789012:root", ID: account}); who != want || got != c.SecretAccessKey {
			t.Errorf("got %+v with secret %q, want %+v with %q", who, got, want, c.SecretAccessKey)
		}
		if n := countKeys(t, s, ""); n != 1 {
			t.Errorf("there are %d root keys, want one", n)
		}
		return c
	}

	made := ensure("", "")
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(made.AccessKeyID) || len(made.SecretAccessKey) != 40 {
		t.Errorf("got %+v", made)
	}
	if again := ensure("", ""); again != made {
		t.Errorf("the second start got %+v, want %+v", again, made)
	}
	ensure("OPERATORS_CHOICE_1", "the-operators-own-secret")
	wantUnknown(t, a, made.AccessKeyID)
	chosen := ensure("OPERATORS_CHOICE_1", "another-secret-for-the-same-id")
	if kept := ensure("", ""); kept != chosen {
		t.Errorf("a start without settings got %+v, want %+v", kept, chosen)
	}
}

func TestRootKeyRefused(t *testing.T) {
	t.Parallel()
	a := newAuth(t, newStore(t))
	_, users, _ := newUser(t, a, "/", "ann")
	const secret = "0123456789abcdef"
	for _, tt := range []struct{ id, secret, want string }{
		{"SHORT", secret, "16 to 128"},
		{"", secret, "16 to 128"},
		{"0123456789ABCDEF", "short", "16 to 128"},
		{"0123456789ABCDEF", secret + "\n[other]", "without spaces"},
		{users.ID, secret, "choose another id"},
	} {
		_, err := a.EnsureRoot(t.Context(), tt.id, tt.secret)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("EnsureRoot(%q, %q): got error %v, want one that says %q", tt.id, tt.secret, err, tt.want)
		}
		if err != nil && tt.secret != "" && strings.Contains(err.Error(), tt.secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// TestLostKeyFile: the operator can choose a new root key when the file that seals secrets is gone.
func TestLostKeyFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	before, err := newAuth(t, s).EnsureRoot(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	a := newAuth(t, s) // another key file
	if _, err := a.EnsureRoot(t.Context(), "", ""); err == nil || !strings.Contains(err.Error(), "restore the key file") {
		t.Errorf("got error %v, want one that says what to restore", err)
	}
	if _, err := a.EnsureRoot(t.Context(), before.AccessKeyID, before.SecretAccessKey); err != nil {
		t.Error(err)
	}
	if _, got := mustLookup(t, a, before.AccessKeyID); got != before.SecretAccessKey {
		t.Errorf("got secret %q, want %q", got, before.SecretAccessKey)
	}
}

func TestLookupUser(t *testing.T) {
	t.Parallel()
	a := newAuth(t, newStore(t))
	u, key, secret := newUser(t, a, "/ops/", "ann")
	who, got := mustLookup(t, a, key.ID)
	want := Identity{Kind: User, ARN: "arn:aws:iam::123456789012:user/ops/ann", ID: u.ID, User: "ann"}
	if diff := cmp.Diff(want, who); diff != "" || got != secret {
		t.Errorf("secret %q, want %q; identity (-want +got):\n%s", got, secret, diff)
	}
	if strings.Contains(string(key.Secret), secret) {
		t.Error("the stored secret is not sealed")
	}
	wantUnknown(t, a, "AKIANOSUCHKEY0000000")
	wantUnknown(t, a, "")
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	if _, err := a.CreateUser(t.Context(), "/", "ann"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	errs := make(chan error, 10)
	for range cap(errs) {
		group.Go(func() {
			_, _, err := a.CreateAccessKey(t.Context(), "ann")
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil && !errors.Is(err, ErrTooManyKeys) {
			t.Error(err)
		}
	}
	if n := countKeys(t, s, "ann"); n != MaxKeys {
		t.Errorf("got %d keys, want %d", n, MaxKeys)
	}
}

// TestMovedRow: somebody who can write to the database cannot make their own key the root's.
func TestMovedRow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	_, key, _ := newUser(t, a, "/", "ann")
	ok(t, s.DeleteAccessKey(t.Context(), "ann", key.ID))
	key.User = ""
	ok(t, s.CreateAccessKey(t.Context(), key, 0))
	if who, _, err := a.Lookup(t.Context(), key.ID, ""); err == nil {
		t.Errorf("got %+v, want an error", who)
	}
}

func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	_, key, _ := newUser(t, a, "/", "ann")
	mustLookup(t, a, key.ID)
	if err := a.SetAccessKeyActive(t.Context(), "ann", key.ID, false); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, a, key.ID)
	if err := a.SetAccessKeyActive(t.Context(), "ann", key.ID, true); err != nil {
		t.Fatal(err)
	}
	mustLookup(t, a, key.ID)
	if err := a.DeleteAccessKey(t.Context(), "ann", key.ID); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, a, key.ID)
}

// watched counts the reads of keys, and lets a test do something between a read and what follows it. With elsewhere, writes
// look like those of another server of the database.
type watched struct {
	*sqlstore.Store
	reads     int
	afterRead func()
	elsewhere bool
}

func (w *watched) IdentityVersion() uint64 {
	if w.elsewhere {
		return 0
	}
	return w.Store.IdentityVersion()
}

func (w *watched) AccessKey(ctx context.Context, id string) (store.AccessKey, error) {
	w.reads++
	row, err := w.Store.AccessKey(ctx, id)
	if w.afterRead != nil {
		w.afterRead()
	}
	return row, err
}

// TestRevokedWhileRead: a key that is deleted while it is being read must not be remembered.
func TestRevokedWhileRead(t *testing.T) {
	t.Parallel()
	s := &watched{Store: newStore(t)}
	a := newAuth(t, s)
	_, key, _ := newUser(t, a, "/", "ann")
	s.afterRead = func() {
		s.afterRead = nil
		ok(t, a.SetAccessKeyActive(t.Context(), "ann", key.ID, false))
	}
	mustLookup(t, a, key.ID) // it was good when it was read
	wantUnknown(t, a, key.ID)
}

// TestCacheAges: what another server deletes works here no longer than cacheLife.
func TestCacheAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &watched{Store: newStore(t)}
		a := newAuth(t, s)
		_, key, _ := newUser(t, a, "/", "ann")
		s.elsewhere = true
		for range 3 {
			mustLookup(t, a, key.ID)
		}
		if s.reads != 1 {
			t.Errorf("the key was read %d times, want once", s.reads)
		}
		ok(t, s.DeleteAccessKey(t.Context(), "ann", key.ID))
		mustLookup(t, a, key.ID)
		time.Sleep(cacheLife)
		wantUnknown(t, a, key.ID)
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache[int]
	for i := range 3 * cacheSize {
		c.put(randomID("AKIA", 16), entry[int]{value: i})
		if len(c.entries) > cacheSize {
			t.Fatalf("the cache holds %d entries, want at most %d", len(c.entries), cacheSize)
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	_, key, _ := newUser(t, a, "/AWS/CodeDeploy/", "web-1")
	_, longer, _ := newUser(t, a, "/AWS/CodeDeploy/", "web-10")
	arn := "arn:aws:iam::123456789012:user/AWS/CodeDeploy/web-1"
	name := "the-host"

	if who, _ := mustLookup(t, a, key.ID); who.Kind != User {
		t.Errorf("before registration: got %+v", who)
	}
	info := awsapi.InstanceInfo{InstanceName: &name, IamUserArn: &arn, RegisterTime: awsapi.At(time.Now())}
	ok(t, s.RegisterHost(t.Context(), store.Host{Info: info}))
	if who, _ := mustLookup(t, a, key.ID); who.Kind != Host || who.Host != name || who.User != "web-1" || who.ARN != arn {
		t.Errorf("registered: got %+v", who)
	}
	if who, _ := mustLookup(t, a, longer.ID); who.Kind != User {
		t.Errorf("a name that begins the same: got %+v", who)
	}
	_, err := s.DeregisterHost(t.Context(), name, time.Now())
	ok(t, err)
	if who, _ := mustLookup(t, a, key.ID); who.Kind != User {
		t.Errorf("deregistered: got %+v", who)
	}
}

// issue stores a deployment of an application of its own, with one Work for the host.
func issue(t *testing.T, s *sqlstore.Store, id, host string, revision awsapi.RevisionLocation) deploy.Work {
	t.Helper()
	name, now := "of-"+id, time.Now()
	ok(t, s.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: &name, ApplicationName: &name, CreateTime: awsapi.At(now),
	}}))
	ok(t, s.CreateGroup(t.Context(), store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: &name, DeploymentGroupName: &name, DeploymentGroupId: &name,
		DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
	}}))
	ok(t, s.CreateDeployment(t.Context(), store.Deployment{
		Info:    awsapi.DeploymentInfo{DeploymentId: &id, Revision: &revision, CreateTime: awsapi.At(now)},
		GroupID: name, RevisionKey: store.RevisionKey(revision), Status: deploy.Created,
		Plan: deploy.Plan{Phases: []deploy.Phase{{Targets: []string{host}, Steps: []deploy.Step{{Event: "Install"}}}}},
	}))
	state, err := s.Load(t.Context(), id)
	ok(t, err)
	w := deploy.Work{
		ID: deploy.WorkID(id, 0, 0, host), Target: host, Event: "Install", Status: deploy.WorkPending, IssuedAt: now, Due: now.Add(time.Hour),
	}
	ok(t, s.Commit(t.Context(), store.Round{
		State: state, At: now, Decision: deploy.Decision{Status: deploy.InProgress, Issue: []deploy.Work{w}},
	}))
	return w
}

func bundle(bucket, key string) awsapi.RevisionLocation {
	return awsapi.RevisionLocation{
		RevisionType: awsapi.RevisionLocationTypeS3, S3Location: &awsapi.S3Location{Bucket: &bucket, Key: &key, BundleType: "zip"},
	}
}

// TestAllowVersion: a host reads the version that its revision names, and of a revision that names none what is current.
func TestAllowVersion(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	location := bundle("bundles", "versioned.zip")
	location.S3Location.Version = new("V2")
	issue(t, s, "d-1", "web-1", location)
	issue(t, s, "d-2", "web-1", bundle("bundles", "plain.zip"))
	host := Identity{Kind: Host, ARN: "arn:aws:iam::123456789012:user/web-1", User: "web-1", Host: "web-1"}
	for _, tt := range []struct {
		action, key, version string
		want                 bool
	}{
		{ActionGetObjectVersion, "versioned.zip", "V2", true},
		{ActionGetObjectVersion, "versioned.zip", "V1", false},
		{ActionGetObject, "versioned.zip", "", false},
		{ActionGetObject, "plain.zip", "", true},
		{ActionGetObjectVersion, "plain.zip", "V2", false},
		{"s3:DeleteObjectVersion", "versioned.zip", "V2", false},
	} {
		if err := a.AllowObject(t.Context(), host, tt.action, "bundles", tt.key, tt.version); (err == nil) != tt.want {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newAuth(t, s)
	ended := issue(t, s, "d-0", "web-1", bundle("bundles", "app/0.zip"))
	ok(t, s.Complete(t.Context(), ended.ID, deploy.WorkSucceeded, deploy.Diagnostics{}, time.Now()))
	issue(t, s, "d-1", "web-1", bundle("bundles", "app/1.zip"))
	issue(t, s, "d-2", "web-1", awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeGitHub})
	issue(t, s, "d-3", "web-1", bundle("bundles", "app/2.zip"))
	issue(t, s, "d-4", "web-2", bundle("bundles", "app/3.zip"))
	// What `aws deploy register` lets every host do, and more.
	for _, name := range []string{"web-1", "web-2"} {
		newUser(t, a, "/", name)
		ok(t, s.PutPolicy(t.Context(), store.Owner{User: name}, store.Policy{Name: "codedeploy-agent", Document: allowAll}))
	}

	root := Identity{Kind: Root, ARN: "arn:aws:iam::123456789012:root"}
	user := Identity{Kind: User, ARN: "arn:aws:iam::123456789012:user/ann", User: "ann"}
	host := Identity{Kind: Host, ARN: "arn:aws:iam::123456789012:user/web-1", User: "web-1", Host: "web-1"}
	poll := ActionCommand + "PollHostCommand"
	for _, tt := range []struct {
		who              Identity
		action, resource string
		want             bool
	}{
		{root, "iam:CreateUser", "*", true},
		{root, "s3:DeleteObject", ObjectARN("bundles", "app/1.zip"), true},
		{root, poll, "*", true},
		{user, ActionGetCallerIdentity, "*", true},
		{user, "iam:GetUser", user.ARN, false},
		{user, poll, "*", false},
		{user, ActionGetObject, ObjectARN("bundles", "app/1.zip"), false},
		{host, ActionGetCallerIdentity, "*", true},
		{host, poll, "*", true},
		{host, "codedeploy:GetDeployment", "*", false},
		{host, ActionRotateHostKey, "*", true},
		{user, ActionRotateHostKey, "*", false},
		{host, "grapnel:GetDeploymentLog", "*", false},
		{host, ActionAssumeRole, "arn:aws:iam::123456789012:role/ci", false},
		{host, ActionGetObject, ObjectARN("aws-codedeploy-us-east-1", "latest/install"), true},
		{host, ActionGetObject, ObjectARN("aws-codedeploy-us-east-1", "other"), false},
		{host, ActionGetObject, ObjectARN("aws-codedeploy-eu-west-1", "latest/install"), false},
		{host, "s3:PutObject", ObjectARN("aws-codedeploy-us-east-1", "latest/install"), false},
		{host, ActionGetObject, ObjectARN("bundles", "app/1.zip"), true},
		{host, ActionGetObject, ObjectARN("bundles", "app/2.zip"), true},
		{host, ActionGetObject, ObjectARN("bundles", "app/3.zip"), false},
		{host, ActionGetObject, ObjectARN("bundles", "app/0.zip"), false},
		{host, ActionGetObject, ObjectARN("bundles", "app/1.zip2"), false},
		{host, ActionGetObject, ObjectARN("bundles", ""), false},
		{host, ActionGetObject, "*", false},
		{host, "s3:PutObject", ObjectARN("bundles", "app/1.zip"), false},
		{host, "s3:ListBucket", "arn:aws:s3:::bundles", false},
		{Identity{}, ActionGetCallerIdentity, "*", false},
		{Identity{}, poll, "*", false},
	} {
		err := a.Allow(t.Context(), tt.who, tt.action, tt.resource)
		if tt.want && err != nil {
			t.Errorf("%+v %s: %v", tt.who, tt.action, err)
		}
		if tt.want {
			continue
		}
		e, ok := errors.AsType[*DeniedError](err)
		if !ok {
			t.Errorf("%s may %s on %s; got error %v, want a refusal", tt.who.ARN, tt.action, tt.resource, err)
			continue
		}
		for _, part := range []string{tt.who.ARN, tt.action, tt.resource} {
			if !strings.Contains(e.Error(), part) {
				t.Errorf("the message %q does not name %q", e, part)
			}
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	if got := FromContext(t.Context()); got != (Identity{}) {
		t.Errorf("without an identity: got %+v", got)
	}
	want := Identity{Kind: Root, ARN: "arn:aws:iam::123456789012:root"}
	if got := FromContext(NewContext(t.Context(), want)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWriteCredentials(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := WriteCredentials(path, sigv4.Credentials{AccessKeyID: "AKIAX", SecretAccessKey: "s/+="}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "[default]\naws_access_key_id = AKIAX\naws_secret_access_key = s/+=\n"; err != nil || string(got) != want {
		t.Errorf("got %q, error %v; want %q", got, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, error %v; want 0600", info.Mode(), err)
	}
}
