// Package storetest is what every store.Store must pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// Run runs the suite. open returns an empty store that lives as long as t.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	RunMoving(t, func(t *testing.T) Moving { return open(t) })
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"Applications", applications},
		{"ApplicationRename", applicationRename},
		{"ApplicationDelete", applicationDelete},
		{"Groups", groups},
		{"ECSServices", ecsServices},
		{"GroupDelete", groupDelete},
		{"Configs", configs},
		{"ConfigInUse", configInUse},
		{"Revisions", revisions},
		{"RevisionOfDeployment", revisionOfDeployment},
		{"Hosts", hosts},
		{"HostARN", hostARN},
		{"HostTags", hostTags},
		{"HostsSeen", hostsSeen},
		{"DeregisterAtWork", deregisterAtWork},
		{"Silent", silent},
		{"Deployment", deployment},
		{"DeploymentBusy", deploymentBusy},
		{"ReadAfterWrite", readAfterWrite},
		{"ListDeployments", listDeployments},
		{"ApprovePhase", approvePhase},
		{"Load", load},
		{"Round", round},
		{"Success", success},
		{"Failure", failure},
		{"Rollback", rollback},
		{"ThousandTargets", thousandTargets},
		{"OpenBundles", openBundles},
		{"Logs", logs},
		{"LogSentTwice", logSentTwice},
		{"LogLimits", logLimits},
		{"LogRace", logRace},
		{"LogGoesWithItsDeployment", logGoesWithItsDeployment},
		{"Users", users},
		{"AccessKeys", accessKeys},
		{"Roles", roles},
		{"Policies", policies},
		{"IdentityVersion", identityVersion},
		{"Secrets", secrets},
		{"ReplaceAccessKeys", replaceAccessKeys},
		{"AccessKeyRace", accessKeyRace},
		{"JoinTokens", joinTokens},
		{"Join", join},
		{"JoinNames", joinNames},
		{"JoinRace", joinRace},
		{"GitHubTokens", gitHubTokens},
		{"AuditOfChange", auditOfChange},
		{"AuditLog", auditLog},
		{"AuditOrder", auditOrder},
		{"LostUpdates", lostUpdates},
		{"SettingsRace", settingsRace},
		{"RegisterRace", registerRace},
		{"SecretRace", secretRace},
		{"FailuresAreIsolated", failuresAreIsolated},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// Moving is the part of a store that moves deployments: the guards, the races and the hand-overs.
type Moving interface {
	store.Rounds
	store.Commands
	CreateApplication(ctx context.Context, a store.Application) error
	CreateGroup(ctx context.Context, g store.Group) error
	CreateDeployment(ctx context.Context, d store.Deployment) error
	StopDeployment(ctx context.Context, id string, fact deploy.Stop) error
}

// RunMoving runs the part of the suite that a store needs to pass which only moves deployments, such as the simulation's.
func RunMoving(t *testing.T, open func(t *testing.T) Moving) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Moving)
	}{
		{"StopDeployment", stopDeployment},
		{"RoundGuards", roundGuards},
		{"RoundIsAllOrNothing", roundIsAllOrNothing},
		{"HandOver", handOver},
		{"HandBack", handBack},
		{"Reprieve", reprieve},
		{"Acknowledge", acknowledge},
		{"Complete", complete},
		{"CommitRace", commitRace},
		{"CreateRace", createRace},
		{"HandOverRace", handOverRace},
		{"CompletionsDuringCommit", completionsDuringCommit},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// begin is when the tests take place. Microseconds must survive.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// after returns a moment of the tests.
func after(d time.Duration) time.Time { return begin.Add(d) }

func ptr[T any](v T) *T { return &v }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails demands an error that is want.
func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// newApplication stores an application.
func newApplication(t *testing.T, s Moving, name string) {
	t.Helper()
	ok(t, s.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: ptr("id of " + name), ApplicationName: ptr(name), CreateTime: awsapi.At(begin),
	}}))
}

// newGroup stores a group, whose id is "id of" its name.
func newGroup(t *testing.T, s Moving, application, name string) {
	t.Helper()
	ok(t, s.CreateGroup(t.Context(), groupOf(application, name)))
}

func groupOf(application, name string) store.Group {
	return store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: ptr(application), DeploymentGroupName: ptr(name), DeploymentGroupId: ptr("id of " + name),
		DeploymentConfigName: ptr("CodeDeployDefault.OneAtATime"),
	}}
}

// bundle is a revision.
func bundle(key string) awsapi.RevisionLocation {
	return awsapi.RevisionLocation{
		RevisionType: awsapi.RevisionLocationTypeS3,
		S3Location:   &awsapi.S3Location{Bucket: ptr("bundles"), Key: ptr(key), BundleType: awsapi.BundleTypeZip, ETag: ptr("e")},
	}
}

// deploymentOf returns a deployment of v1 to group g of one phase with two steps.
func deploymentOf(id string, targets ...string) store.Deployment {
	revision := bundle("v1")
	return store.Deployment{
		Info: awsapi.DeploymentInfo{
			DeploymentId: ptr(id), ApplicationName: ptr("app"), DeploymentGroupName: ptr("g"),
			DeploymentConfigName: ptr("CodeDeployDefault.OneAtATime"), Revision: &revision,
			CreateTime: awsapi.At(begin), Creator: awsapi.DeploymentCreatorUser,
		},
		GroupID:     "id of g",
		RevisionKey: store.RevisionKey(revision),
		Plan: deploy.Plan{
			Phases: []deploy.Phase{{
				Name: "deploy", Targets: targets,
				Steps:  []deploy.Step{{Event: "ApplicationStop", Timeout: time.Hour}, {Event: "Install", Timeout: time.Hour}},
				Health: deploy.Health{Type: deploy.HostCount},
			}},
			Limit: 8 * time.Hour,
		},
		Status: deploy.Created,
	}
}

// started stores application app, group g and a deployment whose first step is issued to all targets.
func started(t *testing.T, s Moving, id string, targets ...string) {
	t.Helper()
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	ok(t, s.CreateDeployment(t.Context(), deploymentOf(id, targets...)))
	ok(t, s.Commit(t.Context(), firstRound(loaded(t, s, id))))
}

func loaded(t *testing.T, s Moving, id string) deploy.State {
	t.Helper()
	state, err := s.Load(t.Context(), id)
	ok(t, err)
	return state
}

// firstRound starts a deployment and issues the first step to all of its targets.
func firstRound(s deploy.State) store.Round {
	r := store.Round{State: s, At: after(time.Second), Decision: deploy.Decision{Status: deploy.InProgress}}
	for _, target := range s.Targets {
		r.Decision.Targets = append(r.Decision.Targets, deploy.TargetChange{ID: target.ID, Status: deploy.TargetInProgress})
		r.Decision.Issue = append(r.Decision.Issue, workOf(s.ID, 0, target.ID))
	}
	return r
}

// workOf is a step of a deployment of deploymentOf, to be acknowledged within 5 minutes.
func workOf(deployment string, step int, target string) deploy.Work {
	w := deploy.Work{
		ID: deploy.WorkID(deployment, 0, step, target), Target: target, Step: step, Event: "ApplicationStop",
		Status: deploy.WorkPending, IssuedAt: after(time.Second), Due: after(5 * time.Minute), Timeout: time.Hour,
	}
	if step == 1 {
		w.Event = "Install"
	}
	return w
}

// end is a round that ends a deployment with all its targets in status.
func end(s deploy.State, status deploy.Status, target deploy.TargetStatus) store.Round {
	r := store.Round{State: s, At: after(time.Hour), Decision: deploy.Decision{Status: status}}
	for _, at := range s.Targets {
		r.Decision.Targets = append(r.Decision.Targets, deploy.TargetChange{ID: at.ID, Status: target, Step: 2})
	}
	for _, w := range s.Work {
		r.Decision.Settle = append(r.Decision.Settle, deploy.Settle{ID: w.ID, Saw: w.Status, Status: deploy.WorkSucceeded})
	}
	return r
}

// names returns "prefix0", "prefix1", ...
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return all
}
