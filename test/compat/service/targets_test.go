package service

//lint:file-ignore SA1019 the older calls are called on purpose: clients make them

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/smithy-go/document"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/server"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// target returns a target of a deployment.
func (w *world) target(deployment, id string) *types.InstanceTarget {
	w.t.Helper()
	out := must(w.GetDeploymentTarget(w.t.Context(), &codedeploy.GetDeploymentTargetInput{DeploymentId: &deployment, TargetId: &id}))(w.t)
	return out.DeploymentTarget.InstanceTarget
}

// targets lists the ids of a deployment's targets that have one of the statuses, all for none.
func (w *world) targets(deployment string, statuses ...types.TargetStatus) []string {
	w.t.Helper()
	in := &codedeploy.ListDeploymentTargetsInput{DeploymentId: &deployment}
	for _, status := range statuses {
		if in.TargetFilters == nil {
			in.TargetFilters = map[string][]string{}
		}
		in.TargetFilters["TargetStatus"] = append(in.TargetFilters["TargetStatus"], string(status))
	}
	return must(w.ListDeploymentTargets(w.t.Context(), in))(w.t).TargetIds
}

// events returns the lifecycle events of a target as "Name Status".
func events(t *types.InstanceTarget) (all []string) {
	for _, e := range t.LifecycleEvents {
		all = append(all, *e.LifecycleEventName+" "+string(e.Status))
	}
	return all
}

// equal compares what a client got with what it should have.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(document.NoSerde{})); diff != "" { // a mark inside the SDK's types
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// resting puts a deployment with these targets into the store, in a status at which the engine leaves it alone: a Created one
// that it has not taken up, or one of a platform that it cannot run.
func resting(t *testing.T, id string, platform awsapi.ComputePlatform, status deploy.Status, targets ...string) func(*server.Options) {
	return func(o *server.Options) {
		application, at := "of "+id, awsapi.At(time.Now())
		seed(t, func(s *sqlstore.Store) {
			ok(t, s.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
				ApplicationId: &application, ApplicationName: &application, CreateTime: at, ComputePlatform: platform}}))
			ok(t, s.CreateGroup(t.Context(), store.Group{Info: awsapi.DeploymentGroupInfo{
				ApplicationName: &application, DeploymentGroupId: &application, DeploymentGroupName: &application,
				DeploymentConfigName: aws.String("CodeDeployDefault.OneAtATime"), ComputePlatform: platform}}))
			ok(t, s.CreateDeployment(t.Context(), store.Deployment{
				GroupID: application, Status: deploy.Created,
				Plan: deploy.Plan{Phases: []deploy.Phase{{Name: "all", Targets: targets}}},
				Info: awsapi.DeploymentInfo{DeploymentId: &id, CreateTime: at, ComputePlatform: platform},
			}))
		})(o)
		db, err := sql.Open("sqlite", filepath.Join(o.DataDir, "grapnel.db"))
		ok(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), `UPDATE deployments SET live = FALSE, status = ? WHERE id = ?`, string(status), id)
		ok(t, err)
	}
}

// service.md 15: T145
func TestTargetsBeforeTheStart(t *testing.T) {
	t.Parallel()
	const id = "d-CREATED01"
	w, ctx := start(t, resting(t, id, awsapi.ComputePlatformServer, deploy.Created, "web-1")), t.Context()
	_, err := w.ListDeploymentTargets(ctx, &codedeploy.ListDeploymentTargetsInput{DeploymentId: aws.String(id)})
	fails(t, err, "DeploymentNotStartedException")
	_, err = w.GetDeploymentTarget(ctx, &codedeploy.GetDeploymentTargetInput{DeploymentId: aws.String(id), TargetId: aws.String("web-1")})
	fails(t, err, "DeploymentNotStartedException")
	_, err = w.BatchGetDeploymentTargets(ctx, &codedeploy.BatchGetDeploymentTargetsInput{DeploymentId: aws.String(id), TargetIds: []string{"web-1"}})
	fails(t, err, "DeploymentNotStartedException")
	_, err = w.ListDeploymentInstances(ctx, &codedeploy.ListDeploymentInstancesInput{DeploymentId: aws.String(id)})
	fails(t, err, "DeploymentNotStartedException")
}

// A host fails half-way: what its target tells before, while and after.
//
// service.md 15: T146, T148, T149, T156, T157
func TestTargetTellsItsEvents(t *testing.T) {
	t.Parallel()
	const ec2 = "i-0123456789abcdef0"
	w := start(t, resting(t, "d-EC2000001", awsapi.ComputePlatformServer, deploy.Succeeded, ec2))
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	eventually(t, "the deployment has started", func() bool { return w.info(id).Status == types.DeploymentStatusInProgress })

	planned := w.target(id, "web-1")
	equal(t, "T148", events(planned), []string{
		"ApplicationStop Pending", "DownloadBundle Pending", "BeforeInstall Pending", "Install Pending", "AfterInstall Pending",
		"ApplicationStart Pending", "ValidateService Pending",
	})
	equal(t, "T146: the target", []string{*planned.TargetId, *planned.TargetArn, *planned.DeploymentId},
		[]string{"web-1", "arn:aws:codedeploy:us-east-1:123456789012:instance/web-1", id})
	instance := w.target("d-EC2000001", ec2)
	equal(t, "T146: the target on EC2", []string{*instance.TargetId, *instance.TargetArn},
		[]string{ec2, "arn:aws:ec2:us-east-1:123456789012:instance/" + ec2})

	h.run(2, "")
	c := h.poll()
	h.acknowledge(c)
	log := strings.Repeat("a line of größe\n", 400)
	h.complete(c, awsapi.CommandStatusFailed, awsapi.CompletionDiagnostics{
		ErrorCode: awsapi.CodeScriptFailed, ScriptName: "scripts/before.sh", Message: "exit 1", Log: log,
	})
	w.ends(id, types.DeploymentStatusFailed)
	got := w.target(id, "web-1")
	equal(t, "T149", events(got), []string{
		"ApplicationStop Succeeded", "DownloadBundle Succeeded", "BeforeInstall Failed", "Install Skipped", "AfterInstall Skipped",
		"ApplicationStart Skipped", "ValidateService Skipped",
	})
	for i, e := range got.LifecycleEvents {
		if skipped := i > 2; e.EndTime == nil || (e.StartTime == nil) != skipped {
			t.Errorf("T149: %s is %s from %v to %v", *e.LifecycleEventName, e.Status, e.StartTime, e.EndTime)
		}
	}
	if d := got.LifecycleEvents[1].Diagnostics; d == nil || d.ErrorCode != types.LifecycleErrorCodeSuccess {
		t.Errorf("T156: diagnostics of an event that succeeded: %+v", d)
	}
	d := got.LifecycleEvents[2].Diagnostics
	equal(t, "diagnostics", []string{string(d.ErrorCode), *d.ScriptName, *d.Message}, []string{"ScriptFailed", "scripts/before.sh", "exit 1"})
	if tail := *d.LogTail; len(tail) > 4096 || len(tail) < 4000 || !strings.HasSuffix(log, tail) || !utf8.ValidString(tail) {
		t.Errorf("T157: logTail has %d bytes of %d", len(tail), len(log))
	}
}

// Three hosts, one at a time; the first fails.
//
// service.md 15: T147, T150, T151, T152, T153, T154, T155
func TestTargetsAreFound(t *testing.T) {
	t.Parallel()
	const elsewhere = "d-ECS000001"
	w, ctx := start(t, resting(t, elsewhere, awsapi.ComputePlatformECS, deploy.Succeeded, "cluster:service")), t.Context()
	hosts := map[string]*host{}
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		hosts[name] = w.host(name, tag("app", "shop"))
	}
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	eventually(t, "a target is under way", func() bool {
		return w.info(id).Status == types.DeploymentStatusInProgress && len(w.targets(id, types.TargetStatusInProgress)) == 1
	})
	equal(t, "T147: in the list", w.targets(elsewhere), []string{"cluster:service"})
	all := w.targets(id)
	equal(t, "T150: under way", w.targets(id, types.TargetStatusInProgress), all[:1])
	equal(t, "T150: waiting", w.targets(id, types.TargetStatusPending), all[1:])
	w.countsAreRight(id)
	hosts[all[0]].run(inPlaceEvents, "ApplicationStop")
	w.ends(id, types.DeploymentStatusFailed)
	equal(t, "T150: failed", w.targets(id, types.TargetStatusFailed), all[:1])
	equal(t, "T150: either", w.targets(id, types.TargetStatusFailed, types.TargetStatusSkipped), all)
	equal(t, "T150: none", w.targets(id, types.TargetStatusSucceeded), []string{})
	w.countsAreRight(id)

	list := func(name, value string) error {
		_, err := w.ListDeploymentTargets(ctx, &codedeploy.ListDeploymentTargetsInput{
			DeploymentId: &id, TargetFilters: map[string][]string{name: {value}}})
		return err
	}
	fails(t, list("Colour", "Blue"), "InvalidTargetFilterNameException")                                     // T150
	fails(t, list("TargetStatus", "Done"), "InvalidInstanceStatusException")                                 // T150
	fails(t, list("ServerInstanceLabel", "Red"), "InvalidInstanceTypeException")                             // T151
	fails(t, list("ServerInstanceLabel", "Blue"), "InvalidDeploymentInstanceTypeException")                  // T151
	fails(t, w.batchTargets(id, all[0], "web-9"), "DeploymentTargetDoesNotExistException")                   // T152
	fails(t, w.batchTargets(id, slices.Repeat(all[:1], 26)...), "DeploymentTargetListSizeExceededException") // T153
	fails(t, w.batchTargets(id, slices.Repeat(all[:1], 25)...), "")
	fails(t, w.batchTargets(elsewhere, "cluster:service", "cluster:other"), "DeploymentTargetListSizeExceededException")
	_, err := w.GetDeploymentTarget(ctx, &codedeploy.GetDeploymentTargetInput{DeploymentId: &id, TargetId: aws.String("web-9")})
	fails(t, err, "DeploymentTargetDoesNotExistException") // T152
	w.olderCalls(id, elsewhere, all)
}

// batchTargets asks for targets by their ids.
func (w *world) batchTargets(deployment string, ids ...string) error {
	_, err := w.BatchGetDeploymentTargets(w.t.Context(), &codedeploy.BatchGetDeploymentTargetsInput{DeploymentId: &deployment, TargetIds: ids})
	return err
}

// countsAreRight compares the overview with the targets that each status filter selects (T155).
func (w *world) countsAreRight(deployment string) {
	w.t.Helper()
	o := w.info(deployment).DeploymentOverview
	for status, count := range map[types.TargetStatus]int64{
		types.TargetStatusPending: o.Pending, types.TargetStatusInProgress: o.InProgress, types.TargetStatusSucceeded: o.Succeeded,
		types.TargetStatusFailed: o.Failed, types.TargetStatusSkipped: o.Skipped, types.TargetStatusReady: o.Ready,
	} {
		if n := len(w.targets(deployment, status)); int64(n) != count {
			w.t.Errorf("T155: the overview counts %d targets as %s, the list has %d", count, status, n)
		}
	}
}

// olderCalls makes the calls that older clients make (T154).
func (w *world) olderCalls(id, elsewhere string, all []string) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	list := must(w.ListDeploymentInstances(ctx, &codedeploy.ListDeploymentInstancesInput{
		DeploymentId: &id, InstanceStatusFilter: []types.InstanceStatus{types.InstanceStatusSkipped}}))(t)
	equal(t, "T154: instances", list.InstancesList, all[1:])
	want := w.target(id, all[0])
	for _, name := range []string{all[0], *want.TargetArn, "arn:aws:ec2:us-east-1:123456789012:instance/" + all[0]} {
		one := must(w.GetDeploymentInstance(ctx, &codedeploy.GetDeploymentInstanceInput{DeploymentId: &id, InstanceId: &name}))(t).InstanceSummary
		equal(t, "T154: instance", []any{*one.InstanceId, string(one.Status), len(one.LifecycleEvents), *one.LastUpdatedAt},
			[]any{all[0], string(want.Status), len(want.LifecycleEvents), *want.LastUpdatedAt})
	}
	batch := must(w.BatchGetDeploymentInstances(ctx, &codedeploy.BatchGetDeploymentInstancesInput{
		DeploymentId: &id, InstanceIds: []string{all[2], "web-9"}}))(t)
	if len(batch.InstancesSummary) != 1 || *batch.InstancesSummary[0].InstanceId != all[2] || !strings.Contains(*batch.ErrorMessage, "web-9") {
		t.Errorf("T154: batch of a known and an unknown one: %+v, %q", batch.InstancesSummary, *batch.ErrorMessage)
	}
	_, err := w.GetDeploymentInstance(ctx, &codedeploy.GetDeploymentInstanceInput{DeploymentId: &id, InstanceId: aws.String("web-9")})
	fails(t, err, "InstanceDoesNotExistException")

	_, err = w.ListDeploymentInstances(ctx, &codedeploy.ListDeploymentInstancesInput{DeploymentId: &elsewhere})
	fails(t, err, "InvalidComputePlatformException")
	_, err = w.GetDeploymentInstance(ctx, &codedeploy.GetDeploymentInstanceInput{DeploymentId: &elsewhere, InstanceId: aws.String("i-1")})
	fails(t, err, "InvalidComputePlatformException")
	_, err = w.BatchGetDeploymentInstances(ctx, &codedeploy.BatchGetDeploymentInstancesInput{DeploymentId: &elsewhere, InstanceIds: []string{"i-1"}})
	fails(t, err, "InvalidComputePlatformException")
}

// No ECS deployment can be started yet, so a typed client reads the shape that one will be shown in, over a connection.
//
// service.md 15: T147, W21
func TestTargetOfECSOnTheWire(t *testing.T) {
	t.Parallel()
	shown := awsapi.GetDeploymentTargetOutput{DeploymentTarget: &awsapi.DeploymentTarget{
		DeploymentTargetType: awsapi.DeploymentTargetTypeECSTarget,
		EcsTarget: &awsapi.ECSTarget{
			TargetId:     aws.String("cluster:service"),
			TaskSetsInfo: []awsapi.ECSTaskSet{{Identifer: aws.String("ecs-svc/1"), TaskSetLabel: awsapi.TargetLabelBlue}},
		},
	}}
	mux := awsjson.NewMux(awsjson.Options{})
	awsjson.Handle(mux, awsapi.Target("GetDeploymentTarget"), func(context.Context, *awsapi.GetDeploymentTargetInput) (*awsapi.GetDeploymentTargetOutput, error) {
		return &shown, nil
	})
	shapes := httptest.NewServer(mux)
	defer shapes.Close()
	client := codedeploy.New(codedeploy.Options{
		Region: region, BaseEndpoint: &shapes.URL, HTTPClient: &http.Client{Timeout: time.Minute},
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
	})
	out := must(client.GetDeploymentTarget(t.Context(), &codedeploy.GetDeploymentTargetInput{
		DeploymentId: aws.String("d-ECS000001"), TargetId: aws.String("cluster:service")}))(t)
	ecs := out.DeploymentTarget.EcsTarget
	if ecs == nil || *ecs.TargetId != "cluster:service" || len(ecs.TaskSetsInfo) != 1 || aws.ToString(ecs.TaskSetsInfo[0].Identifer) != "ecs-svc/1" {
		t.Errorf("the client understood %+v", ecs)
	}
}
