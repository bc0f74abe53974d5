package api_test

import (
	"slices"
	"strings"
	"testing"

	"grapnel/internal/awsapi"
)

func (s *service) group(application, name string) awsapi.DeploymentGroupInfo {
	s.Helper()
	in := fields{"applicationName": application, "deploymentGroupName": name}
	return *do[awsapi.GetDeploymentGroupOutput](s, "GetDeploymentGroup", in).DeploymentGroupInfo
}

func TestGroupDefaults(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	id := do[awsapi.CreateDeploymentGroupOutput](s, "CreateDeploymentGroup", fields{ // G95: no targets
		"applicationName": "shop", "deploymentGroupName": "prod", "serviceRoleArn": role}).DeploymentGroupId
	s.equal("G94, G105", s.group("shop", "prod"), awsapi.DeploymentGroupInfo{
		ApplicationName:              new("shop"),
		DeploymentGroupId:            id,
		DeploymentGroupName:          new("prod"),
		DeploymentConfigName:         new("CodeDeployDefault.OneAtATime"),
		Ec2TagFilters:                []awsapi.EC2TagFilter{},
		OnPremisesInstanceTagFilters: []awsapi.TagFilter{},
		AutoScalingGroups:            []awsapi.AutoScalingGroup{},
		ServiceRoleArn:               new(role),
		TriggerConfigurations:        []awsapi.TriggerConfig{},
		AutoRollbackConfiguration:    &awsapi.AutoRollbackConfiguration{Enabled: new(false)},
		DeploymentStyle:              &awsapi.DeploymentStyle{DeploymentType: "IN_PLACE", DeploymentOption: "WITHOUT_TRAFFIC_CONTROL"},
		OutdatedInstancesStrategy:    "UPDATE",
		ComputePlatform:              "Server",
		TerminationHookEnabled:       new(false),
	})
	do[fields](s, "CreateApplication", fields{"applicationName": "other"})
	s.refuse([]refusal{
		{"G97", "CreateDeploymentGroup", group("other", "prod", nil), ""},
		{"exists", "CreateDeploymentGroup", group("shop", "prod", nil), "DeploymentGroupAlreadyExists"},
	})
}

// settings are refused alike when a group is made and when it is changed.
func TestGroupSettings(t *testing.T) {
	t.Parallel()
	filter := func(key, value, kind any) []fields { return []fields{{"Key": key, "Value": value, "Type": kind}} }
	many := func(n int, list []fields) [][]fields { return slices.Repeat([][]fields{list}, n) }
	alarms := func(list ...string) (l []fields) {
		for _, name := range list {
			l = append(l, fields{"name": name})
		}
		return l
	}
	trigger := func(name, topic string, events ...string) fields {
		return fields{"triggerName": name, "triggerTargetArn": topic, "triggerEvents": events}
	}
	triggers := func(list ...string) (l []fields) {
		for _, name := range list {
			l = append(l, trigger(name, "arn:aws:sns:us-east-1:000000000000:t", "DeploymentFailure"))
		}
		return l
	}
	ok := filter("a", "b", "KEY_AND_VALUE")
	lb := fields{"targetGroupInfoList": []fields{{"name": "tg"}}}
	blueGreen := fields{"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
	tests := []struct {
		name string
		more fields
		want string
	}{
		{"G93 malformed", fields{"serviceRoleArn": "arn:aws:iam::1:role/x"}, "InvalidRole"},
		{"G96", fields{"deploymentConfigName": "none"}, "DeploymentConfigDoesNotExist"},
		{"config name", fields{"deploymentConfigName": "no such"}, "InvalidDeploymentConfigName"},
		{"config of another platform", fields{"deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce"}, "InvalidDeploymentConfigName"},
		{"V39", fields{"alarmConfiguration": fields{"alarms": alarms(names("a", 11)...)}}, "AlarmsLimitExceeded"},
		{"V40 twice", fields{"alarmConfiguration": fields{"alarms": alarms("a", "a")}}, "InvalidAlarmConfig"},
		{"V40 empty", fields{"alarmConfiguration": fields{"alarms": alarms("")}}, "InvalidAlarmConfig"},
		{"V40 long", fields{"alarmConfiguration": fields{"alarms": alarms(strings.Repeat("a", 256))}}, "InvalidAlarmConfig"},
		{"V40", fields{"alarmConfiguration": fields{"alarms": alarms(strings.Repeat("a", 255))}}, ""},
		{"V41", fields{"alarmConfiguration": fields{"enabled": true}}, "InvalidAlarmConfig"},
		{"V42 none", fields{"autoRollbackConfiguration": fields{"enabled": true, "events": []string{}}}, "InvalidAutoRollbackConfig"},
		{"V42 unknown", fields{"autoRollbackConfiguration": fields{"events": []string{"RAIN"}}}, "InvalidAutoRollbackConfig"},
		{"V43", fields{"triggerConfigurations": triggers(names("t", 11)...)}, "TriggerTargetsLimitExceeded"},
		{"triggers", fields{"triggerConfigurations": triggers(names("t", 10)...)}, ""},
		{"V44 topic", fields{"triggerConfigurations": []fields{trigger("a", "arn:aws:sqs:us-east-1:000000000000:q", "DeploymentStart")}}, "InvalidTriggerConfig"},
		{"V44 event", fields{"triggerConfigurations": []fields{trigger("a", "arn:aws:sns:us-east-1:000000000000:t", "Rain")}}, "InvalidTriggerConfig"},
		{"trigger without events", fields{"triggerConfigurations": []fields{trigger("a", "arn:aws:sns:us-east-1:000000000000:t")}}, "InvalidTriggerConfig"},
		{"trigger twice", fields{"triggerConfigurations": triggers("a", "a")}, "InvalidTriggerConfig"},
		{"V45", fields{"ec2TagFilters": ok, "ec2TagSet": fields{"ec2TagSetList": many(1, ok)}}, "InvalidEC2TagCombination"},
		{"V46", fields{"onPremisesInstanceTagFilters": ok, "onPremisesTagSet": fields{"onPremisesTagSetList": many(1, ok)}}, "InvalidOnPremisesTagCombination"},
		{"V47 EC2", fields{"ec2TagSet": fields{"ec2TagSetList": many(4, ok)}}, "TagSetListLimitExceeded"},
		{"V47", fields{"onPremisesInstanceTagFilters": nil, "onPremisesTagSet": fields{"onPremisesTagSetList": many(4, ok)}}, "TagSetListLimitExceeded"},
		{"V48 EC2", fields{"ec2TagFilters": filter("a", nil, "KEY_AND_VALUE")}, "InvalidEC2Tag"},
		{"V48", fields{"onPremisesInstanceTagFilters": filter("a", nil, "KEY_AND_VALUE")}, "InvalidTag"},
		{"V48 in a set", fields{"onPremisesInstanceTagFilters": nil, "onPremisesTagSet": fields{"onPremisesTagSetList": many(1, filter("a", nil, "VALUE_ONLY"))}}, "InvalidTag"},
		{"key only", fields{"onPremisesInstanceTagFilters": filter(nil, "b", "KEY_ONLY")}, "InvalidTag"},
		{"filter type", fields{"onPremisesInstanceTagFilters": filter("a", "b", "ANY")}, "InvalidTag"},
		{"empty filter", fields{"onPremisesInstanceTagFilters": []fields{{}}}, "InvalidTag"},
		{"11 filters", fields{"onPremisesInstanceTagFilters": slices.Repeat(ok, 11)}, "InvalidTag"},
		{"Auto Scaling group twice", fields{"autoScalingGroups": []string{"asg", "asg"}}, "InvalidAutoScalingGroup"},
		{"no Auto Scaling", fields{"autoScalingGroups": []string{}}, ""},
		{"strategy", fields{"outdatedInstancesStrategy": "MAYBE"}, "InvalidInput"},
		{"style", fields{"deploymentStyle": fields{"deploymentType": "GREEN"}}, "InvalidDeploymentStyle"},
		{"G108", fields{"ecsServices": []fields{{"serviceName": "s"}}}, "InvalidECSService"},
		{"G109", fields{"deploymentStyle": fields{"deploymentOption": "WITH_TRAFFIC_CONTROL"}}, "InvalidLoadBalancerInfo"},
		{"traffic control", fields{"deploymentStyle": fields{"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "loadBalancerInfo": lb}, ""},
		{"nameless target group", fields{"loadBalancerInfo": fields{"targetGroupInfoList": []fields{{}}}}, "InvalidLoadBalancerInfo"},
		{"blue/green without traffic control", fields{"deploymentStyle": fields{"deploymentType": "BLUE_GREEN"}}, "InvalidDeploymentStyle"},
		{"blue/green without balancer", fields{"deploymentStyle": blueGreen, "loadBalancerInfo": fields{}}, "InvalidLoadBalancerInfo"},
		{"blue/green on-premises", fields{"deploymentStyle": blueGreen, "loadBalancerInfo": lb, "onPremisesInstanceTagFilters": ok}, "InvalidOnPremisesTagCombination"},
		{"G110", fields{"blueGreenDeploymentConfiguration": fields{"greenFleetProvisioningOption": fields{"action": "COPY_AUTO_SCALING_GROUP"}}}, "InvalidBlueGreenDeploymentConfiguration"},
		{"G114", fields{"blueGreenDeploymentConfiguration": fields{"terminateBlueInstancesOnDeploymentSuccess": fields{"terminationWaitTimeInMinutes": 2881}}}, "InvalidBlueGreenDeploymentConfiguration"},
		{"ready wait", fields{"blueGreenDeploymentConfiguration": fields{"deploymentReadyOption": fields{"waitTimeInMinutes": 2881}}}, "InvalidBlueGreenDeploymentConfiguration"},
		{"ready action", fields{"blueGreenDeploymentConfiguration": fields{"deploymentReadyOption": fields{"actionOnTimeout": "WAIT"}}}, "InvalidBlueGreenDeploymentConfiguration"},
	}
	for _, update := range []bool{false, true} {
		s := serve(t)
		s.shop()
		for i, tt := range tests {
			name := names("g", i+1)[i]
			operation, in := "CreateDeploymentGroup", group("shop", name, tt.more)
			if update {
				do[fields](s, "CreateDeploymentGroup", group("shop", name, nil))
				operation, in = "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": name}
				for k, v := range tt.more {
					in[k] = v
				}
			}
			s.refuse([]refusal{{tt.name, operation, in, tt.want}})
		}
	}
}

func TestGroupNamesAndRole(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	s.refuse([]refusal{
		{"G93 absent", "CreateDeploymentGroup", group("shop", "g", fields{"serviceRoleArn": nil}), "RoleRequired"},
		{"G93 emptied", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "serviceRoleArn": ""}, "InvalidRole"},
		{"V30", "CreateDeploymentGroup", group("none", "g", nil), "ApplicationDoesNotExist"},
		{"no group", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "none"}, "DeploymentGroupDoesNotExist"},
		{"new name", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "newDeploymentGroupName": "a b"}, "InvalidDeploymentGroupName"},
		{"tags", "CreateDeploymentGroup", group("shop", "g", fields{"tags": []fields{{"Key": ""}}}), "InvalidTagsToAdd"},
		{"delete of none", "DeleteDeploymentGroup", fields{"applicationName": "none", "deploymentGroupName": "none"}, ""},
		{"101 names", "BatchGetDeploymentGroups", fields{"applicationName": "shop", "deploymentGroupNames": names("g", 101)}, "BatchLimitExceeded"},
	})
}

func TestOtherPlatforms(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "fn", "computePlatform": "Lambda"})
	do[fields](s, "CreateApplication", fields{"applicationName": "box", "computePlatform": "ECS"})
	style := fields{"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
	pair := func(groups, prod, test int) fields {
		list := func(n int) []string { return names("arn", n) }
		var g []fields
		for range groups {
			g = append(g, fields{"name": "tg"})
		}
		return fields{"targetGroupPairInfoList": []fields{{"targetGroups": g,
			"prodTrafficRoute": fields{"listenerArns": list(prod)}, "testTrafficRoute": fields{"listenerArns": list(test)}}}}
	}
	lambda := func(name string, more fields, want string) refusal {
		in := fields{"applicationName": "fn", "deploymentGroupName": "g", "serviceRoleArn": role, "deploymentStyle": style}
		for k, v := range more {
			in[k] = v
		}
		return refusal{name, "CreateDeploymentGroup", in, want}
	}
	ecs := func(name string, more fields, want string) refusal {
		r := lambda(name, fields{
			"applicationName": "box", "loadBalancerInfo": pair(2, 1, 1), "ecsServices": []fields{{"serviceName": "s", "clusterName": "c"}},
			"blueGreenDeploymentConfiguration": fields{"deploymentReadyOption": fields{}, "terminateBlueInstancesOnDeploymentSuccess": fields{}},
		}, want)
		for k, v := range more {
			r.in[k] = v
		}
		return r
	}
	s.refuse([]refusal{
		lambda("G113", fields{"deploymentStyle": nil}, "InvalidDeploymentStyle"),
		lambda("tags", fields{"ec2TagFilters": []fields{{"Key": "a"}}}, "InvalidEC2Tag"),
		lambda("tags", fields{"onPremisesInstanceTagFilters": []fields{{"Key": "a"}}}, "InvalidTag"),
		lambda("balancer", fields{"loadBalancerInfo": pair(2, 1, 0)}, "InvalidLoadBalancerInfo"),
		lambda("service", fields{"ecsServices": []fields{{"serviceName": "s"}}}, "InvalidECSService"),
		lambda("ASG", fields{"autoScalingGroups": []string{"a"}}, "InvalidAutoScalingGroup"),
		lambda("group", nil, ""),
		ecs("G107", fields{"autoScalingGroups": []string{}}, "InvalidAutoScalingGroup"),
		ecs("G113", fields{"deploymentStyle": fields{"deploymentType": "IN_PLACE"}}, "InvalidDeploymentStyle"),
		ecs("options", fields{"blueGreenDeploymentConfiguration": nil}, "InvalidBlueGreenDeploymentConfiguration"),
		ecs("no service", fields{"ecsServices": []fields{}}, "InvalidECSService"),
		ecs("G112 one group", fields{"loadBalancerInfo": pair(1, 1, 0)}, "InvalidTargetGroupPair"),
		ecs("G112 two listeners", fields{"loadBalancerInfo": pair(2, 2, 0)}, "InvalidTargetGroupPair"),
		ecs("group", nil, ""),
		{"not yet", "CreateDeployment", fields{"applicationName": "fn", "deploymentGroupName": "g", "revision": appSpec(fields{"content": "{}"})}, "UnsupportedActionForDeploymentType"},
		{"D125", "CreateDeployment", fields{"applicationName": "fn", "deploymentGroupName": "g", "revision": appSpec(fields{"content": "{}"}),
			"ignoreApplicationStopFailures": true}, "InvalidIgnoreApplicationStopFailuresValue"},
		{"D125", "CreateDeployment", fields{"applicationName": "box", "deploymentGroupName": "g", "revision": appSpec(fields{"content": "{}"}),
			"updateOutdatedInstancesOnly": true}, "InvalidUpdateOutdatedInstancesOnlyValue"},
	})
	got := s.group("box", "g").BlueGreenDeploymentConfiguration
	if got.DeploymentReadyOption.WaitTimeInMinutes == nil || got.TerminateBlueInstancesOnDeploymentSuccess.TerminationWaitTimeInMinutes == nil {
		t.Errorf("G116: %v", got)
	}
}

// G98
func TestUpdateChangesWhatIsGiven(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	before := s.group("shop", "prod")
	update := func(more fields) awsapi.DeploymentGroupInfo {
		s.Helper()
		more["applicationName"], more["currentDeploymentGroupName"] = "shop", "prod"
		do[fields](s, "UpdateDeploymentGroup", more)
		return s.group("shop", "prod")
	}
	s.equal("nothing given", update(fields{}), before)

	changed := update(fields{"deploymentConfigName": "CodeDeployDefault.AllAtOnce", "autoRollbackConfiguration": fields{
		"enabled": true, "events": []string{"DEPLOYMENT_FAILURE"}}})
	want := before
	want.DeploymentConfigName = new("CodeDeployDefault.AllAtOnce")
	want.AutoRollbackConfiguration = &awsapi.AutoRollbackConfiguration{
		Enabled: new(true), Events: []awsapi.AutoRollbackEvent{awsapi.AutoRollbackEventDeploymentFailure}}
	s.equal("two given", changed, want)

	set := [][]awsapi.TagFilter{{{Key: new("a"), Type: awsapi.TagFilterTypeKeyOnly}}}
	changed = update(fields{"onPremisesTagSet": awsapi.OnPremisesTagSet{OnPremisesTagSetList: set}})
	s.equal("one style of tags replaces the other", changed.OnPremisesInstanceTagFilters, []awsapi.TagFilter{})
	s.equal("tag set", changed.OnPremisesTagSet.OnPremisesTagSetList, set)
	changed = update(fields{"onPremisesInstanceTagFilters": []fields{}})
	s.equal("an empty list clears", changed.OnPremisesTagSet, (*awsapi.OnPremisesTagSet)(nil))
}

func TestGroupsAreRenamedAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	do[fields](s, "CreateDeploymentGroup", group("shop", "test", nil))
	id := s.deployment("v1.zip", nil)
	s.succeed(id, "web1")
	before := s.group("shop", "prod")
	s.refuse([]refusal{
		{"G102", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "newDeploymentGroupName": "test"}, "DeploymentGroupAlreadyExists"},
		{"G103", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "newDeploymentGroupName": "live"}, ""},
	})
	after := s.group("shop", "live")
	before.DeploymentGroupName = new("live")
	s.equal("G103", after, before)
	s.equal("G103: deployment", *s.info(id).DeploymentGroupName, "live")

	deleted := do[fields](s, "DeleteDeploymentGroup", fields{"applicationName": "shop", "deploymentGroupName": "live"})
	s.equal("hooks", deleted, fields{"hooksNotCleanedUp": []any{}})
	again := do[awsapi.CreateDeploymentGroupOutput](s, "CreateDeploymentGroup", group("shop", "live", nil))
	if *again.DeploymentGroupId == *after.DeploymentGroupId {
		t.Error("G104: a group made again has the id of the deleted one")
	}
	batch := do[awsapi.BatchGetDeploymentGroupsOutput](s, "BatchGetDeploymentGroups", fields{
		"applicationName": "shop", "deploymentGroupNames": []string{"none", "test"}})
	if len(batch.DeploymentGroupsInfo) != 1 || !strings.HasSuffix(*batch.ErrorMessage, ": none") {
		t.Errorf("G117: %v, %q", batch.DeploymentGroupsInfo, *batch.ErrorMessage)
	}
	s.equal("list", do[awsapi.ListDeploymentGroupsOutput](s, "ListDeploymentGroups", fields{"applicationName": "shop"}).DeploymentGroups, []string{"live", "test"})
}
