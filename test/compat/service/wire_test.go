package service

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/awsapi"
)

const (
	jsonType     = "application/x-amz-json-1.1"
	targetPrefix = "CodeDeploy_20141006."
)

// reply is what came back, as it came.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a signed request that no client would make.
func (w *world) post(target, contentType, body string) reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/", strings.NewReader(body))
	ok(w.t, err)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", target)
	hash := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: w.root.AccessKeyID, SecretAccessKey: w.root.SecretAccessKey}
	ok(w.t, v4.NewSigner().SignHTTP(w.t.Context(), creds, r, hex.EncodeToString(hash[:]), "codedeploy", region, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	ok(w.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	ok(w.t, err)
	return reply{resp.StatusCode, resp.Header, string(data)}
}

// wire calls an operation with a body of one's own.
func (w *world) wire(operation, body string) reply {
	return w.post(targetPrefix+operation, jsonType, body)
}

// members returns the members of the reply's JSON object, undecoded.
func (r reply) members(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return m
}

// errorName returns the name of the error in the body, "" when there is none.
func (r reply) errorName(t *testing.T) string {
	t.Helper()
	var name string
	if raw := r.members(t)["__type"]; raw != nil {
		ok(t, json.Unmarshal(raw, &name))
	}
	return name
}

// service.md 15: W1, W2, W3, W4, W5, W6, W8, W9
func TestRequestsAndErrors(t *testing.T) {
	t.Parallel()
	w := start(t)
	ids, requests := map[string]bool{}, 1
	refused := func(what string, r reply, name string) {
		t.Helper()
		var message string
		ok(t, json.Unmarshal(r.members(t)["message"], &message))
		if r.status != http.StatusBadRequest || r.errorName(t) != name || message == "" || r.header.Get("X-Amzn-ErrorType") != name || r.header.Get("Content-Type") != jsonType {
			t.Errorf("%s: got %d %s %v, want %s", what, r.status, r.body, r.header, name)
		}
		ids[r.header.Get("X-Amzn-RequestId")] = true
		requests++
	}
	good := w.wire("CreateApplication", `{"applicationName":"shop"}`)
	if good.status != http.StatusOK || good.header.Get("Content-Type") != jsonType || good.members(t)["applicationId"] == nil {
		t.Errorf("W1: got %d %s %v", good.status, good.body, good.header)
	}
	ids[good.header.Get("X-Amzn-RequestId")] = true
	refused("W2", w.wire("CreateEverything", `{}`), "UnknownOperationException")
	refused("W3", w.post("CodeDeploy_20991231.GetApplication", jsonType, `{}`), "UnknownOperationException")
	refused("W3: no prefix", w.post("GetApplication", jsonType, `{}`), "UnknownOperationException")
	refused("another content type", w.post(targetPrefix+"ListApplications", "application/json", `{}`), "UnknownOperationException")
	for _, body := range []string{`{"applicationName":`, `["shop"]`, `{} {}`, `nonsense`} {
		refused("W4: "+body, w.wire("GetApplication", body), "SerializationException")
	}
	for _, body := range []string{`{"applicationName":5}`, `{"applicationName":["shop"]}`, `{"applicationName":{"a":1}}`} {
		refused("W5: "+body, w.wire("GetApplication", body), "SerializationException")
	}
	refused("W5: boolean", w.wire("StopDeployment", `{"autoRollbackEnabled":"yes"}`), "SerializationException")
	refused("W5: list", w.wire("BatchGetApplications", `{"applicationNames":"shop"}`), "SerializationException")
	refused("W6", w.wire("GetApplication", `{"applicationName":"none"}`), "ApplicationDoesNotExistException")
	refused("W6", w.wire("GetApplication", `{}`), "ApplicationNameRequiredException")
	if len(ids) != requests || ids[""] {
		t.Errorf("W9: %d requests have %d ids: %v", requests, len(ids), ids)
	}
	for id := range ids {
		if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
			t.Errorf("W9: the request id %q is no UUID", id)
		}
	}
}

// service.md 15: W12, W13, W15
func TestMembers(t *testing.T) {
	t.Parallel()
	w := start(t)
	equal(t, "an empty list is not absent", w.wire("ListApplications", "{}").body, `{"applications":[]}`)
	before := time.Now().Truncate(time.Millisecond)
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	after := time.Now()

	seconds := regexp.MustCompile(`"createTime":([0-9]+(?:\.[0-9]{1,3})?)[,}]`).FindStringSubmatch(w.wire("GetDeployment", `{"deploymentId":"`+id+`"}`).body)
	if seconds == nil {
		t.Fatal("W12: createTime is no number of at most three digits behind the point")
	}
	created := *w.info(id).CreateTime // as a typed client reads the same number
	if created.Before(before) || created.After(after) || created.Nanosecond()%int(time.Millisecond) != 0 {
		t.Errorf("W12: created at %v (%s), which is not from %v to %v", created, seconds[1], before, after)
	}
	// The deployment was created at this very millisecond: a range of that millisecond has it, the one before it has not.
	milli := func(d time.Duration) string {
		at := created.Add(d).UnixMilli()
		return fmt.Sprintf("%d.%03d", at/1000, at%1000)
	}
	listed := func(from, to string) bool {
		r := w.wire("ListDeployments", `{"createTimeRange":{"start":`+from+`,"end":`+to+`}}`)
		if r.status != http.StatusOK {
			t.Errorf("W13: from %s to %s: %s", from, to, r.body)
		}
		return strings.Contains(r.body, id)
	}
	whole := fmt.Sprint(created.Unix())
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{milli(0), milli(time.Millisecond), true}, {milli(-2 * time.Millisecond), milli(-time.Millisecond), false},
		{whole, fmt.Sprint(created.Unix() + 1), true}, {"0", "1409764576", false}, {"1409764576.589", milli(time.Second), true},
	} {
		if got := listed(test.from, test.to); got != test.want {
			t.Errorf("W13: from %s to %s: listed is %v", test.from, test.to, got)
		}
	}

	odd := w.wire("CreateApplication", `{"applicationName":"odd","computePlatform":null,"tags":null,"colour":{"deep":[1,{}]},"ApplicationName":"other"}`)
	if odd.status != http.StatusOK {
		t.Errorf("W15: %s", odd.body)
	}
	if r := w.wire("GetApplication", `{"applicationName":"odd"}`); !strings.Contains(r.body, `"computePlatform":"Server"`) || strings.Contains(r.body, "null") {
		t.Errorf("W15: null is not absent: %s", r.body)
	}
	if name := w.wire("CreateApplication", `{"applicationName":null}`).errorName(t); name != "ApplicationNameRequiredException" {
		t.Errorf("W15: a required member that is null: %q", name)
	}
	if r := w.wire("ListDeployments", `{"applicationName":null,"deploymentGroupName":null,"nextToken":null}`); !strings.Contains(r.body, id) {
		t.Errorf("W15: filters that are null filter: %s", r.body)
	}
}

// service.md 15: W20
func TestCasing(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	eventually(t, "the deployment has started", func() bool { return w.info(id).Status == types.DeploymentStatusInProgress })
	has := func(r reply, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(r.body, part) {
				t.Errorf("no %s in %s", part, r.body)
			}
		}
	}
	const arn = "arn:aws:codedeploy:us-east-1:123456789012:application:shop"
	has(w.wire("GetDeployment", `{"deploymentId":"`+id+`"}`),
		`"deploymentOverview":{`, `"Pending":0`, `"InProgress":1`, `"Succeeded":0`, `"Failed":0`, `"Skipped":0`, `"Ready":0`)
	equal(t, "TagResource", w.wire("TagResource", `{"ResourceArn":"`+arn+`","Tags":[{"Key":"team","Value":"red"},{"Key":"tier","Value":"1"}]}`).body, "{}")
	equal(t, "UntagResource", w.wire("UntagResource", `{"ResourceArn":"`+arn+`","TagKeys":["tier"]}`).body, "{}")
	equal(t, "ListTagsForResource", w.wire("ListTagsForResource", `{"ResourceArn":"`+arn+`"}`).body, `{"Tags":[{"Key":"team","Value":"red"}]}`)
	equal(t, "a name in the other case", w.wire("ListTagsForResource", `{"resourceArn":"`+arn+`"}`).errorName(t), "ResourceArnRequiredException")
	has(w.wire("GetOnPremisesInstance", `{"instanceName":"web-1"}`), `"tags":[{"Key":"app","Value":"shop"}]`)
	has(w.wire("GetDeploymentGroup", `{"applicationName":"shop","deploymentGroupName":"prod"}`),
		`"onPremisesInstanceTagFilters":[{"Key":"app","Value":"shop","Type":"KEY_AND_VALUE"}]`)
}

// service.md 15: W24
func TestEveryOperationIsKnown(t *testing.T) {
	t.Parallel()
	w := start(t)
	if n := len(awsapi.Operations); n != 47 {
		t.Errorf("the model has %d operations", n)
	}
	for _, op := range awsapi.Operations {
		if r := w.wire(op.Name, `{}`); r.status >= 500 || r.errorName(t) == "UnknownOperationException" {
			t.Errorf("%s: %d %s", op.Name, r.status, r.body)
		}
	}
}
