package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

var (
	here    = place{region: "us-east-1", account: "123456789012"}
	created = time.Date(2022, 10, 4, 8, 46, 18, 123456000, time.FixedZone("", 3600))
)

func after(d time.Duration) time.Time { return created.Add(d) }

// shop is a deployment of two hosts that has failed.
func shop() store.Deployment {
	return store.Deployment{
		Info: awsapi.DeploymentInfo{
			DeploymentId: new("d-1"), ApplicationName: new("shop"), DeploymentGroupName: new("web"),
			CreateTime: awsapi.At(created), CompleteTime: awsapi.At(after(time.Hour)),
			DeploymentOverview: &awsapi.DeploymentOverview{
				Succeeded: new(int64(1)), Failed: new(int64(2)), Skipped: new(int64(3)), InProgress: new(int64(4)), Pending: new(int64(5)),
			},
			ErrorInformation: &awsapi.ErrorInformation{Code: awsapi.ErrorCodeHealthConstraints, Message: new(`too many "failed"`)},
			RollbackInfo:     &awsapi.RollbackInfo{RollbackMessage: new("rolled back as d-2"), RollbackDeploymentId: new("d-2")},
		},
		Status: deploy.Failed,
		Plan: deploy.Plan{Phases: []deploy.Phase{{
			Targets: []string{"web-1", "i-0abc"}, Steps: []deploy.Step{{Event: "ApplicationStop"}, {Event: "Install"}, {Event: "ValidateService"}},
		}}},
	}
}

// rolledBack is the rollback of shop, which succeeded.
func rolledBack() store.Deployment {
	d := shop()
	d.Info.DeploymentId, d.Info.ErrorInformation, d.Status = new("d-2"), nil, deploy.Succeeded
	d.Info.RollbackInfo = &awsapi.RollbackInfo{RollbackMessage: new("because of d-1"), RollbackTriggeringDeploymentId: new("d-1")}
	d.Facts.RollbackOf = "d-1"
	return d
}

func TestDeploymentMessages(t *testing.T) {
	t.Parallel()
	plain := shop()
	plain.Info.ErrorInformation, plain.Info.RollbackInfo = nil, nil
	long := shop()
	long.Info.ApplicationName = new(strings.Repeat("a", 100))
	tests := []struct {
		name       string
		status     deploy.Status
		deployment store.Deployment
		subject    string
		body       map[string]any
	}{
		{
			"created, put into words when it had failed", deploy.Created, shop(), "CREATED: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": nil, "status": "CREATED"},
		},
		{
			"ready", deploy.Ready, plain, "READY: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": nil, "status": "READY"},
		},
		{
			"succeeded", deploy.Succeeded, plain, "SUCCEEDED: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{
				"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": "Tue Oct 04 08:46:18 UTC 2022", "status": "SUCCEEDED",
				"deploymentOverview": `{"Succeeded":1,"Failed":2,"Skipped":3,"InProgress":4,"Pending":5}`,
			},
		},
		{
			"failed and rolled back", deploy.Failed, shop(), "FAILED: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{
				"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": "Tue Oct 04 08:46:18 UTC 2022", "status": "FAILED",
				"deploymentOverview":  `{"Succeeded":1,"Failed":2,"Skipped":3,"InProgress":4,"Pending":5}`,
				"errorInformation":    `{"ErrorCode":"HEALTH_CONSTRAINTS","ErrorMessage":"too many \"failed\""}`,
				"rollbackInformation": `{"RollbackMessage":"rolled back as d-2"}`,
			},
		},
		{
			"failed without a rollback", deploy.Failed, plain, "FAILED: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{
				"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": "Tue Oct 04 08:46:18 UTC 2022", "status": "FAILED",
				"deploymentOverview":  `{"Succeeded":1,"Failed":2,"Skipped":3,"InProgress":4,"Pending":5}`,
				"rollbackInformation": `{}`,
			},
		},
		{
			"rollback begins", deploy.InProgress, rolledBack(), "IN_PROGRESS: AWS CodeDeploy d-1 in us-east-1 to shop",
			map[string]any{
				"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": nil, "status": "IN_PROGRESS",
				"rollbackInformation": `{"RollbackMessage":"because of d-1","RollbackTriggeringDeploymentId":"d-1"}`,
			},
		},
		{
			"long name", deploy.Created, long, "CREATED: AWS CodeDeploy d-1 in us-east-1 to " + strings.Repeat("a", 56),
			map[string]any{
				"createTime": "Tue Oct 04 07:46:18 UTC 2022", "completeTime": nil, "status": "CREATED", "applicationName": strings.Repeat("a", 100),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := map[string]any{
				"region": "us-east-1", "accountId": "123456789012", "eventTriggerName": "tell", "applicationName": "shop",
				"deploymentId": "d-1", "deploymentGroupName": "web",
			}
			for name, value := range tt.body {
				want[name] = value
			}
			got := here.ofDeployment(store.Notice{Trigger: "tell", Deployment: "d-1", Status: string(tt.status), At: created}, tt.deployment)
			check(t, got, tt.subject, want)
		})
	}
}

func check(t *testing.T, got message, subject string, body map[string]any) {
	t.Helper()
	if got.Subject != subject || len(got.Subject) > maxSubject {
		t.Errorf("subject %q, want %q", got.Subject, subject)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(got.Body), &members); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(body, members); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// TestInstanceMessages puts each moment of a host into words when its deployment has long ended.
func TestInstanceMessages(t *testing.T) {
	t.Parallel()
	end := after(3 * time.Minute)
	target := store.Target{
		Target: deploy.Target{ID: "web-1", Status: deploy.TargetFailed, Step: 1}, EndedAt: end,
		Work: []deploy.Work{
			{Event: "ApplicationStop", Status: deploy.WorkSucceeded, IssuedAt: created, AckedAt: after(time.Minute), EndedAt: after(time.Minute)},
			{Event: "Install", Step: 1, Status: deploy.WorkFailed, IssuedAt: after(time.Minute), AckedAt: after(2 * time.Minute), EndedAt: end},
		},
	}
	tests := []struct {
		name, target, status, arn, updated, events string
		at                                         time.Time
	}{
		{
			"started", "web-1", "InProgress", "arn:aws:codedeploy:us-east-1:123456789012:instance/web-1", "Tue Oct 04 07:46:18 UTC 2022",
			`[{"LifecycleEvent":"ApplicationStop","LifecycleEventStatus":"Pending","StartTime":null,"EndTime":null},` +
				`{"LifecycleEvent":"Install","LifecycleEventStatus":"Pending","StartTime":null,"EndTime":null},` +
				`{"LifecycleEvent":"ValidateService","LifecycleEventStatus":"Pending","StartTime":null,"EndTime":null}]`, created,
		},
		{
			"under way", "web-1", "InProgress", "arn:aws:codedeploy:us-east-1:123456789012:instance/web-1", "Tue Oct 04 07:48:18 UTC 2022",
			`[{"LifecycleEvent":"ApplicationStop","LifecycleEventStatus":"Succeeded","StartTime":"Tue Oct 04 07:47:18 UTC 2022","EndTime":"Tue Oct 04 07:47:18 UTC 2022"},` +
				`{"LifecycleEvent":"Install","LifecycleEventStatus":"InProgress","StartTime":"Tue Oct 04 07:48:18 UTC 2022","EndTime":null},` +
				`{"LifecycleEvent":"ValidateService","LifecycleEventStatus":"Pending","StartTime":null,"EndTime":null}]`, after(2 * time.Minute),
		},
		{
			"failed", "i-0abc", "Failed", "arn:aws:ec2:us-east-1:123456789012:instance/i-0abc", "Tue Oct 04 07:49:18 UTC 2022",
			`[{"LifecycleEvent":"ApplicationStop","LifecycleEventStatus":"Succeeded","StartTime":"Tue Oct 04 07:47:18 UTC 2022","EndTime":"Tue Oct 04 07:47:18 UTC 2022"},` +
				`{"LifecycleEvent":"Install","LifecycleEventStatus":"Failed","StartTime":"Tue Oct 04 07:48:18 UTC 2022","EndTime":"Tue Oct 04 07:49:18 UTC 2022"},` +
				`{"LifecycleEvent":"ValidateService","LifecycleEventStatus":"Skipped","StartTime":null,"EndTime":"Tue Oct 04 07:49:18 UTC 2022"}]`, end,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := store.Notice{Trigger: "tell", Deployment: "d-1", Target: tt.target, Status: tt.status, At: tt.at}
			status := upperSnake(tt.status)
			check(t, here.ofTarget(n, shop(), target), status+": AWS CodeDeploy d-1 in us-east-1 to shop", map[string]any{
				"region": "us-east-1", "accountId": "123456789012", "eventTriggerName": "tell", "deploymentId": "d-1",
				"instanceId": tt.arn, "lastUpdatedAt": tt.updated, "instanceStatus": status, "lifecycleEvents": tt.events,
			})
		})
	}
}
