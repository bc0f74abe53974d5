package api_test

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
)

const (
	user    = "arn:aws:iam::000000000000:user/AWS/CodeDeploy/"
	session = "arn:aws:sts::000000000000:assumed-role/hosts/"
)

func (s *service) host(name string) awsapi.InstanceInfo {
	s.Helper()
	return *do[awsapi.GetOnPremisesInstanceOutput](s, "GetOnPremisesInstance", fields{"instanceName": name}).InstanceInfo
}

func TestHostsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		register := func(name, host string, more fields, want string) refusal {
			in := fields{"instanceName": host}
			for k, v := range more {
				in[k] = v
			}
			return refusal{name, "RegisterOnPremisesInstance", in, want}
		}
		s.refuse([]refusal{
			register("P158 neither", "web1", nil, "IamArnRequired"),
			register("P158 both", "web1", fields{"iamUserArn": user + "web1", "iamSessionArn": session + "web1"}, "MultipleIamArnsProvided"),
			register("user", "web1", fields{"iamUserArn": "arn:aws:iam::1:user/web1"}, "InvalidIamUserArn"),
			register("session", "web1", fields{"iamSessionArn": user + "web1"}, "InvalidIamSessionArn"),
			register("P161", "i-web1", fields{"iamUserArn": user + "web1"}, "InvalidInstanceName"),
			register("user", "web1", fields{"iamUserArn": user + "web1"}, ""),
			register("session", "web2", fields{"iamSessionArn": session + "web2"}, ""),
			register("P159", "web1", fields{"iamUserArn": user + "other"}, "InstanceNameAlreadyRegistered"),
			register("P160 user", "web3", fields{"iamUserArn": user + "web1"}, "IamUserArnAlreadyRegistered"),
			register("P160 session", "web3", fields{"iamSessionArn": session + "web2"}, "IamSessionArnAlreadyRegistered"),
			{"P173", "DeregisterOnPremisesInstance", fields{"instanceName": "none"}, ""},
			{"never registered", "GetOnPremisesInstance", fields{"instanceName": "none"}, "InstanceNotRegistered"},
		})
		registered := s.host("web1")
		if !regexp.MustCompile(`^arn:aws:codedeploy:us-east-1:000000000000:instance/web1_[A-Za-z0-9]{10}$`).MatchString(*registered.InstanceArn) {
			t.Errorf("P171: %s", *registered.InstanceArn)
		}
		raw := do[map[string]fields](s, "GetOnPremisesInstance", fields{"instanceName": "web1"})["instanceInfo"]
		s.equal("P172", raw["tags"], any([]any{}))

		time.Sleep(time.Hour)
		do[fields](s, "DeregisterOnPremisesInstance", fields{"instanceName": "web1"})
		gone := s.host("web1")
		if !gone.RegisterTime.Equal(registered.RegisterTime.Time) || !gone.DeregisterTime.Equal(time.Now()) {
			t.Errorf("P163: %v, %v", gone.RegisterTime, gone.DeregisterTime)
		}
		list := func(more fields) []string {
			s.Helper()
			return do[awsapi.ListOnPremisesInstancesOutput](s, "ListOnPremisesInstances", more).InstanceNames
		}
		s.equal("P164 both", list(fields{}), []string{"web1", "web2"})
		s.equal("P164 registered", list(fields{"registrationStatus": "Registered"}), []string{"web2"})
		s.equal("P164 deregistered", list(fields{"registrationStatus": "Deregistered"}), []string{"web1"})
		s.refuse([]refusal{
			{"status", "ListOnPremisesInstances", fields{"registrationStatus": "Maybe"}, "InvalidRegistrationStatus"},
			{"filter", "ListOnPremisesInstances", fields{"tagFilters": []fields{{}}}, "InvalidTagFilter"},
			register("P162", "web1", fields{"iamUserArn": user + "web1"}, ""),
		})
		batch := do[awsapi.BatchGetOnPremisesInstancesOutput](s, "BatchGetOnPremisesInstances", fields{"instanceNames": []string{"none", "web2"}})
		if len(batch.InstanceInfos) != 1 || *batch.InstanceInfos[0].InstanceName != "web2" {
			t.Errorf("batch: %v", batch.InstanceInfos)
		}
	})
}

func TestTagsOfHosts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, name := range []string{"web1", "web2"} {
		do[fields](s, "RegisterOnPremisesInstance", fields{"instanceName": name, "iamUserArn": user + name})
	}
	change := func(name, operation string, hosts []string, tags []fields, want string) refusal {
		return refusal{name, operation + "OnPremisesInstances", fields{"instanceNames": hosts, "tags": tags}, want}
	}
	tag := func(key string, value any) fields { return fields{"Key": key, "Value": value} }
	both := []string{"web1", "web2"}
	s.refuse([]refusal{
		change("no tags", "AddTagsTo", both, nil, "TagRequired"),
		change("no key", "AddTagsTo", both, []fields{tag("", "v")}, "InvalidTag"),
		change("no hosts", "AddTagsTo", nil, []fields{tag("k", "v")}, "InstanceNameRequired"),
		change("101 hosts", "AddTagsTo", names("h", 101), []fields{tag("k", "v")}, "InstanceLimitExceeded"),
		change("P168", "AddTagsTo", []string{"web1", "none"}, []fields{tag("k", "v")}, "InstanceNotRegistered"),
		change("P166", "AddTagsTo", []string{"web1"}, []fields{tag("alone", nil)}, ""),
		change("P168 two values", "AddTagsTo", both, []fields{tag("env", "a"), tag("env", "b")}, ""),
		change("the same again", "AddTagsTo", both, []fields{tag("env", "a")}, ""),
		change("P169 other value", "RemoveTagsFrom", both, []fields{tag("env", "c")}, ""),
		change("P169", "RemoveTagsFrom", []string{"web2"}, []fields{tag("env", "b")}, ""),
	})
	tags := func(host string) (list []string) {
		for _, t := range s.host(host).Tags {
			list = append(list, *t.Key+"="+*t.Value)
		}
		return list
	}
	s.equal("web1", tags("web1"), []string{"alone=", "env=a", "env=b"})
	s.equal("web2 (nothing of the refused calls)", tags("web2"), []string{"env=a"})

	list := func(filters ...fields) []string {
		s.Helper()
		return do[awsapi.ListOnPremisesInstancesOutput](s, "ListOnPremisesInstances", fields{"tagFilters": filters}).InstanceNames
	}
	s.equal("P165", list(tag("env", "b"), tag("env", "a")), both)
	s.equal("filter", list(fields{"Key": "alone", "Type": "KEY_ONLY"}), []string{"web1"})

	var more []fields
	for _, key := range names("k", 7) {
		more = append(more, tag(key, "v"))
	}
	s.refuse([]refusal{
		change("ten tags", "AddTagsTo", []string{"web1"}, more, ""),
		change("P167", "AddTagsTo", both, []fields{tag("one", "more")}, "TagLimitExceeded"),
	})
	s.equal("P167: all or nothing", tags("web2"), []string{"env=a"})
}

// P170
func TestDeregisteredHostsAreNotTargets(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1", "web2")
	do[fields](s, "DeregisterOnPremisesInstance", fields{"instanceName": "web1"})
	id := s.deployment("v1.zip", nil)
	s.decide(id)
	s.equal("targets", do[awsapi.ListDeploymentTargetsOutput](s, "ListDeploymentTargets", fields{"deploymentId": id}).TargetIds, []string{"web2"})
	s.refuse([]refusal{{"tags of a deregistered host", "AddTagsToOnPremisesInstances",
		fields{"instanceNames": []string{"web1"}, "tags": []fields{{"Key": "k"}}}, "InstanceNotRegistered"}})
}
