package service

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"grapnel/internal/sigv4"
)

// late signs as a client whose clock is wrong.
type late struct {
	*v4.Signer
	by time.Duration
}

func (l late) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, opts ...func(*v4.SignerOptions)) error {
	return l.Signer.SignHTTP(ctx, c, r, hash, service, region, at.Add(-l.by), opts...)
}

// static is credentials for a client of the SDK.
func static(c sigv4.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
}

// calls makes a call of each protocol with the same credentials and signer, and returns the names of the errors.
func (w *world) calls(c aws.CredentialsProvider, skew time.Duration) (json, query, rest error) {
	ctx := w.t.Context()
	signer := late{v4.NewSigner(), skew}
	_, json = codedeploy.New(codedeploy.Options{
		Region: region, BaseEndpoint: &w.url, Credentials: c, HTTPSignerV4: signer, RetryMaxAttempts: 1,
	}).ListApplications(ctx, nil)
	_, query = iam.New(iam.Options{
		Region: region, BaseEndpoint: &w.url, Credentials: c, HTTPSignerV4: signer, RetryMaxAttempts: 1,
	}).ListUsers(ctx, nil)
	_, rest = s3.New(s3.Options{
		Region: region, BaseEndpoint: &w.url, Credentials: c, HTTPSignerV4: late{v4.NewSigner(func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = true
		}), skew}, RetryMaxAttempts: 1, UsePathStyle: true,
	}).ListBuckets(ctx, nil)
	return json, query, rest
}

// Each refusal has its name in each protocol. A stale date is an InvalidSignatureException too, as section 1 has it, but with a
// message of its own.
//
// service.md 15: W10
func TestRefusedSignatures(t *testing.T) {
	t.Parallel()
	w := start(t)
	wrong, unknown := w.root, w.root
	wrong.SecretAccessKey = strings.Repeat("x", 40)
	unknown.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	for name, tt := range map[string]struct {
		credentials       aws.CredentialsProvider
		skew              time.Duration
		json, query, rest string
		message           string
	}{
		"right":   {static(w.root), 0, "", "", "", ""},
		"missing": {aws.AnonymousCredentials{}, 0, "MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", "not signed"},
		"bad":     {static(wrong), 0, "InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch", "does not match the signature you provided"},
		"unknown": {static(unknown), 0, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "there is no access key"},
		"stale":   {static(w.root), 16 * time.Minute, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "Signature expired"},
		"early":   {static(w.root), -16 * time.Minute, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "not yet current"},
	} {
		json, query, rest := w.calls(tt.credentials, tt.skew)
		for i, err := range []error{json, query, rest} {
			want := []string{tt.json, tt.query, tt.rest}[i]
			if code(err) != want || err != nil && !strings.Contains(err.Error(), tt.message) {
				t.Errorf("%s: got %q (%v), want %s with %q", name, code(err), err, want, tt.message)
			}
		}
	}
}

// session takes on a role as root and returns the credentials of the session, and its ARN.
func (w *world) session(role, name string) (sigv4.Credentials, string) {
	w.t.Helper()
	out := must(w.sts(w.root).AssumeRole(w.t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + account + ":role/" + role), RoleSessionName: &name,
	}))(w.t)
	c := out.Credentials
	if left := time.Until(*c.Expiration); left < 59*time.Minute || left > time.Hour {
		w.t.Errorf("the session lasts %v, want an hour", left)
	}
	return sigv4.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
	}, *out.AssumedRoleUser.Arn
}

// sts returns a typed client of the STS endpoint.
func (w *world) sts(c sigv4.Credentials) *sts.Client {
	return sts.New(sts.Options{Region: region, BaseEndpoint: &w.url, Credentials: static(c), RetryMaxAttempts: 1})
}

// role creates a role that everybody may take on and that may do everything.
func (w *world) role(name string) {
	w.t.Helper()
	ctx, api := w.t.Context(), w.iam()
	_, err := api.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}`)})
	ok(w.t, err)
	_, err = api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("all"), PolicyDocument: aws.String(all)})
	ok(w.t, err)
}

// all lets its owner do everything.
const all = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`

// The token of a session goes with every protocol and with presigned URLs; without it, with another one, or after the end of
// the role, the credentials are refused by their names.
//
// service.md 15: W11
func TestSessionTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role("ci")
	c, arn := w.session("ci", "build-7")
	who := must(w.sts(c).GetCallerIdentity(t.Context(), nil))(t)
	if want := "arn:aws:sts::" + account + ":assumed-role/ci/build-7"; *who.Arn != want || arn != want || *who.Account != account ||
		!strings.HasSuffix(*who.UserId, ":build-7") {
		t.Errorf("got %s, %s, %s; want %s", *who.Arn, arn, *who.UserId, want)
	}
	refused := func(c sigv4.Credentials, json, query, rest string) {
		t.Helper()
		gotJSON, gotQuery, gotREST := w.calls(static(c), 0)
		fails(t, gotJSON, json)
		fails(t, gotQuery, query)
		fails(t, gotREST, rest)
	}
	refused(c, "", "", "")
	w.presigned(c, http.StatusOK)

	bare, garbled := c, c
	bare.SessionToken = ""
	garbled.SessionToken = "garbled"
	other, _ := w.session("ci", "build-8")
	other.AccessKeyID, other.SecretAccessKey = c.AccessKeyID, c.SecretAccessKey
	refused(bare, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId")
	refused(garbled, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken")
	refused(other, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken")
	w.presigned(garbled, http.StatusBadRequest)

	_, err := w.iam().DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("ci"), PolicyName: aws.String("all")})
	ok(t, err)
	refused(c, "AccessDeniedException", "AccessDenied", "AccessDenied")
	_, err = w.iam().DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("ci")})
	ok(t, err)
	refused(c, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken")
}

// presigned reads an object with a URL that the credentials have signed.
func (w *world) presigned(c sigv4.Credentials, want int) {
	w.t.Helper()
	ctx, bucket, key := w.t.Context(), aws.String("bundles"), aws.String("app/1.zip")
	client := func(c sigv4.Credentials) *s3.Client {
		return s3.New(s3.Options{Region: region, BaseEndpoint: &w.url, Credentials: static(c), UsePathStyle: true, RetryMaxAttempts: 1})
	}
	owner := client(w.root)
	if _, err := owner.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		_, err = owner.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
		ok(w.t, err)
	}
	_, err := owner.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader([]byte("zip"))})
	ok(w.t, err)
	url := must(s3.NewPresignClient(client(c)).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key}))(w.t).URL
	if !strings.Contains(url, "X-Amz-Security-Token=") {
		w.t.Errorf("the URL has no token: %s", url)
	}
	resp := must(http.Get(url))(w.t)
	resp.Body.Close()
	if resp.StatusCode != want {
		w.t.Errorf("a presigned URL: got %s, want %d", resp.Status, want)
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the server asked for the body")
	return 0, io.EOF
}

// A body is not asked for before its sender can be known, nor when it says that it is longer than any request is.
func TestBodiesThatAreNotAskedFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	unknown := w.root
	unknown.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	for _, tt := range []struct {
		as   sigv4.Credentials
		size int64
		want string
	}{
		{unknown, 1 << 20, "UnrecognizedClientException"},
		{w.root, 1 << 40, "RequestEntityTooLargeException"},
	} {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, unread{t}))(t)
		r.Header.Set("X-Amz-Target", "CodeDeploy_20141006.ListApplications")
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		ok(t, sigv4.Sign(r, tt.as, region, "codedeploy", "", time.Now()))
		r.ContentLength = tt.size
		r.Header.Set("Expect", "100-continue")
		transport := &http.Transport{ExpectContinueTimeout: time.Minute}
		resp := must(transport.RoundTrip(r))(t)
		reply := must(io.ReadAll(resp.Body))(t)
		resp.Body.Close()
		transport.CloseIdleConnections()
		if !strings.Contains(string(reply), tt.want) {
			t.Errorf("got %s %s, want %s", resp.Status, reply, tt.want)
		}
	}
}
