package api_test

import (
	"maps"
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

// What test/compat/service does not show: the rest of what is refused, when a group is made and when it is changed.
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
		{"config name", fields{"deploymentConfigName": "no such"}, "InvalidDeploymentConfigName"},
		{"V40", fields{"alarmConfiguration": fields{"alarms": alarms(strings.Repeat("a", 255))}}, ""},
		{"triggers", fields{"triggerConfigurations": triggers(names("t", 10)...)}, ""},
		{"trigger without events", fields{"triggerConfigurations": []fields{trigger("a", "arn:aws:sns:us-east-1:000000000000:t")}}, "InvalidTriggerConfig"},
		{"trigger twice", fields{"triggerConfigurations": triggers("a", "a")}, "InvalidTriggerConfig"},
		{"V48 in a set", fields{"onPremisesInstanceTagFilters": nil, "onPremisesTagSet": fields{"onPremisesTagSetList": many(1, filter("a", nil, "VALUE_ONLY"))}}, "InvalidTag"},
		{"key only", fields{"onPremisesInstanceTagFilters": filter(nil, "b", "KEY_ONLY")}, "InvalidTag"},
		{"filter type", fields{"onPremisesInstanceTagFilters": filter("a", "b", "ANY")}, "InvalidTag"},
		{"empty filter", fields{"onPremisesInstanceTagFilters": []fields{{}}}, "InvalidTag"},
		{"11 filters", fields{"onPremisesInstanceTagFilters": slices.Repeat(ok, 11)}, "InvalidTag"},
		{"no Auto Scaling", fields{"autoScalingGroups": []string{}}, ""},
		{"strategy", fields{"outdatedInstancesStrategy": "MAYBE"}, "InvalidInput"},
		{"style", fields{"deploymentStyle": fields{"deploymentType": "GREEN"}}, "InvalidDeploymentStyle"},
		{"traffic control", fields{"deploymentStyle": fields{"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "loadBalancerInfo": lb}, ""},
		{"nameless target group", fields{"loadBalancerInfo": fields{"targetGroupInfoList": []fields{{}}}}, "InvalidLoadBalancerInfo"},
		{"blue/green without balancer", fields{"deploymentStyle": blueGreen, "loadBalancerInfo": fields{}}, "InvalidLoadBalancerInfo"},
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

// A group's config, and its application, may be deleted after they were looked for: each is reported as what it is.
func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	do[fields](s, "CreateDeploymentConfig", fields{"deploymentConfigName": "half", "minimumHealthyHosts": fields{"type": "FLEET_PERCENT", "value": 50}})
	more := fields{
		"deploymentConfigName":  "half",
		"triggerConfigurations": []fields{{"triggerName": "t", "triggerTargetArn": "arn:aws:sns:us-east-1:000000000000:t", "triggerEvents": []string{"DeploymentFailure"}}},
	}
	update := fields{"applicationName": "shop", "currentDeploymentGroupName": "prod"}
	maps.Copy(update, more)
	deleteConfig := func() { do[fields](s, "DeleteDeploymentConfig", fields{"deploymentConfigName": "half"}) }
	deleteApplication := func() { do[fields](s, "DeleteApplication", fields{"applicationName": "shop"}) }

	s.meanwhile = deleteConfig
	s.refuse([]refusal{{"config of a new group", "CreateDeploymentGroup", group("shop", "g", more), "DeploymentConfigDoesNotExist"}})
	do[fields](s, "CreateDeploymentConfig", fields{"deploymentConfigName": "half", "minimumHealthyHosts": fields{"type": "FLEET_PERCENT", "value": 50}})
	s.refuse([]refusal{{"config of a group", "UpdateDeploymentGroup", update, "DeploymentConfigDoesNotExist"}})
	s.meanwhile = deleteApplication
	delete(more, "deploymentConfigName")
	s.refuse([]refusal{{"application", "CreateDeploymentGroup", group("shop", "g", more), "ApplicationDoesNotExist"}})
}
