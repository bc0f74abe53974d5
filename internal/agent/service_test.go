package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
	"grapnel/internal/sigv4"
)

// What a service knows an agent's requests by. Auth-policy mode changes host, target prefix and signing name together.
//
// agent.md 16: 68, 69
// agent.md 17: 17
func TestRequestsAreThoseOfStockAgents(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		authPolicy            bool
		host, prefix, service string
	}{
		{false, "codedeploy-commands.us-east-1.amazonaws.com", "CodeDeployCommandService_v20141006", "codedeploy-commands"},
		{true, "codedeploy-commands-secure.us-east-1.amazonaws.com", "CodeDeployCommandService", "codedeploy-commands-secure"},
	} {
		t.Run(test.service, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, newFake(t))
			h.cfg.DeployControlEndpoint, h.cfg.EnableAuthPolicy = "", test.authPolicy
			a := h.newAgent()
			network := &offline{reply: func(int) (int, string) { return http.StatusOK, "{}" }}
			a.service.client.HTTP = &http.Client{Transport: network}
			if _, err := a.service.poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := network.requests[0]
			if r.Method != http.MethodPost || r.URL.Scheme != "https" || r.URL.Host != test.host || r.URL.Path != "" && r.URL.Path != "/" {
				t.Errorf("%s %s, want a POST to https://%s/", r.Method, r.URL, test.host)
			}
			for name, want := range map[string]string{
				"Content-Type":                   "application/x-amz-json-1.1",
				"X-Amz-Target":                   test.prefix + ".PollHostCommand",
				"X-Amz-Codedeploy-Agent-Version": config.Version,
				"User-Agent":                     "codedeploy-agent/" + config.Version,
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			signed, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if s := signed.Scope; s.AccessKeyID != "AKIDEXAMPLE" || s.Region != "us-east-1" || s.Service != test.service {
				t.Errorf("signed with %+v, want the host's keys for %s in us-east-1", s, test.service)
			}
			for _, name := range []string{"content-type", "host", "x-amz-codedeploy-agent-version", "x-amz-date", "x-amz-target"} {
				if !signed.Signed(name) {
					t.Errorf("%s is not signed", name)
				}
			}
			if _, err := new(sigv4.Verifier).Verify(signed, "hush", time.Now()); err != nil {
				t.Errorf("the signature: %v", err)
			}
		})
	}
}

// What is no specification for this agent is reported as a failure, and nothing of it is run or acknowledged.
//
// agent.md 16: 83, 84, 92
func TestAnswersWithoutASpecificationAreReported(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answer, want string }{
		{"no system", `{"DeploymentSpecification":{"GenericEnvelope":%s}}`, `for the deployment system ""`},
		{"empty system", `{"DeploymentSystem":"","DeploymentSpecification":{"GenericEnvelope":%s}}`, `for the deployment system ""`},
		{"wrong system", `{"DeploymentSystem":"Rival","DeploymentSpecification":{"GenericEnvelope":%s}}`, `for the deployment system "Rival"`},
		{"no specification", `{"DeploymentSystem":"CodeDeploy","Unknown":%s}`, "no deployment specification"},
		{"null", `{"DeploymentSystem":"CodeDeploy","DeploymentSpecification":null,"Unknown":%s}`, "no deployment specification"},
		{"no envelope", `{"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{"VariantEnvelope":%s}}`, "the deployment specification is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			doc := h.put("d-NONE", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
			signed := h.signer.sign(t, doc.json(t))
			envelope, err := json.Marshal(map[string]*string{"Format": signed.Format, "Payload": signed.Payload})
			if err != nil {
				t.Fatal(err)
			}
			h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
				if operation == "GetDeploymentSpecification" {
					io.WriteString(w, fmt.Sprintf(test.answer, envelope)) //nolint:errcheck // the agent will show it
				}
				return operation == "GetDeploymentSpecification"
			})
			id := h.send("DownloadBundle", doc)
			h.wait("the report", func() bool { return len(h.commands[id].completed) > 0 })
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			c := h.commands[id]
			if len(c.completed) != 1 || len(c.acknowledged) != 0 || c.completed[0].Status != awsapi.CommandStatusFailed || c.completed[0].ErrorCode != awsapi.CodeUnknownError {
				t.Errorf("command = %+v, want one failure with code 5 and no acknowledgement", c)
			}
			wantContains(t, "message", c.completed[0].Message, test.want)
			if exists(h.path("root/group-1")) {
				t.Error("a folder was made for a command without a specification")
			}
		})
	}
}
