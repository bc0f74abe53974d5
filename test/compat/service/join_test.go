package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/sigv4"
)

// grapnel calls an operation of Grapnel's own.
func (w *world) grapnel(c sigv4.Credentials, operation string, in, out any) error {
	client := awsjson.Client{Endpoint: w.url, HTTP: &http.Client{Timeout: time.Minute}, Sign: func(r *http.Request, bodyHash string) error {
		creds := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
		return v4.NewSigner().SignHTTP(r.Context(), creds, r, bodyHash, awsapi.GrapnelService, region, time.Now())
	}}
	return client.Call(w.t.Context(), awsapi.GrapnelPrefix+"."+operation, in, out)
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
