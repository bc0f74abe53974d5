package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/api"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// fields is a JSON object as it goes over the wire: tests send what typed inputs cannot hold.
type fields = map[string]any

// service is the API over a store of its own. No connection is between, so that it can run in a bubble of synctest: a test
// whose times matter runs there, under a clock that stands still until the test sleeps.
type service struct {
	*testing.T
	client awsjson.Client
	store  *sqlstore.Store
	mutex  sync.Mutex
	woken  []string
	// allow answers what an operation asks about its caller; nil allows everything.
	allow func(action, resource string) error
	// meanwhile runs when the topic of a new trigger is tried: after a group's settings were checked, before they are stored.
	meanwhile func()
}

const (
	role   = "arn:aws:iam::000000000000:role/deployer"
	prefix = "arn:aws:codedeploy:us-east-1:000000000000:"
)

func serve(t *testing.T) *service {
	t.Helper()
	s := &service{T: t, meanwhile: func() {}}
	var err error
	if s.store, err = sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "grapnel.db"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	mux := awsjson.NewMux(awsjson.Options{})
	api.New(api.Options{
		Store: s.store, Region: "us-east-1", AccountID: "000000000000", TokenKey: []byte("key"), Wake: s.wake, Authorize: s.authorize,
		TryTrigger: func(context.Context, awsapi.DeploymentGroupInfo, awsapi.TriggerConfig) error {
			s.meanwhile()
			return nil
		},
	}).Register(mux)
	s.client = awsjson.Client{Endpoint: "http://grapnel.test", HTTP: &http.Client{Transport: direct{mux}}}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// direct takes requests to a handler without a connection.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *service) authorize(_ context.Context, action, resource string) error {
	if s.allow == nil {
		return nil
	}
	return s.allow(action, resource)
}

func (s *service) wake(id string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.woken = append(s.woken, id)
}

// call runs an operation and returns the name and message of its error, "" for none. It checks that the model declares
// the error for the operation, so that clients have an exception class for it.
func (s *service) call(operation string, in, out any) (name, message string) {
	s.Helper()
	err := s.client.Call(s.Context(), awsapi.Target(operation), in, out)
	if err == nil {
		return "", ""
	}
	var e *awsjson.Error
	if !errors.As(err, &e) {
		s.Fatalf("%s: %v", operation, err)
	}
	if !declared(operation, e.Name) {
		s.Errorf("%s failed with %s, which its model does not declare: %s", operation, e.Name, e.Message)
	}
	return e.Name, e.Message
}

func declared(operation, name string) bool {
	if operation == "CreateDeployment" && name == awsapi.UnsupportedActionForDeploymentTypeException {
		return true // what this server cannot do yet
	}
	if name == awsjson.AccessDeniedException || name == awsjson.SerializationException {
		return true // any operation may answer these
	}
	return slices.ContainsFunc(awsapi.Operations, func(op awsapi.Operation) bool {
		return op.Name == operation && slices.Contains(op.Errors, name)
	})
}

// do runs an operation that must succeed.
func do[Out any](s *service, operation string, in any) Out {
	s.Helper()
	var out Out
	if name, message := s.call(operation, in, &out); name != "" {
		s.Fatalf("%s: %s: %s", operation, name, message)
	}
	return out
}

// refusal is one call that must fail, or with want "" must succeed.
type refusal struct {
	name      string // begins with the statement of service.md 15 that it pins
	operation string
	in        fields
	want      string // the error's name without "Exception"
}

func (s *service) refuse(tests []refusal) {
	s.Helper()
	for _, tt := range tests {
		want := tt.want
		if want != "" {
			want += "Exception"
		}
		if got, message := s.call(tt.operation, tt.in, nil); got != want {
			s.Errorf("%s: %s gave %q (%s), want %q", tt.name, tt.operation, got, message, want)
		}
	}
}

func (s *service) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// shop makes an application with one group for hosts tagged app=shop, and registers hosts with that tag.
func (s *service) shop(hosts ...string) {
	s.Helper()
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	do[fields](s, "CreateDeploymentGroup", group("shop", "prod", nil))
	for _, h := range hosts {
		do[fields](s, "RegisterOnPremisesInstance", fields{"instanceName": h, "iamUserArn": "arn:aws:iam::000000000000:user/" + h})
		do[fields](s, "AddTagsToOnPremisesInstances", fields{"instanceNames": []string{h}, "tags": []fields{{"Key": "app", "Value": "shop"}}})
	}
}

// group is the input of CreateDeploymentGroup with more members laid over it.
func group(application, name string, more fields) fields {
	in := fields{
		"applicationName": application, "deploymentGroupName": name, "serviceRoleArn": role,
		"onPremisesInstanceTagFilters": []fields{{"Key": "app", "Value": "shop", "Type": "KEY_AND_VALUE"}},
	}
	for k, v := range more {
		in[k] = v
	}
	return in
}

// bundle is a revision in S3.
func bundle(key string) fields {
	return fields{"revisionType": "S3", "s3Location": fields{"bucket": "bundles", "key": key, "bundleType": "zip", "eTag": "e1"}}
}

// deployment creates a deployment of the shop with more members laid over the call, and returns its id.
func (s *service) deployment(key string, more fields) string {
	s.Helper()
	in := fields{"applicationName": "shop", "deploymentGroupName": "prod", "revision": bundle(key)}
	for k, v := range more {
		in[k] = v
	}
	return *do[awsapi.CreateDeploymentOutput](s, "CreateDeployment", in).DeploymentId
}

// decide lets the core look at a deployment once and commits what it wants, as the engine does.
func (s *service) decide(id string) {
	s.Helper()
	state, err := s.store.Load(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	decision := deploy.Decide(state, time.Now())
	if decision.Empty(state) {
		return
	}
	if err := s.store.Commit(s.Context(), store.Round{State: state, Decision: decision, At: time.Now()}); err != nil {
		s.Fatal(err)
	}
}

// work takes and ends one Work of a host, as its agent would.
func (s *service) work(id, host string, status deploy.WorkStatus, d deploy.Diagnostics) {
	s.Helper()
	command, err := s.store.HandOver(s.Context(), host, time.Now(), time.Now().Add(-time.Minute))
	if err != nil {
		s.Fatalf("hand over to %s: %v", host, err)
	}
	if _, _, err := s.store.Acknowledge(s.Context(), command.ID, false, time.Now()); err != nil {
		s.Fatal(err)
	}
	if err := s.store.Complete(s.Context(), command.ID, status, d, time.Now()); err != nil {
		s.Fatal(err)
	}
	s.decide(id)
}

// succeed runs a deployment to its good end on the given hosts.
func (s *service) succeed(id string, hosts ...string) {
	s.Helper()
	s.decide(id)
	for _, host := range hosts {
		for range 7 { // events of an in-place deployment
			s.work(id, host, deploy.WorkSucceeded, deploy.Diagnostics{ErrorCode: "Success", Message: "Succeeded"})
		}
		s.decide(id)
	}
}

func (s *service) info(id string) awsapi.DeploymentInfo {
	s.Helper()
	return *do[awsapi.GetDeploymentOutput](s, "GetDeployment", fields{"deploymentId": id}).DeploymentInfo
}

// W24: every operation answers, and none with UnknownOperationException.
func TestEveryOperationIsThere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, op := range awsapi.Operations {
		err := s.client.Call(t.Context(), awsapi.Target(op.Name), fields{}, nil)
		var e *awsjson.Error
		if errors.As(err, &e) && (e.Name == awsjson.UnknownOperationException || e.Status != http.StatusBadRequest || !declared(op.Name, e.Name)) {
			t.Errorf("%s: %v", op.Name, err)
		}
	}
}

// W14: operations without an output answer an object; W12, W15: the others leave out what is absent.
func TestOutputsOnTheWire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		time.Sleep(589 * time.Millisecond)
		do[fields](s, "CreateApplication", fields{"applicationName": "shop", "computePlatform": nil})
		got := do[map[string]map[string]json.RawMessage](s, "GetApplication", fields{"applicationName": "shop"})["application"]
		delete(got, "applicationId")
		want := map[string]json.RawMessage{
			"applicationName": json.RawMessage(`"shop"`), "createTime": json.RawMessage(`946684800.589`),
			"linkedToGitHub": json.RawMessage(`false`), "computePlatform": json.RawMessage(`"Server"`), // A55, A60
		}
		s.equal("application", got, want)
		s.equal("UpdateApplication", do[fields](s, "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "store"}), fields{})
	})
}
