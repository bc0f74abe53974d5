package service

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/sigv4"
)

// host is a registered host whose agent is the test: it polls, acknowledges and completes over the agent's protocol.
type host struct {
	t     *testing.T
	name  string
	arn   string
	creds sigv4.Credentials
	api   awsjson.Client
}

// host registers a host with an IAM user of its own. Each tag is KEY=VALUE split in two.
func (w *world) host(name string, tags ...types.Tag) *host {
	w.t.Helper()
	ctx := w.t.Context()
	api := w.iam()
	user := must(api.CreateUser(ctx, &iam.CreateUserInput{UserName: &name, Path: aws.String("/AWS/CodeDeploy/")}))(w.t).User
	key := must(api.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name}))(w.t).AccessKey
	_, err := w.RegisterOnPremisesInstance(ctx, &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: &name, IamUserArn: user.Arn})
	ok(w.t, err)
	if len(tags) > 0 {
		_, err := w.AddTagsToOnPremisesInstances(ctx, &codedeploy.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{name}, Tags: tags})
		ok(w.t, err)
	}
	return w.agent(name, *user.Arn, sigv4.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey})
}

// agent returns the agent's side of a host with these credentials.
func (w *world) agent(name, arn string, c sigv4.Credentials) *host {
	h := &host{t: w.t, name: name, arn: arn, creds: c}
	h.api = awsjson.Client{Endpoint: w.url, HTTP: &http.Client{Timeout: 2 * time.Minute}, Sign: func(r *http.Request, bodyHash string) error {
		creds := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
		return v4.NewSigner().SignHTTP(r.Context(), creds, r, bodyHash, awsapi.CommandService, region, time.Now())
	}}
	return h
}

func (h *host) call(operation string, in, out any) error {
	return h.api.Call(h.t.Context(), awsapi.CommandPrefix+"."+operation, in, out)
}

// poll waits for the next command.
func (h *host) poll() *awsapi.HostCommand {
	h.t.Helper()
	for {
		var out awsapi.PollHostCommandOutput
		ok(h.t, h.call("PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: &h.arn}, &out))
		if out.HostCommand != nil {
			return out.HostCommand
		}
	}
}

// acknowledge takes a command and returns its status.
func (h *host) acknowledge(c *awsapi.HostCommand) awsapi.CommandStatus {
	h.t.Helper()
	var out awsapi.PutHostCommandAcknowledgementOutput
	ok(h.t, h.call("PutHostCommandAcknowledgement", awsapi.PutHostCommandAcknowledgementInput{
		HostCommandIdentifier: c.HostCommandIdentifier, Diagnostics: envelope(h.t, awsapi.AcknowledgementDiagnostics{}),
	}, &out))
	return out.CommandStatus
}

// complete ends a command.
func (h *host) complete(c *awsapi.HostCommand, status awsapi.CommandStatus, d awsapi.CompletionDiagnostics) {
	h.t.Helper()
	ok(h.t, h.call("PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: c.HostCommandIdentifier, CommandStatus: status, Diagnostics: envelope(h.t, d),
	}, &awsapi.PutHostCommandCompleteOutput{}))
}

// run carries out the next n commands, the one of the event failing in the host's script ("" for none), and returns their
// names.
func (h *host) run(n int, failing string) (events []string) {
	h.t.Helper()
	for range n {
		c := h.poll()
		h.acknowledge(c)
		events = append(events, *c.CommandName)
		if *c.CommandName == failing {
			h.complete(c, awsapi.CommandStatusFailed, awsapi.CompletionDiagnostics{
				ErrorCode: awsapi.CodeScriptFailed, ScriptName: "scripts/run.sh", Message: "exit 1", Log: "it broke",
			})
			return events
		}
		h.complete(c, awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{Message: "Succeeded"})
	}
	return events
}

func envelope(t *testing.T, payload any) *awsapi.Envelope {
	t.Helper()
	data, err := json.Marshal(payload)
	ok(t, err)
	return &awsapi.Envelope{Format: aws.String(awsapi.FormatJSON), Payload: aws.String(string(data))}
}

// iam returns a typed client of the IAM endpoint.
func (w *world) iam() *iam.Client {
	return iam.New(iam.Options{Region: region, BaseEndpoint: &w.url, Credentials: w.Client.Options().Credentials, RetryMaxAttempts: 1})
}

// inPlaceEvents is how many commands an in-place deployment without a load balancer has for a host (service.md 4.2).
const inPlaceEvents = 7

// group creates an application of the name and its group of all hosts with the tag app=NAME.
func (w *world) group(application, group string) {
	w.t.Helper()
	w.application(application)
	_, err := w.CreateDeploymentGroup(w.t.Context(), &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: &application, DeploymentGroupName: &group, ServiceRoleArn: aws.String(role),
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: aws.String("app"), Value: &application, Type: types.TagFilterTypeKeyAndValue}},
	})
	ok(w.t, err)
}

// tag is a tag.
func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

// bundle is a revision in S3; nothing has to lie there as long as the test is the agent.
func bundle(key string) *types.RevisionLocation {
	return &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
		Bucket: aws.String("bundles"), Key: &key, BundleType: types.BundleTypeZip,
	}}
}

// deploy creates a deployment of the revision.
func (w *world) deploy(application, group string, revision *types.RevisionLocation) string {
	w.t.Helper()
	out := must(w.CreateDeployment(w.t.Context(), &codedeploy.CreateDeploymentInput{
		ApplicationName: &application, DeploymentGroupName: &group, Revision: revision,
	}))(w.t)
	return *out.DeploymentId
}

// info returns a deployment.
func (w *world) info(id string) *types.DeploymentInfo {
	w.t.Helper()
	return must(w.GetDeployment(w.t.Context(), &codedeploy.GetDeploymentInput{DeploymentId: &id}))(w.t).DeploymentInfo
}

// ends waits until a deployment has the status.
func (w *world) ends(id string, status types.DeploymentStatus) {
	w.t.Helper()
	eventually(w.t, id+" is "+string(status), func() bool { return w.info(id).Status == status })
}
