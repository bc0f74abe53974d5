package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
)

func (s *service) target(deployment, id string) awsapi.InstanceTarget {
	s.Helper()
	in := fields{"deploymentId": deployment, "targetId": id}
	return *do[awsapi.GetDeploymentTargetOutput](s, "GetDeploymentTarget", in).DeploymentTarget.InstanceTarget
}

// statuses tells the events of a target as "Name Status", one a line.
func statuses(target awsapi.InstanceTarget) string {
	var b strings.Builder
	for _, e := range target.LifecycleEvents {
		b.WriteString(*e.LifecycleEventName + " " + string(e.Status) + "\n")
	}
	return b.String()
}

func TestTargetTellsItsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop("web1")
		id := s.deployment("v1.zip", nil)
		s.refuse([]refusal{
			{"T145", "ListDeploymentTargets", fields{"deploymentId": id}, "DeploymentNotStarted"},
			{"T145", "GetDeploymentTarget", fields{"deploymentId": id, "targetId": "web1"}, "DeploymentNotStarted"},
			{"T145", "BatchGetDeploymentTargets", fields{"deploymentId": id, "targetIds": []string{"web1"}}, "DeploymentNotStarted"},
		})
		s.decide(id)
		s.equal("T148", statuses(s.target(id, "web1")), `ApplicationStop Pending
DownloadBundle Pending
BeforeInstall Pending
Install Pending
AfterInstall Pending
ApplicationStart Pending
ValidateService Pending
`)
		start := time.Now()
		s.work(id, "web1", deploy.WorkSucceeded, deploy.Diagnostics{})
		command, err := s.store.HandOver(t.Context(), "web1", time.Now(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.store.Acknowledge(t.Context(), command.ID, false, time.Now()); err != nil {
			t.Fatal(err)
		}
		got := s.target(id, "web1")
		s.equal("first event (T156)", got.LifecycleEvents[0], awsapi.LifecycleEvent{
			LifecycleEventName: new("ApplicationStop"), Status: "Succeeded", StartTime: awsapi.At(start), EndTime: awsapi.At(start),
			Diagnostics: &awsapi.Diagnostics{ErrorCode: "Success", ScriptName: new(""), Message: new("Succeeded"), LogTail: new("")},
		})
		s.equal("second event", got.LifecycleEvents[1], awsapi.LifecycleEvent{
			LifecycleEventName: new("DownloadBundle"), Status: "InProgress", StartTime: awsapi.At(time.Now())})
		s.equal("target", []string{string(got.Status), *got.TargetId, *got.TargetArn}, []string{"InProgress", "web1", prefix + "instance/web1"}) // T146

		time.Sleep(time.Second)
		report := deploy.Diagnostics{ErrorCode: "ScriptFailed", ScriptName: "start.sh", Message: "exit 1", LogTail: "no licence"}
		if err := s.store.Complete(t.Context(), command.ID, deploy.WorkFailed, report, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.decide(id)
		got = s.target(id, "web1")
		s.equal("T149", statuses(got), `ApplicationStop Succeeded
DownloadBundle Failed
BeforeInstall Skipped
Install Skipped
AfterInstall Skipped
ApplicationStart Skipped
ValidateService Skipped
`)
		skipped := got.LifecycleEvents[2]
		s.equal("T149", skipped, awsapi.LifecycleEvent{LifecycleEventName: new("BeforeInstall"), Status: "Skipped", EndTime: awsapi.At(time.Now())})
		s.equal("T157", got.LifecycleEvents[1], awsapi.LifecycleEvent{
			LifecycleEventName: new("DownloadBundle"), Status: "Failed", StartTime: awsapi.At(start), EndTime: awsapi.At(start.Add(time.Second)),
			Diagnostics: &awsapi.Diagnostics{
				ErrorCode: "ScriptFailed", ScriptName: new("start.sh"), Message: new("exit 1"), LogTail: new("no licence"),
			},
		})
	})
}

// A host that never takes its Work: the event has a start all the same, so that its length can be told.
func TestEventThatNobodyTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop("web1")
		id := s.deployment("v1.zip", nil)
		s.decide(id)
		time.Sleep(6 * time.Minute)
		s.decide(id)
		event := s.target(id, "web1").LifecycleEvents[0]
		if event.Status != "Failed" || event.StartTime.IsZero() || event.EndTime.IsZero() || event.Diagnostics == nil {
			t.Errorf("event: %+v", event)
		}
	})
}
