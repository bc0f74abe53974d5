package service

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
	"grapnel/internal/server"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// putToken stores a GitHub token; an application that is not "" is connected to it.
func (w *world) putToken(name, text, application string) error {
	in := awsapi.PutGitHubAccountTokenInput{TokenName: &name}
	if text != "" {
		in.Token = &text
	}
	if application != "" {
		in.ApplicationName = &application
	}
	return w.grapnel(w.root, "PutGitHubAccountToken", in, nil)
}

// onGitHub is a revision on GitHub.
func onGitHub() *types.RevisionLocation {
	return &types.RevisionLocation{RevisionType: types.RevisionLocationTypeGitHub, GitHubLocation: &types.GitHubLocation{
		Repository: aws.String("acme/shop"), CommitId: aws.String("0123456789012345678901234567890123456789"),
	}}
}

// connection returns what GetApplication says of an application's connection to GitHub.
func (w *world) connection(application string) string {
	w.t.Helper()
	app := must(w.GetApplication(w.t.Context(), &codedeploy.GetApplicationInput{ApplicationName: &application}))(w.t).Application
	return fmt.Sprint(app.LinkedToGitHub, " ", aws.ToString(app.GitHubAccountName))
}

func TestGitHubTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	names := func(want ...string) {
		t.Helper()
		got := must(w.ListGitHubAccountTokenNames(t.Context(), &codedeploy.ListGitHubAccountTokenNamesInput{}))(t)
		if diff := cmp.Diff(want, got.TokenNameList); diff != "" || got.NextToken != nil {
			t.Errorf("names (-want +got), next token %v:\n%s", got.NextToken, diff)
		}
	}
	connected := func(want string) {
		t.Helper()
		if got := w.connection("shop"); got != want {
			t.Errorf("linkedToGitHub and gitHubAccountName are %q, want %q", got, want)
		}
	}
	names([]string{}...)
	connected("false ")
	ok(t, w.putToken("acme", "ghp_1", "shop"))
	ok(t, w.putToken("other", "ghp_2", ""))
	names("acme", "other")
	connected("true acme")
	ok(t, w.putToken("other", "", "shop"))
	connected("true other")
	_, err := w.UpdateApplication(t.Context(), &codedeploy.UpdateApplicationInput{ApplicationName: aws.String("shop"), NewApplicationName: aws.String("store")})
	ok(t, err)
	if got := w.connection("store"); got != "true other" {
		t.Errorf("renamed, the application is connected: %q", got)
	}
	deleted := must(w.DeleteGitHubAccountToken(t.Context(), &codedeploy.DeleteGitHubAccountTokenInput{TokenName: aws.String("other")}))(t)
	if aws.ToString(deleted.TokenName) != "other" {
		t.Errorf("deleted %v", deleted.TokenName)
	}
	if got := w.connection("store"); got != "false " {
		t.Errorf("without its token the application is connected: %q", got)
	}
	names("acme")
}

func TestGitHubTokenErrors(t *testing.T) {
	t.Parallel()
	w := start(t)
	for want, err := range map[string]error{
		"GitHubAccountTokenNameRequiredException": w.putToken("", "ghp_1", ""),
		"InvalidGitHubAccountTokenNameException":  w.putToken("a b", "ghp_1", ""),
		"InvalidGitHubAccountTokenException":      w.putToken("acme", "ghp 1", ""),
		"ApplicationDoesNotExistException":        w.putToken("acme", "ghp_1", "none"),
		"ApplicationNameRequiredException":        w.putToken("acme", "", ""),
		"InvalidApplicationNameException":         w.putToken("acme", "ghp_1", "a b"),
	} {
		refuses(t, err, want)
	}
	w.application("shop")
	refuses(t, w.putToken("acme", "", "shop"), "GitHubAccountTokenDoesNotExistException")
	for want, name := range map[string]*string{
		"GitHubAccountTokenNameRequiredException": nil, "InvalidGitHubAccountTokenNameException": aws.String("a b"),
		"GitHubAccountTokenDoesNotExistException": aws.String("none"),
	} {
		_, err := w.DeleteGitHubAccountToken(t.Context(), &codedeploy.DeleteGitHubAccountTokenInput{TokenName: name})
		fails(t, err, want)
	}
	for i := range 25 {
		ok(t, w.putToken(fmt.Sprint("token-", i), "ghp_1", ""))
	}
	refuses(t, w.putToken("one-more", "ghp_1", ""), "ResourceValidationException")
	ok(t, w.putToken("token-3", "ghp_2", "")) // may be replaced all the same
}

// The agent of a connected application fetches with the token that there is when it asks; the agent here is the code of ours
// that reads specifications and fetches, against a GitHub of the test's own.
func TestAgentFetchesFromGitHubWithToken(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	hub := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + " " + r.Header.Get("Authorization")
		rw.Write([]byte("the bundle"))
	}))
	t.Cleanup(hub.Close)
	w := start(t)
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	w.deploy("shop", "prod", onGitHub())
	command := h.poll()
	fetch := func(want string) {
		t.Helper()
		fetcher := source.New(source.Options{GitHubEndpoint: hub.URL})
		path := filepath.Join(t.TempDir(), "bundle.tar")
		_, err := fetcher.Fetch(t.Context(), h.revision(command), path, "")
		ok(t, err)
		if got := <-asked; got != want {
			t.Errorf("GitHub was asked for %q, want %q", got, want)
		}
	}
	const path = "/repos/acme/shop/tarball/0123456789012345678901234567890123456789 "
	fetch(path)
	ok(t, w.putToken("acme", "ghp_1", "shop"))
	fetch(path + "token ghp_1")
	ok(t, w.putToken("acme", "ghp_2", "")) // replaced in the middle of a deployment
	fetch(path + "token ghp_2")
	_, err := w.DeleteGitHubAccountToken(t.Context(), &codedeploy.DeleteGitHubAccountTokenInput{TokenName: aws.String("acme")})
	ok(t, err)
	fetch(path)
}

// revision returns what the specification of a command says is to be deployed, as our agent reads it.
func (h *host) revision(c *awsapi.HostCommand) source.Revision {
	h.t.Helper()
	var out awsapi.GetDeploymentSpecificationOutput
	ok(h.t, h.call("GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{
		DeploymentExecutionId: c.DeploymentExecutionId, HostIdentifier: &h.arn,
	}, &out))
	block, _ := pem.Decode([]byte(*out.DeploymentSpecification.GenericEnvelope.Payload))
	message := must(pkcs7.Parse(block.Bytes))(h.t)
	var document struct {
		Revision          json.RawMessage
		GitHubAccessToken string
	}
	ok(h.t, json.Unmarshal(message.Content, &document))
	newer := must(source.ParseRevision(document.Revision, document.GitHubAccessToken))(h.t)
	older := must(source.ParseRevision(document.Revision, ""))(h.t) // for agents that look into the revision alone
	if diff := cmp.Diff(newer, older); diff != "" {
		h.t.Error("agents of different age read different things:\n" + diff)
	}
	return newer
}

// A token is sealed in the database.
func TestGitHubTokenIsSealed(t *testing.T) {
	t.Parallel()
	var data string
	w := start(t, func(o *server.Options) { data = o.DataDir })
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	ok(t, w.putToken("acme", "ghp_ThisIsTheSecret", "shop"))
	for _, name := range []string{"grapnel.db", "grapnel.db-wal"} {
		content, err := os.ReadFile(filepath.Join(data, name))
		if err == nil && strings.Contains(string(content), "ghp_ThisIsTheSecret") {
			t.Errorf("%s holds the token in clear", name)
		}
	}
}

// Where the key is lost that sealed a token, deployments that would fetch with it are refused, and others are not.
func TestGitHubTokenThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := start(t, seed(t, func(s *sqlstore.Store) {
		ok(t, s.PutGitHubToken(t.Context(), store.GitHubToken{Name: "acme", Sealed: []byte("sealed elsewhere")}, ""))
	}))
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	ok(t, w.putToken("acme", "", "shop"))
	deploy := func(revision *types.RevisionLocation) error {
		_, err := w.CreateDeployment(t.Context(), &codedeploy.CreateDeploymentInput{
			ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"), Revision: revision,
		})
		return err
	}
	fails(t, deploy(onGitHub()), "InvalidGitHubAccountTokenException")
	ok(t, deploy(bundle("shop/1.zip")))
}
