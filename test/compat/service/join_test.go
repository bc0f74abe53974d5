package service

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/server"
	"grapnel/internal/sigv4"
)

// grapnel calls an operation of Grapnel's own.
func (w *world) grapnel(c sigv4.Credentials, operation string, in, out any) error {
	client := awsjson.Client{Endpoint: w.url, HTTP: &http.Client{Timeout: time.Minute}, Sign: signer(c)}
	return client.Call(w.t.Context(), awsapi.GrapnelPrefix+"."+operation, in, out)
}

// signer signs for Grapnel's own operations.
func signer(c sigv4.Credentials) func(r *http.Request, bodyHash string) error {
	creds := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return func(r *http.Request, bodyHash string) error {
		return v4.NewSigner().SignHTTP(r.Context(), creds, r, bodyHash, awsapi.GrapnelService, region, time.Now())
	}
}

// refuses checks the name of an error of one of Grapnel's own operations.
func refuses(t *testing.T, err error, want string) {
	t.Helper()
	if refused, ok := errors.AsType[*awsjson.Error](err); !ok || refused.Name != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// token makes a join token.
func (w *world) token(in awsapi.CreateJoinTokenInput) (string, *awsapi.JoinTokenInfo) {
	w.t.Helper()
	var out awsapi.CreateJoinTokenOutput
	ok(w.t, w.grapnel(w.root, "CreateJoinToken", in, &out))
	return *out.Token, out.TokenInfo
}

// join asks to join and returns the status of the reply, and either what the host needs or the error.
func (w *world) join(in awsapi.JoinInput) (out awsapi.JoinOutput, refused awsjson.Error) {
	w.t.Helper()
	body, err := json.Marshal(in)
	ok(w.t, err)
	resp, err := http.Post(w.url+awsapi.JoinPath, "application/json", bytes.NewReader(body))
	ok(w.t, err)
	defer resp.Body.Close()
	var reply struct {
		awsapi.JoinOutput
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	ok(w.t, json.NewDecoder(resp.Body).Decode(&reply))
	if resp.StatusCode != http.StatusOK && reply.Type == "" {
		w.t.Fatalf("status %d without the name of an error", resp.StatusCode)
	}
	return reply.JoinOutput, awsjson.Error{Name: reply.Type, Message: reply.Message, Status: resp.StatusCode}
}

const attempt = "an-attempt-of-one-host"

// A host joins, and its agent gets its commands.
func TestJoin(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	text, _ := w.token(awsapi.CreateJoinTokenInput{Tags: []awsapi.Tag{{Key: aws.String("app"), Value: aws.String("shop")}}})
	out, refused := w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String(attempt), InstanceName: aws.String("web-1")})
	if refused.Name != "" {
		t.Fatal(refused)
	}
	h := w.agent(*out.InstanceName, *out.IamUserArn, sigv4.Credentials{AccessKeyID: *out.AccessKeyId, SecretAccessKey: *out.SecretAccessKey})
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	h.run(inPlaceEvents, "")
	w.ends(id, "Succeeded")
}

// What a token tells, and what becomes of it.
func TestJoinTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := time.Now()
	text, info := w.token(awsapi.CreateJoinTokenInput{
		InstanceName: aws.String("web-1"), LifetimeSeconds: aws.Int64(60), Tags: []awsapi.Tag{{Key: aws.String("app")}},
	})
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != "gj1" || parts[1] != *info.TokenId { // three: this server does not speak TLS
		t.Errorf("got the token %s of %s", text, *info.TokenId)
	}
	if life := info.ExpireTime.Sub(info.CreateTime.Time); life != time.Minute || info.CreateTime.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("made %v, to live %v", info.CreateTime, life)
	}
	later, _ := w.token(awsapi.CreateJoinTokenInput{})
	var listed awsapi.ListJoinTokensOutput
	ok(t, w.grapnel(w.root, "ListJoinTokens", awsapi.ListJoinTokensInput{}, &listed))
	if len(listed.Tokens) != 2 || *listed.Tokens[0].TokenId != strings.Split(later, ".")[1] {
		t.Fatalf("got %+v, want the newest first", listed.Tokens)
	}
	if diff := cmp.Diff(*info, listed.Tokens[1]); diff != "" {
		t.Error("as listed (-as made +as listed):\n" + diff)
	}
	for range 2 { // deleting again is no error
		ok(t, w.grapnel(w.root, "DeleteJoinToken", awsapi.DeleteJoinTokenInput{TokenId: listed.Tokens[0].TokenId}, nil))
	}
	_, refused := w.join(awsapi.JoinInput{Token: &later, Attempt: aws.String(attempt), InstanceName: aws.String("web-9")})
	wantRefusal(t, refused, "AccessDeniedException")

	for want, in := range map[string]awsapi.CreateJoinTokenInput{
		"InvalidInputException":        {LifetimeSeconds: aws.Int64(59)},
		"InvalidInputException ":       {LifetimeSeconds: aws.Int64(1 << 62)},
		"InvalidInstanceNameException": {InstanceName: aws.String("i-1")},
		"InvalidTagException":          {Tags: []awsapi.Tag{{}}},
		"TagLimitExceededException":    {Tags: make([]awsapi.Tag, 11)},
	} {
		refuses(t, w.grapnel(w.root, "CreateJoinToken", in, nil), strings.TrimSpace(want))
	}
	refuses(t, w.grapnel(w.user("ann", ""), "CreateJoinToken", awsapi.CreateJoinTokenInput{}, nil), "AccessDeniedException")
}

func wantRefusal(t *testing.T, refused awsjson.Error, want string) {
	t.Helper()
	if refused.Name != want || refused.Status != http.StatusBadRequest || refused.Message == "" {
		t.Errorf("got %+v, want %s", refused, want)
	}
}

// A token is good for one host, which may ask again when it has not seen the reply.
func TestJoinAgain(t *testing.T) {
	t.Parallel()
	w := start(t)
	text, _ := w.token(awsapi.CreateJoinTokenInput{InstanceName: aws.String("web-1")})
	first, refused := w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String(attempt)})
	if refused.Name != "" || *first.InstanceName != "web-1" || *first.Region != region || len(*first.SpecificationSigner) != 64 {
		t.Fatalf("got %+v, %+v", first, refused)
	}
	old := w.agent("web-1", *first.IamUserArn, keyOf(first))
	second, refused := w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String(attempt)})
	if refused.Name != "" {
		t.Fatal(refused)
	}
	rotated := new(awsapi.RotateHostKeyOutput)
	ok(t, w.grapnel(keyOf(second), "RotateHostKey", awsapi.RotateHostKeyInput{}, rotated))
	if err := old.call("PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{}, nil); !isRefused(err, "UnrecognizedClientException") {
		t.Errorf("the first key still works: %v", err)
	}
	_, refused = w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String("an-attempt-of-another")})
	wantRefusal(t, refused, "AccessDeniedException")
	if !strings.Contains(refused.Message, "used") {
		t.Errorf("the message does not say why: %s", refused.Message)
	}
	var listed awsapi.ListJoinTokensOutput
	ok(t, w.grapnel(w.root, "ListJoinTokens", awsapi.ListJoinTokensInput{}, &listed))
	if awsapi.Value(listed.Tokens[0].UsedBy) != "web-1" || listed.Tokens[0].UseTime.IsZero() {
		t.Errorf("the token does not tell its use: %+v", listed.Tokens[0])
	}
}

func keyOf(j awsapi.JoinOutput) sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: *j.AccessKeyId, SecretAccessKey: *j.SecretAccessKey}
}

func isRefused(err error, name string) bool {
	refused, ok := errors.AsType[*awsjson.Error](err)
	return ok && refused.Name == name
}

// Whoever does not know the secret is told the same whether the token exists or not; the others are told what is wrong.
func TestJoinRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.host("taken")
	w.user("ann", "")
	text, _ := w.token(awsapi.CreateJoinTokenInput{})
	parts := strings.Split(text, ".")
	join := func(token, attempt, name string) awsjson.Error {
		_, refused := w.join(awsapi.JoinInput{Token: &token, Attempt: &attempt, InstanceName: &name})
		return refused
	}
	wrong := join("gj1."+parts[1]+".wrong", attempt, "web-1")
	unknown := join("gj1.unknown."+parts[2], attempt, "web-1")
	wantRefusal(t, wrong, "AccessDeniedException")
	if wrong != unknown {
		t.Errorf("a wrong secret is told %+v, an unknown token %+v", wrong, unknown)
	}
	for want, in := range map[string]awsjson.Error{
		"InvalidInputException":                  join("nonsense", attempt, "web-1"),
		"InvalidInputException ":                 join(text, "short", "web-1"),
		"InvalidInstanceNameException":           join(text, attempt, "i-0123"),
		"InvalidInstanceNameException ":          join(text, attempt, strings.Repeat("x", 65)),
		"InstanceNameRequiredException":          join(text, attempt, ""),
		"InstanceNameAlreadyRegisteredException": join(text, attempt, "taken"),
		"IamUserArnAlreadyRegisteredException":   join(text, attempt, "ann"),
		"SerializationException":                 join(strings.Repeat("x", 5<<10), attempt, "web-1"),
	} {
		wantRefusal(t, in, strings.TrimSpace(want))
	}
	fixed, _ := w.token(awsapi.CreateJoinTokenInput{InstanceName: aws.String("web-2")})
	wantRefusal(t, join(fixed, attempt, "web-1"), "InvalidInstanceNameException")
	w.recorded("grapnel:Join", result("InstanceNameAlreadyRegisteredException"))
	if refused := join(text, attempt, "web-1"); refused.Name != "" {
		t.Errorf("after all this the token is not good any more: %v", refused)
	}
	for _, r := range w.audit(awsapi.ListAuditRecordsInput{Action: aws.String("grapnel:*")}) {
		if strings.Contains(r.Message, "not good here") {
			t.Errorf("somebody unknown is on record: %+v", r)
		}
	}
	for range 30 {
		join("gj1.unknown.wrong", attempt, "web-1")
	}
	wantRefusal(t, join(text, attempt, "web-1"), "ThrottlingException")
}

// A host that joined may do what its agent has to do, and nothing else.
func TestJoinedHostHasNoRights(t *testing.T) {
	t.Parallel()
	w := start(t)
	text, _ := w.token(awsapi.CreateJoinTokenInput{})
	out, _ := w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String(attempt), InstanceName: aws.String("web-1")})
	_, err := w.as(keyOf(out)).ListApplications(t.Context(), &codedeploy.ListApplicationsInput{})
	fails(t, err, "AccessDeniedException")
	for _, operation := range []string{"CreateJoinToken", "ListJoinTokens", "ListAuditRecords", "PutGitHubAccountToken"} {
		refuses(t, w.grapnel(keyOf(out), operation, struct{}{}, nil), "AccessDeniedException")
	}
	policies := must(w.iam().ListUserPolicies(t.Context(), &iam.ListUserPoliciesInput{UserName: aws.String("web-1")}))(t)
	if len(policies.PolicyNames) > 0 {
		t.Errorf("the host's user has the policies %v", policies.PolicyNames)
	}
}

// A host replaces its key in two calls; at every moment the one that it signs with is good.
func TestRotateHostKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	h := w.host("web-1")
	rotate := func(c sigv4.Credentials) sigv4.Credentials {
		t.Helper()
		var out awsapi.RotateHostKeyOutput
		ok(t, w.grapnel(c, "RotateHostKey", awsapi.RotateHostKeyInput{}, &out))
		return sigv4.Credentials{AccessKeyID: *out.AccessKeyId, SecretAccessKey: *out.SecretAccessKey}
	}
	lost := rotate(h.creds)
	fresh := rotate(h.creds) // the first reply was lost: the old key makes another in its place
	retire := func(c sigv4.Credentials) error {
		return w.grapnel(c, "RotateHostKey", awsapi.RotateHostKeyInput{Retire: aws.Bool(true)}, nil)
	}
	refuses(t, retire(lost), "UnrecognizedClientException")
	ok(t, retire(fresh))
	ok(t, retire(fresh)) // its reply was lost, too
	refuses(t, retire(h.creds), "UnrecognizedClientException")
	refuses(t, w.grapnel(w.root, "RotateHostKey", awsapi.RotateHostKeyInput{}, nil), "InvalidOperationException")
	refuses(t, w.grapnel(w.user("ann", ""), "RotateHostKey", awsapi.RotateHostKeyInput{}, nil), "AccessDeniedException")
}

// The last part of a token names the certificate that the host finds at the end of the chain that it is shown.
func TestJoinTokenPinsTheServer(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *server.Options) { o.TLS = "self-signed" })
	roots := x509.NewCertPool()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	ok(t, err)
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	roots.AddCert(chain[len(chain)-1])

	signed := awsjson.Client{Endpoint: w.url, HTTP: client, Sign: signer(w.root)}
	var out awsapi.CreateJoinTokenOutput
	ok(t, signed.Call(t.Context(), awsapi.GrapnelPrefix+".CreateJoinToken", awsapi.CreateJoinTokenInput{}, &out))
	sum := sha256.Sum256(chain[len(chain)-1].Raw)
	parts := strings.Split(*out.Token, ".")
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); len(parts) != 4 || parts[3] != want {
		t.Errorf("the token is %s, want it to end with %s", *out.Token, want)
	}
	if !chain[len(chain)-1].IsCA || len(chain) != 2 {
		t.Errorf("the chain has %d certificates, want that of the server and its authority", len(chain))
	}
}
