package api_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

func TestCreateDeployment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop("web1")
		id := s.deployment("v1.zip", fields{ // D126
			"description": "first", "fileExistsBehavior": "OVERWRITE", "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
			"autoRollbackConfiguration":  fields{"enabled": true, "events": []string{"DEPLOYMENT_FAILURE"}},
			"overrideAlarmConfiguration": fields{"enabled": false}, "ignoreApplicationStopFailures": true,
		})
		if !regexp.MustCompile(`^d-[A-Z0-9]{9}$`).MatchString(id) {
			t.Errorf("D119: id %q", id)
		}
		s.equal("the engine is woken", s.woken, []string{id})
		revision := &awsapi.RevisionLocation{RevisionType: "S3", S3Location: &awsapi.S3Location{
			Bucket: new("bundles"), Key: new("v1.zip"), BundleType: "zip", ETag: new("e1")}}
		got := s.info(id)
		overview := got.DeploymentOverview
		got.DeploymentOverview = nil
		s.equal("deployment", got, awsapi.DeploymentInfo{
			ApplicationName: new("shop"), DeploymentGroupName: new("prod"), DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
			DeploymentId: &id, Revision: revision, Status: "Created", CreateTime: awsapi.At(time.Now()), Description: new("first"),
			Creator: "user", IgnoreApplicationStopFailures: new(true), UpdateOutdatedInstancesOnly: new(false), // D144
			AutoRollbackConfiguration:          &awsapi.AutoRollbackConfiguration{Enabled: new(true), Events: []awsapi.AutoRollbackEvent{"DEPLOYMENT_FAILURE"}},
			DeploymentStyle:                    &awsapi.DeploymentStyle{DeploymentType: "IN_PLACE", DeploymentOption: "WITHOUT_TRAFFIC_CONTROL"},
			InstanceTerminationWaitTimeStarted: new(false), FileExistsBehavior: "OVERWRITE", ComputePlatform: "Server",
			OverrideAlarmConfiguration: &awsapi.AlarmConfiguration{Enabled: new(false)},
		})
		if overview != nil && *overview.Pending != 1 {
			t.Errorf("overview %v", overview)
		}
		registered := do[awsapi.GetApplicationRevisionOutput](s, "GetApplicationRevision", fields{"applicationName": "shop", "revision": bundle("v1.zip")})
		if !strings.Contains(*registered.RevisionInfo.Description, id) {
			t.Errorf("A71: description %q does not name %s", *registered.RevisionInfo.Description, id)
		}
	})
}

func TestDeploymentsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	do[fields](s, "CreateDeploymentConfig", fields{"deploymentConfigName": "zones",
		"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "zonalConfig": fields{}})
	deployment := func(name string, more fields, want string) refusal {
		in := fields{"applicationName": "shop", "deploymentGroupName": "prod", "revision": bundle("v1.zip")}
		for k, v := range more {
			in[k] = v
		}
		return refusal{name, "CreateDeployment", in, want}
	}
	s.refuse([]refusal{
		deployment("no application", fields{"applicationName": nil}, "ApplicationNameRequired"),
		deployment("V30", fields{"applicationName": "none", "deploymentGroupName": "none"}, "ApplicationDoesNotExist"),
		deployment("V50", fields{"revision": s3("a", fields{"bundleType": nil})}, "InvalidRevision"),
		deployment("fields before existence", fields{"applicationName": "none", "fileExistsBehavior": "ASK"}, "InvalidFileExistsBehavior"),
		deployment("V34", fields{"description": strings.Repeat("d", 257)}, "DescriptionTooLong"),
		deployment("V42", fields{"autoRollbackConfiguration": fields{"enabled": true}}, "InvalidAutoRollbackConfig"),
		deployment("V41", fields{"overrideAlarmConfiguration": fields{"enabled": true}}, "InvalidAlarmConfig"),
		deployment("D127 malformed", fields{"deploymentConfigName": ""}, "InvalidDeploymentConfigName"),
		deployment("D124", fields{"targetInstances": fields{"tagFilters": []fields{}}}, "InvalidTargetInstances"),
		deployment("alarms are not watched yet", fields{"overrideAlarmConfiguration": fields{"enabled": true, "alarms": []fields{{"name": "a"}}}}, "UnsupportedActionForDeploymentType"),
		deployment("zones are not deployed yet", fields{"deploymentConfigName": "zones"}, "UnsupportedActionForDeploymentType"),
		deployment("restart of a revision", fields{"deploymentMode": "RESTART"}, "InvalidInput"),
		deployment("restart of nothing", fields{"deploymentMode": "RESTART", "revision": nil}, "RevisionDoesNotExist"),
		deployment("restart of some", fields{"deploymentMode": "RESTART", "revision": nil, "updateOutdatedInstancesOnly": true}, "InvalidUpdateOutdatedInstancesOnlyValue"),
		deployment("mode", fields{"deploymentMode": "TURBO"}, "InvalidInput"),
		deployment("processes", fields{"ec2DeploymentOptions": fields{"autoScalingGroupProcessesToSuspend": []string{"Launch"}}}, "InvalidAutoScalingGroupProcessToSuspend"),
	})
	if got := do[fields](s, "ListDeployments", fields{})["deployments"]; len(got.([]any)) != 0 {
		t.Errorf("a refused deployment was stored: %v", got)
	}
}

func TestListDeployments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop("web1")
		start := time.Now()
		failed := s.deployment("v1.zip", nil)
		s.decide(failed)
		s.work(failed, "web1", deploy.WorkFailed, deploy.Diagnostics{ErrorCode: "ScriptFailed"})
		time.Sleep(time.Hour)
		succeeded := s.deployment("v1.zip", nil)
		s.succeed(succeeded, "web1")
		time.Sleep(time.Hour)
		live := s.deployment("v1.zip", nil)

		list := func(more fields) []string {
			s.Helper()
			return do[awsapi.ListDeploymentsOutput](s, "ListDeployments", more).Deployments
		}
		between := func(start, end time.Time) fields {
			r := awsapi.TimeRange{Start: awsapi.At(start), End: awsapi.At(end)}
			return fields{"createTimeRange": r}
		}
		s.equal("D129", list(fields{}), []string{live, succeeded, failed})
		s.equal("of a group", list(fields{"applicationName": "shop", "deploymentGroupName": "prod"}), []string{live, succeeded, failed})
		s.equal("by status", list(fields{"includeOnlyStatuses": []string{"Failed", "Created"}}), []string{live, failed})
		s.equal("from", list(between(start.Add(time.Minute), time.Time{})), []string{live, succeeded})
		s.equal("to", list(between(time.Time{}, start)), []string{failed})
		both := between(start, start.Add(90*time.Minute))
		both["includeOnlyStatuses"] = []string{"Succeeded", "Stopped", "Queued"}
		s.equal("D130", list(both), []string{succeeded})
		s.equal("by external id", list(fields{"externalId": "stack"}), []string{})
		s.refuse([]refusal{
			{"D128 application alone", "ListDeployments", fields{"applicationName": "shop"}, "DeploymentGroupNameRequired"},
			{"D128 group alone", "ListDeployments", fields{"deploymentGroupName": "prod"}, "ApplicationNameRequired"},
			{"unknown group", "ListDeployments", fields{"applicationName": "shop", "deploymentGroupName": "none"}, "DeploymentGroupDoesNotExist"},
			{"V37", "ListDeployments", fields{"includeOnlyStatuses": []string{"Done"}}, "InvalidDeploymentStatus"},
			{"V38", "ListDeployments", between(start.Add(time.Second), start), "InvalidTimeRange"},
			{"W13 fraction", "ListDeployments", fields{"createTimeRange": fields{"start": 1409764576.5}}, ""},
		})

		batch := do[awsapi.BatchGetDeploymentsOutput](s, "BatchGetDeployments", fields{"deploymentIds": []string{"d-000000000", live}})
		if len(batch.DeploymentsInfo) != 1 || *batch.DeploymentsInfo[0].DeploymentId != live {
			t.Errorf("D131: %v", batch.DeploymentsInfo)
		}
		s.refuse([]refusal{
			{"26 ids", "BatchGetDeployments", fields{"deploymentIds": make([]string, 26)}, "BatchLimitExceeded"},
			{"no ids", "BatchGetDeployments", fields{}, "DeploymentIdRequired"},
			{"V32", "BatchGetDeployments", fields{"deploymentIds": []string{live, "x"}}, "InvalidDeploymentId"},
		})
	})
}

// A host whose agent is not there is named while the deployment waits for it, not only when it has failed (users.md 5).
func TestDeploymentNamesWhomItWaitsFor(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1", "web2")
	if err := s.store.HostsSeen(t.Context(), []store.Presence{{Host: "web2", At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	id := s.deployment("v1.zip", fields{"deploymentConfigName": "CodeDeployDefault.AllAtOnce"})
	s.decide(id)
	messages := s.info(id).DeploymentStatusMessages
	if len(messages) != 1 || !strings.Contains(messages[0], "host web1: its agent has never polled") {
		t.Errorf("the messages of a deployment that waits for web1: %q", messages)
	}
	s.succeed(id, "web1", "web2")
	s.equal("messages of an ended deployment", len(s.info(id).DeploymentStatusMessages), 0)
}

func TestStopDeployment(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	id := s.deployment("v1.zip", nil)
	s.decide(id)
	stop := func() awsapi.StopStatus {
		s.Helper()
		out := do[awsapi.StopDeploymentOutput](s, "StopDeployment", fields{"deploymentId": id, "autoRollbackEnabled": false})
		return out.Status
	}
	if _, err := s.store.HandOver(t.Context(), "web1", time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	s.equal("D132", stop(), awsapi.StopStatusPending)
	s.equal("D133", stop(), awsapi.StopStatusSucceeded)
	s.equal("woken each time", len(s.woken), 3)
	state, err := s.store.Load(t.Context(), id)
	if err != nil || state.Facts.Stop == nil || state.Facts.Stop.Rollback == nil || *state.Facts.Stop.Rollback {
		t.Errorf("stored: %+v, %v", state.Facts.Stop, err)
	}
	s.decide(id)
	s.equal("status", s.info(id).Status, awsapi.DeploymentStatusStopped)
	s.refuse([]refusal{{"V33", "StopDeployment", fields{"deploymentId": "d-000000000"}, "DeploymentDoesNotExist"}})
}
