package service

//lint:file-ignore SA1019 the older calls are called on purpose: clients make them

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
)

// shop is a server with application shop, group prod and one host in it.
func shop(t *testing.T) (*world, *host) {
	t.Helper()
	w := start(t)
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	return w, h
}

// create tries to deploy to group prod of application shop. A change may set members of the call.
func (w *world) create(change func(*codedeploy.CreateDeploymentInput)) (string, error) {
	in := &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"), Revision: bundle("shop/1.zip"),
	}
	if change != nil {
		change(in)
	}
	out, err := w.CreateDeployment(w.t.Context(), in)
	if err != nil {
		return "", err
	}
	return *out.DeploymentId, nil
}

// stop stops a deployment.
func (w *world) stop(id string) (*codedeploy.StopDeploymentOutput, error) {
	return w.StopDeployment(w.t.Context(), &codedeploy.StopDeploymentInput{DeploymentId: &id})
}

// service.md 15: D119, D142, D144
func TestDeploymentIsCreated(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod") // no host: each deployment ends at once, and the next can be made
	var created *types.DeploymentInfo
	eventually(t, "a deployment is seen before the engine has looked at it", func() bool {
		id, err := w.create(nil)
		if err != nil {
			fails(t, err, "DeploymentLimitExceededException")
			return false
		}
		created = w.info(id)
		return created.Status == types.DeploymentStatusCreated
	})
	if id := *created.DeploymentId; !regexp.MustCompile(`^d-[A-Z0-9]{9}$`).MatchString(id) {
		t.Errorf("got the id %q", id)
	}
	if created.StartTime != nil || created.CompleteTime != nil || created.CreateTime == nil {
		t.Errorf("times of a deployment that has not begun: %v, %v, %v", created.CreateTime, created.StartTime, created.CompleteTime)
	}
	if created.Creator != types.DeploymentCreatorUser {
		t.Errorf("got the creator %q", created.Creator)
	}
}

// service.md 15: D121, D123, D142, D143
func TestOneDeploymentAtATime(t *testing.T) {
	t.Parallel()
	w, h := shop(t)
	first := w.deploy("shop", "prod", bundle("shop/1.zip"))
	busy := func(live string) {
		t.Helper()
		_, err := w.create(nil)
		fails(t, err, "DeploymentLimitExceededException")
		for _, name := range []string{"'prod'", "'" + live + "'"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the message does not name %s: %v", name, err)
			}
		}
	}
	c := h.poll()
	busy(first)
	if running := w.info(first); running.StartTime == nil || running.CompleteTime != nil {
		t.Errorf("D142: under way, started %v, completed %v", running.StartTime, running.CompleteTime)
	}
	h.acknowledge(c)
	h.complete(c, awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{})
	h.run(inPlaceEvents-1, "")
	w.ends(first, types.DeploymentStatusSucceeded)
	if done := w.info(first); done.CompleteTime == nil || done.PreviousRevision != nil {
		t.Errorf("at the end of the first: completed %v, previous revision %v", done.CompleteTime, done.PreviousRevision)
	}

	second := w.deploy("shop", "prod", bundle("shop/2.zip"))
	h.run(inPlaceEvents, "Install")
	w.ends(second, types.DeploymentStatusFailed)

	third := w.deploy("shop", "prod", bundle("shop/3.zip"))
	_, err := w.stop(third)
	ok(t, err)
	w.ends(third, types.DeploymentStatusStopped)
	for _, id := range []string{second, third} {
		info := w.info(id)
		if info.CompleteTime == nil || info.PreviousRevision == nil || *info.PreviousRevision.S3Location.Key != "shop/1.zip" {
			t.Errorf("D142, D143: %s completed %v, previous revision %v", id, info.CompleteTime, info.PreviousRevision)
		}
	}
	w.deploy("shop", "prod", bundle("shop/4.zip"))
}

// service.md 15: D122
func TestGroupIsBusyWhileItsDeploymentWaits(t *testing.T) {
	t.Parallel()
	w := start(t, seedLive(t, waiting()...))
	w.settled()
	// Deployments that this server can begin, so that nothing but the live one is in their way.
	_, err := w.UpdateDeploymentGroup(t.Context(), &codedeploy.UpdateDeploymentGroupInput{
		ApplicationName: aws.String("Server"), CurrentDeploymentGroupName: aws.String(readyID),
		DeploymentStyle: &types.DeploymentStyle{DeploymentType: types.DeploymentTypeInPlace, DeploymentOption: types.DeploymentOptionWithoutTrafficControl},
	})
	ok(t, err)
	busy := func() {
		t.Helper()
		_, err := w.create(func(in *codedeploy.CreateDeploymentInput) {
			in.ApplicationName, in.DeploymentGroupName = aws.String("Server"), aws.String(readyID)
		})
		fails(t, err, "DeploymentLimitExceededException")
	}
	busy()
	ok(t, w.carryOn(readyID, types.DeploymentWaitTypeReadyWait))
	eventually(t, "the termination wait has begun", func() bool { return w.info(readyID).InstanceTerminationWaitTimeStarted })
	busy()
	if status := w.info(readyID).Status; status != types.DeploymentStatusInProgress {
		t.Errorf("in the termination wait the status is %s", status)
	}
}

// service.md 15: D120, D124, D127, V54
func TestCreateDeploymentRefuses(t *testing.T) {
	t.Parallel()
	w, _ := shop(t)
	tests := []struct {
		name   string
		change func(*codedeploy.CreateDeploymentInput)
		want   string
	}{
		{"D120", func(in *codedeploy.CreateDeploymentInput) { in.Revision = nil }, "RevisionRequiredException"},
		{"D124", func(in *codedeploy.CreateDeploymentInput) {
			in.TargetInstances = &types.TargetInstances{AutoScalingGroups: []string{"green"}}
		}, "InvalidTargetInstancesException"},
		{"D127 unknown", func(in *codedeploy.CreateDeploymentInput) { in.DeploymentConfigName = aws.String("none") }, "DeploymentConfigDoesNotExistException"},
		{"D127 malformed", func(in *codedeploy.CreateDeploymentInput) { in.DeploymentConfigName = aws.String("a b") }, "InvalidDeploymentConfigNameException"},
		{"D127 platform", func(in *codedeploy.CreateDeploymentInput) {
			in.DeploymentConfigName = aws.String("CodeDeployDefault.ECSAllAtOnce")
		}, "InvalidDeploymentConfigNameException"},
		{"V54", func(in *codedeploy.CreateDeploymentInput) { in.FileExistsBehavior = "ASK" }, "InvalidFileExistsBehaviorException"},
		{"group", func(in *codedeploy.CreateDeploymentInput) { in.DeploymentGroupName = aws.String("none") }, "DeploymentGroupDoesNotExistException"},
		{"no group", func(in *codedeploy.CreateDeploymentInput) { in.DeploymentGroupName = nil }, "DeploymentGroupNameRequiredException"},
	}
	for _, tt := range tests {
		_, err := w.create(tt.change)
		if got := code(err); got != tt.want {
			t.Errorf("%s: got %q, want %s", tt.name, got, tt.want)
		}
	}
	if got := w.list(codedeploy.ListDeploymentsInput{}); len(got) != 0 {
		t.Errorf("refused deployments were stored: %v", got)
	}
}

// Settings are stored for every platform; what cannot be deployed yet says so.
//
// service.md 15: D125
func TestOtherPlatformsAreNotDeployedYet(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.lambdaGroup("fn", "prod")
	w.ecsGroup("box", "prod", nil)
	tests := []struct {
		application string
		change      func(*codedeploy.CreateDeploymentInput)
		want        string
	}{
		{"fn", func(in *codedeploy.CreateDeploymentInput) { in.IgnoreApplicationStopFailures = true }, "InvalidIgnoreApplicationStopFailuresValueException"},
		{"fn", func(in *codedeploy.CreateDeploymentInput) { in.UpdateOutdatedInstancesOnly = true }, "InvalidUpdateOutdatedInstancesOnlyValueException"},
		{"box", func(in *codedeploy.CreateDeploymentInput) { in.IgnoreApplicationStopFailures = true }, "InvalidIgnoreApplicationStopFailuresValueException"},
		{"box", func(in *codedeploy.CreateDeploymentInput) {
			in.TargetInstances = &types.TargetInstances{AutoScalingGroups: []string{"green"}}
		}, "InvalidTargetInstancesException"},
		{"fn", func(*codedeploy.CreateDeploymentInput) {}, "UnsupportedActionForDeploymentTypeException"},
		{"box", func(*codedeploy.CreateDeploymentInput) {}, "UnsupportedActionForDeploymentTypeException"},
	}
	for _, tt := range tests {
		_, err := w.create(func(in *codedeploy.CreateDeploymentInput) {
			in.ApplicationName = &tt.application
			in.Revision = &types.RevisionLocation{RevisionType: types.RevisionLocationTypeAppSpecContent, AppSpecContent: &types.AppSpecContent{Content: aws.String("{}")}}
			tt.change(in)
		})
		fails(t, err, tt.want)
		if tt.want == "UnsupportedActionForDeploymentTypeException" && !strings.Contains(err.Error(), "not available on this server yet") {
			t.Errorf("the message does not say that it is not there yet: %v", err)
		}
	}
}

// service.md 15: D126, D127
func TestDeploymentOverrides(t *testing.T) {
	t.Parallel()
	w, _ := shop(t)
	_, err := w.CreateDeploymentConfig(t.Context(), &codedeploy.CreateDeploymentConfigInput{
		DeploymentConfigName: aws.String("mine"), MinimumHealthyHosts: &types.MinimumHealthyHosts{Type: types.MinimumHealthyHostsTypeHostCount},
	})
	ok(t, err)
	rollback := &types.AutoRollbackConfiguration{Enabled: true, Events: []types.AutoRollbackEvent{types.AutoRollbackEventDeploymentFailure}}
	alarms := &types.AlarmConfiguration{Alarms: []types.Alarm{{Name: aws.String("cpu")}}, IgnorePollAlarmFailure: true}
	id, err := w.create(func(in *codedeploy.CreateDeploymentInput) {
		in.Description, in.DeploymentConfigName = aws.String("a <new> version"), aws.String("mine")
		in.AutoRollbackConfiguration, in.OverrideAlarmConfiguration = rollback, alarms
		in.FileExistsBehavior, in.IgnoreApplicationStopFailures = types.FileExistsBehaviorRetain, true
	})
	ok(t, err)
	got := w.info(id)
	want := types.DeploymentInfo{
		Description: aws.String("a <new> version"), DeploymentConfigName: aws.String("mine"), AutoRollbackConfiguration: rollback,
		OverrideAlarmConfiguration: alarms, FileExistsBehavior: types.FileExistsBehaviorRetain, IgnoreApplicationStopFailures: true,
	}
	stored := types.DeploymentInfo{
		Description: got.Description, DeploymentConfigName: got.DeploymentConfigName, AutoRollbackConfiguration: got.AutoRollbackConfiguration,
		OverrideAlarmConfiguration: got.OverrideAlarmConfiguration, FileExistsBehavior: got.FileExistsBehavior,
		IgnoreApplicationStopFailures: got.IgnoreApplicationStopFailures,
	}
	same(t, "what the call gave", stored, want)
}

// list returns the ids that ListDeployments lists.
func (w *world) list(in codedeploy.ListDeploymentsInput) []string {
	w.t.Helper()
	return must(w.ListDeployments(w.t.Context(), &in))(w.t).Deployments
}

// service.md 15: D128, D129, D130, D131
func TestListDeployments(t *testing.T) {
	t.Parallel()
	w, _ := shop(t)
	var stopped []string
	for range 2 {
		id := w.deploy("shop", "prod", bundle("shop/1.zip"))
		_, err := w.stop(id)
		ok(t, err)
		w.ends(id, types.DeploymentStatusStopped)
		stopped = append(stopped, id)
	}
	live := w.deploy("shop", "prod", bundle("shop/2.zip"))
	newest := []string{live, stopped[1], stopped[0]}
	same(t, "all", w.list(codedeploy.ListDeploymentsInput{}), newest)
	same(t, "of the group", w.list(codedeploy.ListDeploymentsInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod")}), newest)
	_, err := w.ListDeployments(t.Context(), &codedeploy.ListDeploymentsInput{ApplicationName: aws.String("shop")})
	fails(t, err, "DeploymentGroupNameRequiredException")
	_, err = w.ListDeployments(t.Context(), &codedeploy.ListDeploymentsInput{DeploymentGroupName: aws.String("prod")})
	fails(t, err, "ApplicationNameRequiredException")

	from := w.info(stopped[1]).CreateTime
	same(t, "D130", w.list(codedeploy.ListDeploymentsInput{
		IncludeOnlyStatuses: []types.DeploymentStatus{types.DeploymentStatusStopped, types.DeploymentStatusFailed},
		CreateTimeRange:     &types.TimeRange{Start: aws.Time(from.Add(-time.Millisecond))},
	}), stopped[1:])
	same(t, "external id", len(w.list(codedeploy.ListDeploymentsInput{ExternalId: aws.String("stack")})), 0)

	batch := must(w.BatchGetDeployments(t.Context(), &codedeploy.BatchGetDeploymentsInput{DeploymentIds: []string{"d-000000000", live}}))(t)
	if len(batch.DeploymentsInfo) != 1 || *batch.DeploymentsInfo[0].DeploymentId != live {
		t.Errorf("D131: got %d deployments", len(batch.DeploymentsInfo))
	}
	_, err = w.DeleteResourcesByExternalId(t.Context(), &codedeploy.DeleteResourcesByExternalIdInput{ExternalId: aws.String("stack")})
	ok(t, err)
}

// service.md 15: D132, D133, D134, D137
func TestStopDeployment(t *testing.T) {
	t.Parallel()
	w, h := shop(t)
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	c := h.poll()
	h.acknowledge(c)
	same(t, "D132", must(w.stop(id))(t).Status, types.StopStatusPending)
	again := must(w.stop(id))(t)
	if again.Status != types.StopStatusSucceeded || !strings.Contains(*again.StatusMessage, "No more commands will be scheduled") {
		t.Errorf("D133: %s, %s", again.Status, *again.StatusMessage)
	}
	h.complete(c, awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{})
	w.ends(id, types.DeploymentStatusStopped)
	_, err := w.stop(id)
	fails(t, err, "DeploymentAlreadyCompletedException")
	fails(t, w.carryOn(id, types.DeploymentWaitTypeReadyWait), "DeploymentAlreadyCompletedException")
}

// service.md 15: D135, D141
func TestInPlaceDeploymentsAreNotContinued(t *testing.T) {
	t.Parallel()
	w, _ := shop(t)
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	fails(t, w.carryOn(id, types.DeploymentWaitTypeReadyWait), "UnsupportedActionForDeploymentTypeException")
	fails(t, w.carryOn(id, "NAP"), "InvalidDeploymentWaitTypeException")
	fails(t, w.skipWait(id), "UnsupportedActionForDeploymentTypeException")
	fails(t, w.report(id, "x", types.LifecycleEventStatusSucceeded), "UnsupportedActionForDeploymentTypeException")
}

func (w *world) skipWait(id string) error {
	_, err := w.SkipWaitTimeForInstanceTermination(w.t.Context(), &codedeploy.SkipWaitTimeForInstanceTerminationInput{DeploymentId: &id})
	return err
}

// service.md 15: D136, D137, D138
func TestContinueDeployment(t *testing.T) {
	t.Parallel()
	third := live{"d-SKIPPED00", awsapi.ComputePlatformServer, []deploy.Phase{phase(deploy.Gate{}), phase(terminationWait)}}
	early := live{"d-HOOKED000", awsapi.ComputePlatformECS, []deploy.Phase{
		phase(deploy.Gate{}, hook(lifecycle.BeforeInstall, "e1")), phase(readyWait), phase(terminationWait),
	}}
	w := start(t, seedLive(t, append(waiting(), third, early)...))
	w.settled()
	w.ends(early.id, types.DeploymentStatusInProgress)
	fails(t, w.carryOn(early.id, types.DeploymentWaitTypeReadyWait), "DeploymentIsNotInReadyStateException")
	fails(t, w.carryOn(early.id, types.DeploymentWaitTypeTerminationWait), "InvalidDeploymentStatusException")
	fails(t, w.skipWait(early.id), "DeploymentNotStartedException")
	fails(t, w.carryOn(readyID, types.DeploymentWaitTypeTerminationWait), "InvalidDeploymentStatusException")

	ok(t, w.carryOn(readyID, "")) // READY_WAIT, for want of another
	eventually(t, "traffic has been rerouted", func() bool { return w.info(readyID).InstanceTerminationWaitTimeStarted })
	fails(t, w.carryOn(readyID, types.DeploymentWaitTypeReadyWait), "DeploymentIsNotInReadyStateException")
	for _, id := range []string{readyID, terminationID} {
		ok(t, w.carryOn(id, types.DeploymentWaitTypeTerminationWait))
		w.ends(id, types.DeploymentStatusSucceeded)
		fails(t, w.carryOn(id, types.DeploymentWaitTypeTerminationWait), "DeploymentAlreadyCompletedException")
	}
	eventually(t, "the termination wait has begun", func() bool { return w.info(third.id).InstanceTerminationWaitTimeStarted })
	ok(t, w.skipWait(third.id))
	w.ends(third.id, types.DeploymentStatusSucceeded)
	fails(t, w.skipWait(third.id), "DeploymentAlreadyCompletedException")
}

// report is a hook function's call when it is done.
func (w *world) report(id, execution string, status types.LifecycleEventStatus) error {
	out, err := w.PutLifecycleEventHookExecutionStatus(w.t.Context(), &codedeploy.PutLifecycleEventHookExecutionStatusInput{
		DeploymentId: &id, LifecycleEventHookExecutionId: &execution, Status: status,
	})
	if err == nil && *out.LifecycleEventHookExecutionId != execution {
		w.t.Errorf("a report on %s was answered with %s", execution, *out.LifecycleEventHookExecutionId)
	}
	return err
}

// service.md 15: D139, D140
func TestHooksReport(t *testing.T) {
	t.Parallel()
	good := live{"d-GOOD00000", awsapi.ComputePlatformECS, []deploy.Phase{
		phase(deploy.Gate{}, hook(lifecycle.BeforeInstall, "good-1"), hook(lifecycle.AfterInstall, "good-2")),
	}}
	bad := live{"d-BAD000000", awsapi.ComputePlatformLambda, []deploy.Phase{
		phase(deploy.Gate{}, hook(lifecycle.BeforeAllowTraffic, "bad-1"), hook(lifecycle.AfterAllowTraffic, "bad-2")),
	}}
	w := start(t, seedLive(t, good, bad))
	const unknown = "InvalidLifecycleEventHookExecutionIdException"
	for _, status := range []types.LifecycleEventStatus{"", "Pending", "Skipped", "Done"} {
		fails(t, w.report(good.id, "good-1", status), "InvalidLifecycleEventHookExecutionStatusException")
	}
	fails(t, w.report(good.id, "bad-1", types.LifecycleEventStatusSucceeded), unknown)
	fails(t, w.report(good.id, "good-2", types.LifecycleEventStatusSucceeded), unknown) // its hook has not been called yet
	eventually(t, "the first hook is called", func() bool { return w.report(good.id, "good-1", types.LifecycleEventStatusSucceeded) == nil })
	fails(t, w.report(good.id, "good-1", types.LifecycleEventStatusFailed), "LifecycleEventAlreadyCompletedException")
	eventually(t, "the second hook is called", func() bool { return w.report(good.id, "good-2", types.LifecycleEventStatusSucceeded) == nil })
	w.ends(good.id, types.DeploymentStatusSucceeded)
	fails(t, w.report(good.id, "good-2", types.LifecycleEventStatusSucceeded), "LifecycleEventAlreadyCompletedException")

	eventually(t, "the hook is called", func() bool { return w.report(bad.id, "bad-1", types.LifecycleEventStatusFailed) == nil })
	w.ends(bad.id, types.DeploymentStatusFailed)
}

// service.md 15: W23
func TestStockWaiter(t *testing.T) {
	t.Parallel()
	w := start(t, seedLive(t, waiting()...))
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	w.settled()
	waiter := codedeploy.NewDeploymentSuccessfulWaiter(w.Client, func(o *codedeploy.DeploymentSuccessfulWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, 20*time.Millisecond
	})
	wait := func(id string, longest time.Duration) string {
		t.Helper()
		if err := waiter.Wait(t.Context(), &codedeploy.GetDeploymentInput{DeploymentId: &id}, longest); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := wait(readyID, 100*time.Millisecond); !strings.Contains(got, "exceeded") { // the time to wait, or in the middle of a call the deadline
		t.Errorf("at a Ready deployment the waiter ended with %q", got)
	}
	ok(t, w.carryOn(terminationID, types.DeploymentWaitTypeTerminationWait))
	if got := wait(terminationID, time.Minute); got != "" {
		t.Errorf("at a Succeeded deployment the waiter ended with %q", got)
	}
	_, err := w.stop(readyID)
	ok(t, err)
	failed := w.deploy("shop", "prod", bundle("shop/1.zip"))
	h.run(inPlaceEvents, "Install")
	for _, id := range []string{readyID, failed} {
		if got := wait(id, time.Minute); !strings.Contains(got, "Failure") {
			t.Errorf("at %s, which is %s, the waiter ended with %q", id, w.info(id).Status, got)
		}
	}
}

// tryRaw calls an operation with members that the typed client does not have, or for an answer that it does not show whole.
func (w *world) tryRaw(operation string, in, out any) error {
	api := awsjson.Client{Endpoint: w.url, HTTP: http.DefaultClient, Sign: func(r *http.Request, bodyHash string) error {
		creds := aws.Credentials{AccessKeyID: w.root.AccessKeyID, SecretAccessKey: w.root.SecretAccessKey}
		return v4.NewSigner().SignHTTP(r.Context(), creds, r, bodyHash, "codedeploy", region, time.Now())
	}}
	return api.Call(w.t.Context(), awsapi.Target(operation), in, out)
}

// raw is tryRaw for a call that has to succeed.
func (w *world) raw(operation string, in, out any) {
	w.t.Helper()
	ok(w.t, w.tryRaw(operation, in, out))
}

// A restart deploys the last good revision again, and tells agents where they have it. The typed client is older
// than the member.
func TestRestart(t *testing.T) {
	t.Parallel()
	w, h := shop(t)
	in := awsapi.CreateDeploymentInput{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"), DeploymentMode: awsapi.DeploymentModeRestart,
	}
	var out awsapi.CreateDeploymentOutput
	err := w.tryRaw("CreateDeployment", in, &out)
	if e, ok := errors.AsType[*awsjson.Error](err); !ok || e.Name != "RevisionDoesNotExistException" {
		t.Fatalf("a restart before anything was deployed: %v", err)
	}
	first := w.deploy("shop", "prod", bundle("shop/1.zip"))
	h.run(inPlaceEvents, "")
	w.ends(first, types.DeploymentStatusSucceeded)

	w.raw("CreateDeployment", in, &out)
	c := h.poll()
	var told awsapi.GetDeploymentSpecificationOutput
	ok(t, h.call("GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{
		DeploymentExecutionId: c.DeploymentExecutionId, HostIdentifier: &h.arn,
	}, &told))
	specification := signedContent(t, *told.DeploymentSpecification.GenericEnvelope.Payload)
	for _, want := range []string{`"ReuseArchiveFromDeploymentId":"` + first + `"`, `"Key":"shop/1.zip"`} {
		if !bytes.Contains(specification, []byte(want)) {
			t.Errorf("the specification of a restart has no %s", want)
		}
	}
	for id, want := range map[string]awsapi.DeploymentMode{*out.DeploymentId: awsapi.DeploymentModeRestart, first: ""} {
		var shown awsapi.GetDeploymentOutput
		w.raw("GetDeployment", awsapi.GetDeploymentInput{DeploymentId: &id}, &shown)
		same(t, "mode of "+id, shown.DeploymentInfo.DeploymentMode, want)
	}
	h.acknowledge(c)
	h.complete(c, awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{})
	events := h.run(inPlaceEvents-1, "")
	same(t, "it installs", slices.Contains(events, "Install"), true)
	w.ends(*out.DeploymentId, types.DeploymentStatusSucceeded)
}

// signedContent returns the bytes of a PKCS #7 message in PEM, in which its content stands as it is.
func signedContent(t *testing.T, pem string) []byte {
	t.Helper()
	var body strings.Builder
	for line := range strings.Lines(pem) {
		if !strings.HasPrefix(line, "-----") {
			body.WriteString(strings.TrimSpace(line))
		}
	}
	return must(base64.StdEncoding.DecodeString(body.String()))(t)
}

// same compares.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
