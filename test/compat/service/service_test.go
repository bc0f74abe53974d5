// Package service holds a running server to service.md 15 with the clients that people have: the AWS SDK for Go, boto3 and
// the aws CLI. A file per letter of the checklist.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/smithy-go"

	"grapnel/internal/server"
	"grapnel/internal/sigv4"
	"grapnel/internal/sqlstore"
)

const (
	region  = "us-east-1"
	account = "123456789012"
	role    = "arn:aws:iam::123456789012:role/CodeDeploy"
)

// world is a server that runs in this process and listens on a socket, with a client of its root.
type world struct {
	*codedeploy.Client
	t    *testing.T
	url  string
	root sigv4.Credentials
}

// start starts a server with an empty data folder. A change may set options, or fill the store before (seed).
func start(t *testing.T, changes ...func(*server.Options)) *world {
	t.Helper()
	o := server.Options{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Region: region, AccountID: account, Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&o)
	}
	s, err := server.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, url: s.URL(), root: s.Root()}
	w.Client = w.as(w.root)
	return w
}

// seed fills the store before the server opens it, with what no call can make.
func seed(t *testing.T, fill func(*sqlstore.Store)) func(*server.Options) {
	return func(o *server.Options) {
		s, err := sqlstore.Open(t.Context(), filepath.Join(o.DataDir, "grapnel.db"), o.Log)
		if err != nil {
			t.Fatal(err)
		}
		fill(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// as returns a typed client that signs with the credentials.
func (w *world) as(c sigv4.Credentials) *codedeploy.Client {
	return codedeploy.New(codedeploy.Options{
		Region: region, BaseEndpoint: &w.url, RetryMaxAttempts: 1, HTTPClient: &http.Client{Timeout: time.Minute},
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	})
}

// environ points boto3 and the aws CLI at the server.
func (w *world) environ() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + w.url, "AWS_ACCESS_KEY_ID=" + w.root.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + w.root.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + w.root.SessionToken,
		"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region, "AWS_CONFIG_FILE=/nonexistent",
		"AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
}

// code returns the AWS name of an error as the client understood it, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return "not an AWS error: " + err.Error()
}

// fails checks the name of an error.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("got error %q (%v), want %s", got, err, want)
	}
}

// ok ends the test unless err is nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return out
	}
}

// eventually polls until the condition holds, for at most ten seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// application creates an application.
func (w *world) application(name string) {
	w.t.Helper()
	_, err := w.CreateApplication(w.t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: aws.String(name)})
	ok(w.t, err)
}
