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

func TestTargetsAreFound(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1", "web2", "web3")
	id := s.deployment("v1.zip", nil)
	s.decide(id)
	all := do[awsapi.ListDeploymentTargetsOutput](s, "ListDeploymentTargets", fields{"deploymentId": id}).TargetIds
	if len(all) != 3 {
		t.Fatalf("targets: %v", all)
	}
	s.work(id, all[0], deploy.WorkFailed, deploy.Diagnostics{ErrorCode: "ScriptFailed"})
	list := func(status ...string) []string {
		s.Helper()
		in := fields{"deploymentId": id, "targetFilters": fields{"TargetStatus": status}}
		return do[awsapi.ListDeploymentTargetsOutput](s, "ListDeploymentTargets", in).TargetIds
	}
	s.equal("T150 failed", list("Failed"), all[:1])
	s.equal("T150 skipped", list("Skipped", "Succeeded"), all[1:])
	s.equal("T150 none", list("Pending"), []string{})
	overview := s.info(id).DeploymentOverview
	s.equal("T155", []int64{*overview.Failed, *overview.Skipped, *overview.Succeeded, *overview.Pending, *overview.InProgress, *overview.Ready}, []int64{1, 2, 0, 0, 0, 0})

	batch := do[awsapi.BatchGetDeploymentTargetsOutput](s, "BatchGetDeploymentTargets", fields{"deploymentId": id, "targetIds": []string{all[2], all[0]}})
	s.equal("batch", []string{*batch.DeploymentTargets[0].InstanceTarget.TargetId, *batch.DeploymentTargets[1].InstanceTarget.TargetId}, []string{all[2], all[0]})
	filter := func(name, value string) fields {
		return fields{"deploymentId": id, "targetFilters": fields{name: []string{value}}}
	}
	s.refuse([]refusal{
		{"T150 unknown key", "ListDeploymentTargets", filter("Colour", "Blue"), "InvalidTargetFilterName"},
		{"unknown status", "ListDeploymentTargets", filter("TargetStatus", "Done"), "InvalidInstanceStatus"},
		{"unknown label", "ListDeploymentTargets", filter("ServerInstanceLabel", "Red"), "InvalidInstanceType"},
		{"T151", "ListDeploymentTargets", filter("ServerInstanceLabel", "Blue"), "InvalidDeploymentInstanceType"},
		{"T152", "GetDeploymentTarget", fields{"deploymentId": id, "targetId": "other"}, "DeploymentTargetDoesNotExist"},
		{"T152", "BatchGetDeploymentTargets", fields{"deploymentId": id, "targetIds": []string{"web1", "other"}}, "DeploymentTargetDoesNotExist"},
		{"absent", "GetDeploymentTarget", fields{"deploymentId": id}, "DeploymentTargetIdRequired"},
		{"malformed", "GetDeploymentTarget", fields{"deploymentId": id, "targetId": "a b"}, "InvalidDeploymentTargetId"},
		{"none", "BatchGetDeploymentTargets", fields{"deploymentId": id}, "DeploymentTargetIdRequired"},
		{"T153", "BatchGetDeploymentTargets", fields{"deploymentId": id, "targetIds": names("t", 26)}, "DeploymentTargetListSizeExceeded"},
	})
}

// T154: the older operations tell the same.
func TestInstancesOfADeployment(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1", "web2")
	id := s.deployment("v1.zip", nil)
	s.refuse([]refusal{{"T145", "ListDeploymentInstances", fields{"deploymentId": id}, "DeploymentNotStarted"}})
	s.decide(id)
	list := do[awsapi.ListDeploymentInstancesOutput](s, "ListDeploymentInstances", fields{"deploymentId": id})
	pending := do[awsapi.ListDeploymentInstancesOutput](s, "ListDeploymentInstances", fields{"deploymentId": id, "instanceStatusFilter": []string{"Pending"}})
	s.equal("all", len(list.InstancesList), 2)
	s.equal("pending", pending.InstancesList, list.InstancesList[1:])
	got := do[awsapi.GetDeploymentInstanceOutput](s, "GetDeploymentInstance", fields{"deploymentId": id, "instanceId": "web1"}).InstanceSummary
	want := s.target(id, "web1")
	s.equal("instance", got, &awsapi.InstanceSummary{
		DeploymentId: &id, InstanceId: want.TargetId, Status: awsapi.InstanceStatus(want.Status),
		LastUpdatedAt: want.LastUpdatedAt, LifecycleEvents: want.LifecycleEvents})
	batch := do[awsapi.BatchGetDeploymentInstancesOutput](s, "BatchGetDeploymentInstances", fields{"deploymentId": id, "instanceIds": []string{"none", "web1"}})
	if len(batch.InstancesSummary) != 1 || !strings.HasSuffix(*batch.ErrorMessage, ": none") {
		t.Errorf("batch: %v, %q", batch.InstancesSummary, *batch.ErrorMessage)
	}
	s.refuse([]refusal{
		{"status", "ListDeploymentInstances", fields{"deploymentId": id, "instanceStatusFilter": []string{"Done"}}, "InvalidInstanceStatus"},
		{"type", "ListDeploymentInstances", fields{"deploymentId": id, "instanceTypeFilter": []string{"Red"}}, "InvalidInstanceType"},
		{"T151", "ListDeploymentInstances", fields{"deploymentId": id, "instanceTypeFilter": []string{"Blue"}}, "InvalidDeploymentInstanceType"},
		{"none", "GetDeploymentInstance", fields{"deploymentId": id, "instanceId": "none"}, "InstanceDoesNotExist"},
		{"absent", "GetDeploymentInstance", fields{"deploymentId": id}, "InstanceIdRequired"},
		{"26", "BatchGetDeploymentInstances", fields{"deploymentId": id, "instanceIds": names("t", 26)}, "BatchLimitExceeded"},
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
