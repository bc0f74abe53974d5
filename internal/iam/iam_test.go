package iam

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/auth"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsquery"
	"grapnel/internal/seal"
	"grapnel/internal/sigv4"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

const (
	account  = "123456789012"
	trustAll = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`
	allowAll = `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

// server is both endpoints at one address, behind signature verification and on a real database.
type server struct {
	t     testing.TB
	url   string
	store *sqlstore.Store
	auth  *auth.Auth
	root  sigv4.Credentials
}

func newServer(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlstore.Open(t.Context(), filepath.Join(dir, "grapnel.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	key, err := seal.LoadOrCreateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	a := auth.New(auth.Options{Store: db, Key: key, Region: "us-east-1", AccountID: account})
	root, err := a.EnsureRoot(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	iam, sts := New(Options{Auth: a, Store: db, AccountID: account})
	h := httptest.NewServer(verified(a, map[string]http.Handler{"iam": iam, "sts": sts}))
	t.Cleanup(h.Close)
	return &server{t: t, url: h.URL, store: db, auth: a, root: root}
}

// verified routes a request by the service that it is signed for, once the signature is known to be good.
func verified(a *auth.Auth, services map[string]http.Handler) http.Handler {
	var v sigv4.Verifier
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := sigv4.Parse(r)
		var id auth.Identity
		var secret string
		if err == nil {
			id, secret, err = a.Lookup(r.Context(), q.Scope.AccessKeyID, q.Token)
		}
		if err == nil {
			r, err = v.Verify(q, secret, time.Now())
		}
		if e, ok := errors.AsType[*sigv4.Error](err); ok {
			code := awsquery.SignatureDoesNotMatch
			if e.Problem == sigv4.UnknownKey {
				code = awsquery.InvalidClientTokenID
			}
			awsquery.WriteError(w, awsquery.Errorf(http.StatusForbidden, code, "%v", e))
			return
		}
		if err != nil {
			awsquery.WriteError(w, awsquery.Errorf(http.StatusInternalServerError, awsquery.InternalFailure, "%v", err))
			return
		}
		services[q.Scope.Service].ServeHTTP(w, r.WithContext(auth.NewContext(r.Context(), id)))
	})
}

// call performs an action of IAM with parameters in the form "Name=value" and returns the status and the reply.
func (s *server) call(as sigv4.Credentials, action string, parameters ...string) (int, string) {
	return s.send(as, "iam", "2010-05-08", action, parameters)
}

func (s *server) send(as sigv4.Credentials, service, version, action string, parameters []string) (int, string) {
	s.t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		form.Set(name, value)
	}
	body := form.Encode()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := sigv4.Sign(r, as, "us-east-1", service, fmt.Sprintf("%x", sha256.Sum256([]byte(body))), time.Now()); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(reply)
}

// must performs an action as root and stores its reply in out, unless that is nil.
func (s *server) must(out any, action string, parameters ...string) {
	s.t.Helper()
	status, reply := s.call(s.root, action, parameters...)
	if status != http.StatusOK {
		s.t.Fatalf("%s %v: %d %s", action, parameters, status, reply)
	}
	if out == nil {
		return
	}
	if err := xml.Unmarshal([]byte(reply), out); err != nil {
		s.t.Fatalf("%s: %v in %s", action, err, reply)
	}
}

// wantError performs an action that fails.
func (s *server) wantError(as sigv4.Credentials, status int, code, message, action string, parameters ...string) {
	s.t.Helper()
	gotStatus, reply := s.call(as, action, parameters...)
	var got struct {
		Error struct{ Code, Message string }
	}
	if err := xml.Unmarshal([]byte(reply), &got); err != nil {
		s.t.Fatalf("%v in %s", err, reply)
	}
	if gotStatus != status || got.Error.Code != code || !strings.Contains(got.Error.Message, message) {
		s.t.Errorf("%s %.200v: got %d %+v; want %d %s with %q", action, parameters, gotStatus, got.Error, status, code, message)
	}
}

// newUser makes a user with an access key.
func (s *server) newUser(path, name string) sigv4.Credentials {
	s.t.Helper()
	s.must(nil, "CreateUser", "UserName="+name, "Path="+path)
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	s.must(&key, "CreateAccessKey", "UserName="+name)
	return sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
}

func TestUser(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var made, got struct {
		User userXML `xml:"CreateUserResult>User"`
	}
	s.must(&made, "CreateUser", "UserName=web-1", "Path=/AWS/CodeDeploy/")
	u := made.User
	if u.ARN != "arn:aws:iam::123456789012:user/AWS/CodeDeploy/web-1" || len(u.UserID) != 21 || !strings.HasPrefix(u.UserID, "AIDA") ||
		u.Path != "/AWS/CodeDeploy/" || u.UserName != "web-1" || time.Since(u.CreateDate) > time.Minute {
		t.Errorf("got %+v", u)
	}
	var read struct {
		User userXML `xml:"GetUserResult>User"`
	}
	s.must(&read, "GetUser", "UserName=web-1")
	if diff := cmp.Diff(u, read.User); diff != "" {
		t.Errorf("GetUser differs from CreateUser:\n%s", diff)
	}
	s.must(&got, "CreateUser", "UserName=ann")
	if got.User.Path != "/" || got.User.ARN != "arn:aws:iam::123456789012:user/ann" {
		t.Errorf("without a path: got %+v", got.User)
	}
	s.must(nil, "DeleteUser", "UserName=web-1")
	s.wantError(s.root, 404, "NoSuchEntity", "web-1", "GetUser", "UserName=web-1")
}

func TestAccessKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.newUser("/", "ann")
	who := func() int {
		status, _ := s.send(key, "sts", "2011-06-15", "GetCallerIdentity", nil)
		return status
	}
	if got := who(); got != http.StatusOK {
		t.Fatalf("a new key: got status %d", got)
	}
	s.must(nil, "UpdateAccessKey", "UserName=ann", "AccessKeyId="+key.AccessKeyID, "Status=Inactive")
	if got := who(); got != http.StatusForbidden {
		t.Errorf("an inactive key: got status %d", got)
	}
	_, reply := s.call(s.root, "ListAccessKeys", "UserName=ann")
	if !strings.Contains(reply, "<AccessKeyId>"+key.AccessKeyID+"</AccessKeyId><Status>Inactive</Status>") ||
		strings.Contains(reply, "Secret") {
		t.Errorf("got %s", reply)
	}
	s.must(nil, "UpdateAccessKey", "UserName=ann", "AccessKeyId="+key.AccessKeyID, "Status=Active")
	if got := who(); got != http.StatusOK {
		t.Errorf("an activated key: got status %d", got)
	}
	s.must(nil, "DeleteAccessKey", "UserName=ann", "AccessKeyId="+key.AccessKeyID)
	if got := who(); got != http.StatusForbidden {
		t.Errorf("a deleted key: got status %d", got)
	}
	_, reply = s.call(s.root, "ListAccessKeys", "UserName=ann")
	if !strings.Contains(reply, "<AccessKeyMetadata></AccessKeyMetadata><IsTruncated>false</IsTruncated></") {
		t.Errorf("an empty list: got %s", reply)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newUser("/", "ann")
	const text = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::a+b/é%/*"}}`
	s.must(nil, "PutUserPolicy", "UserName=ann", "PolicyName=p", "PolicyDocument="+strings.Replace(text, "Allow", "Deny", 1))
	s.must(nil, "PutUserPolicy", "UserName=ann", "PolicyName=p", "PolicyDocument="+text)
	var got struct {
		Document string `xml:"GetUserPolicyResult>PolicyDocument"`
	}
	s.must(&got, "GetUserPolicy", "UserName=ann", "PolicyName=p")
	if back, err := url.PathUnescape(got.Document); err != nil || back != text || strings.ContainsAny(got.Document, "+ {") {
		t.Errorf("got %q, error %v; want %q in percent encoding", got.Document, err, text)
	}
	_, reply := s.call(s.root, "ListUserPolicies", "UserName=ann")
	if !strings.Contains(reply, "<PolicyNames><member>p</member></PolicyNames>") {
		t.Errorf("got %s", reply)
	}
	s.must(nil, "DeleteUserPolicy", "UserName=ann", "PolicyName=p")
	s.wantError(s.root, 404, "NoSuchEntity", "p", "GetUserPolicy", "UserName=ann", "PolicyName=p")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newUser("/", "ann")
	s.must(nil, "CreateAccessKey", "UserName=ann")
	s.must(nil, "CreateRole", "RoleName=ci", "AssumeRolePolicyDocument="+trustAll)
	s.must(nil, "PutRolePolicy", "RoleName=ci", "PolicyName=p", "PolicyDocument="+allowAll)
	const none = "AccessKeyId=AKIAAAAAAAAAAAAAAAAA"
	long := strings.Repeat("x", 65)
	for _, tt := range []struct {
		status        int
		code, message string
		call          string // action and parameters
	}{
		{409, "EntityAlreadyExists", "ann", "CreateUser UserName=ann"},
		{400, "ValidationError", "UserName is missing", "CreateUser"},
		{400, "ValidationError", "at most 64", "CreateUser UserName=" + long},
		{400, "ValidationError", "a/b", "CreateUser UserName=a/b"},
		{400, "ValidationError", "Path", "CreateUser UserName=x Path=a/"},
		{400, "ValidationError", "Path", "CreateUser UserName=x Path=/é/"},
		{400, "InvalidInput", "tags", "CreateUser UserName=x Tags.member.1.Key=k"},
		{404, "NoSuchEntity", "bob", "GetUser UserName=bob"},
		{404, "NoSuchEntity", long, "GetUser UserName=" + long},
		{400, "ValidationError", "at most 128", "GetUser UserName=" + long + long},
		{404, "NoSuchEntity", "bob", "DeleteUser UserName=bob"},
		{409, "DeleteConflict", "access keys", "DeleteUser UserName=ann"},
		{400, "ValidationError", "UserName is missing", "DeleteUser"},
		{409, "LimitExceeded", "2 access keys", "CreateAccessKey UserName=ann"},
		{404, "NoSuchEntity", "bob", "CreateAccessKey UserName=bob"},
		{400, "ValidationError", "UserName is missing", "CreateAccessKey"},
		{404, "NoSuchEntity", "AKIA", "DeleteAccessKey UserName=ann " + none},
		{404, "NoSuchEntity", "bob", "DeleteAccessKey UserName=bob " + none},
		{400, "ValidationError", "AccessKeyId", "DeleteAccessKey UserName=ann"},
		{404, "NoSuchEntity", "AKIA", "UpdateAccessKey UserName=ann Status=Active " + none},
		{400, "ValidationError", "Status", "UpdateAccessKey UserName=ann Status=Off " + none},
		{404, "NoSuchEntity", "bob", "ListAccessKeys UserName=bob"},
		{404, "NoSuchEntity", "bob", "ListUserPolicies UserName=bob"},
		{400, "ValidationError", "UserName", "ListUserPolicies"},
		{400, "ValidationError", "MaxItems", "ListUsers MaxItems=0"},
		{400, "ValidationError", "MaxItems", "ListUsers MaxItems=1001"},
		{400, "ValidationError", "PathPrefix", "ListUsers PathPrefix=x"},
		{404, "NoSuchEntity", "p", "GetUserPolicy UserName=ann PolicyName=p"},
		{404, "NoSuchEntity", "p", "DeleteUserPolicy UserName=ann PolicyName=p"},
		{400, "ValidationError", "PolicyName", "GetUserPolicy UserName=ann"},
		{400, "MalformedPolicyDocument", "JSON", "PutUserPolicy UserName=ann PolicyName=p PolicyDocument=x"},
		{404, "NoSuchEntity", "bob", "PutUserPolicy UserName=bob PolicyName=p PolicyDocument={}"},
		{400, "InvalidAction", "does not offer", "DeleteAccount"},
		{404, "NoSuchEntity", "bob", "ListAttachedUserPolicies UserName=bob"},
		{404, "NoSuchEntity", "bob", "ListAttachedRolePolicies RoleName=bob"},
		{404, "NoSuchEntity", "access keys only", "GetLoginProfile UserName=ann"},
		{409, "EntityAlreadyExists", "ci", "CreateRole RoleName=ci AssumeRolePolicyDocument=" + trustAll},
		{400, "ValidationError", "RoleName is missing", "CreateRole"},
		{400, "ValidationError", "Path", "CreateRole RoleName=x Path=a"},
		{400, "ValidationError", "Description", "CreateRole RoleName=x Description=日"},
		{400, "ValidationError", "between 3600 and 43200", "CreateRole RoleName=x MaxSessionDuration=3599"},
		{400, "InvalidInput", "tags", "CreateRole RoleName=x Tags.member.1.Key=k"},
		{400, "MalformedPolicyDocument", "JSON", "CreateRole RoleName=x"},
		{400, "MalformedPolicyDocument", "no Statement", "UpdateAssumeRolePolicy RoleName=ci PolicyDocument={}"},
		{404, "NoSuchEntity", "bob", "UpdateAssumeRolePolicy RoleName=bob PolicyDocument=" + trustAll},
		{404, "NoSuchEntity", "bob", "UpdateRole RoleName=bob"},
		{400, "ValidationError", "between 3600 and 43200", "UpdateRole RoleName=ci MaxSessionDuration=43201"},
		{404, "NoSuchEntity", "bob", "GetRole RoleName=bob"},
		{404, "NoSuchEntity", "bob", "DeleteRole RoleName=bob"},
		{409, "DeleteConflict", "inline policies", "DeleteRole RoleName=ci"},
		{404, "NoSuchEntity", "bob", "ListRolePolicies RoleName=bob"},
		{404, "NoSuchEntity", "role policy with name q", "GetRolePolicy RoleName=ci PolicyName=q"},
		{404, "NoSuchEntity", "role policy with name q", "DeleteRolePolicy RoleName=ci PolicyName=q"},
		{400, "MalformedPolicyDocument", "no Statement", "PutRolePolicy RoleName=ci PolicyName=q PolicyDocument={}"},
		{400, "ValidationError", "PathPrefix", "ListRoles PathPrefix=x"},
	} {
		fields := strings.Fields(tt.call)
		s.wantError(s.root, tt.status, tt.code, tt.message, fields[0], fields[1:]...)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.newUser("/ops/", "ann")
	for _, call := range []string{
		"CreateUser UserName=x", "GetUser", "GetUser UserName=nobody", "ListUsers", "DeleteUser UserName=ann",
		"CreateAccessKey", "ListAccessKeys", "UpdateAccessKey Status=Inactive AccessKeyId=" + ann.AccessKeyID,
		"DeleteAccessKey AccessKeyId=" + ann.AccessKeyID, "PutUserPolicy UserName=ann PolicyName=p PolicyDocument={}",
		"GetUserPolicy UserName=ann PolicyName=p", "ListUserPolicies UserName=ann", "DeleteUserPolicy UserName=ann PolicyName=p",
		"CreateRole RoleName=r AssumeRolePolicyDocument={}", "GetRole RoleName=nobody", "ListRoles", "UpdateRole RoleName=r",
		"UpdateAssumeRolePolicy RoleName=r PolicyDocument=" + trustAll, "DeleteRole RoleName=r", "ListRolePolicies RoleName=r",
		"PutRolePolicy RoleName=r PolicyName=p PolicyDocument={}", "GetRolePolicy RoleName=r PolicyName=p",
		"DeleteRolePolicy RoleName=r PolicyName=p",
	} {
		fields := strings.Fields(call)
		s.wantError(ann, 403, "AccessDenied", "user/ops/ann is not authorized to perform: iam:"+fields[0], fields[0], fields[1:]...)
	}
	unknown := sigv4.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "x"}
	s.wantError(unknown, 403, "InvalidClientTokenId", "AKIA", "ListUsers")
	wrong := sigv4.Credentials{AccessKeyID: s.root.AccessKeyID, SecretAccessKey: "x"}
	s.wantError(wrong, 403, "SignatureDoesNotMatch", "secret access key", "ListUsers")
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("host-%d", i)
		want = append(want, name)
		s.must(nil, "CreateUser", "UserName="+name, "Path=/hosts/")
		s.must(nil, "CreateUser", "UserName=other-"+name)
		s.must(nil, "PutUserPolicy", "UserName=host-0", "PolicyName="+name, "PolicyDocument="+allowAll)
		s.must(nil, "CreateRole", "RoleName="+name, "Path=/hosts/", "AssumeRolePolicyDocument="+trustAll)
		s.must(nil, "CreateRole", "RoleName=other-"+name, "AssumeRolePolicyDocument="+trustAll)
		s.must(nil, "PutRolePolicy", "RoleName=host-0", "PolicyName="+name, "PolicyDocument="+allowAll)
	}
	lists := map[string]string{
		"ListUsers": "PathPrefix=/hosts/", "ListUserPolicies": "UserName=host-0", "ListRoles": "PathPrefix=/hosts/", "ListRolePolicies": "RoleName=host-0",
	}
	for size := 1; size <= 8; size++ {
		for action, of := range lists {
			if diff := cmp.Diff(want, s.pages(action, of, fmt.Sprintf("MaxItems=%d", size))); diff != "" {
				t.Errorf("%s, %d a page:\n%s", action, size, diff)
			}
		}
	}
}

// pages follows a list to its end and returns the names in it.
func (s *server) pages(action string, parameters ...string) []string {
	s.t.Helper()
	var names []string
	marker := "Marker="
	for {
		var page struct {
			Result struct {
				IsTruncated bool
				Marker      string
				Users       []string `xml:"Users>member>UserName"`
				Roles       []string `xml:"Roles>member>RoleName"`
				Policies    []string `xml:"PolicyNames>member"`
			} `xml:",any"`
		}
		s.must(&page, action, append(parameters, marker)...)
		names = slices.Concat(names, page.Result.Users, page.Result.Roles, page.Result.Policies)
		next := page.Result.Marker
		if page.Result.IsTruncated != (next != "") {
			s.t.Fatalf("IsTruncated is %v with the marker %q", page.Result.IsTruncated, next)
		}
		if next == "" {
			return names
		}
		if "Marker="+next == marker {
			s.t.Fatalf("the page after %q says that it comes next", next)
		}
		marker = "Marker=" + next
	}
}

// TestHostIdentity: what `aws deploy register` makes is a host's identity as soon as it is registered.
func TestHostIdentity(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.newUser("/AWS/CodeDeploy/", "web-1")
	name, arn := "web-1", "arn:aws:iam::123456789012:user/AWS/CodeDeploy/web-1"
	err := s.store.RegisterHost(t.Context(), store.Host{Info: awsapi.InstanceInfo{
		InstanceName: &name, IamUserArn: &arn, RegisterTime: awsapi.At(time.Now()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	kind := func() auth.Kind {
		id, _, err := s.auth.Lookup(t.Context(), key.AccessKeyID, "")
		if err != nil {
			t.Fatal(err)
		}
		return id.Kind
	}
	if got := kind(); got != auth.Host {
		t.Errorf("registered: got kind %d, want a host", got)
	}
	status, reply := s.send(key, "sts", "2011-06-15", "GetCallerIdentity", nil)
	var got callerIdentity
	if err := xml.Unmarshal([]byte(reply), &struct {
		Result *callerIdentity `xml:"GetCallerIdentityResult"`
	}{&got}); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, reply, err)
	}
	if got.ARN != arn || got.Account != account || !strings.HasPrefix(got.UserID, "AIDA") {
		t.Errorf("got %+v", got)
	}
	if _, err := s.store.DeregisterHost(t.Context(), name, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := kind(); got != auth.User {
		t.Errorf("deregistered: got kind %d, want a user", got)
	}
}
