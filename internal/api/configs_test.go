package api_test

import (
	"strings"
	"testing"

	"grapnel/internal/awsapi"
)

func TestPredefinedConfigs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	list := do[awsapi.ListDeploymentConfigsOutput](s, "ListDeploymentConfigs", fields{})
	s.equal("A fresh server (C78)", list.DeploymentConfigsList, strings.Fields(`
		CodeDeployDefault.AllAtOnce
		CodeDeployDefault.ECSAllAtOnce
		CodeDeployDefault.ECSCanary10Percent15Minutes
		CodeDeployDefault.ECSCanary10Percent5Minutes
		CodeDeployDefault.ECSLinear10PercentEvery1Minutes
		CodeDeployDefault.ECSLinear10PercentEvery3Minutes
		CodeDeployDefault.HalfAtATime
		CodeDeployDefault.LambdaAllAtOnce
		CodeDeployDefault.LambdaCanary10Percent10Minutes
		CodeDeployDefault.LambdaCanary10Percent15Minutes
		CodeDeployDefault.LambdaCanary10Percent30Minutes
		CodeDeployDefault.LambdaCanary10Percent5Minutes
		CodeDeployDefault.LambdaLinear10PercentEvery10Minutes
		CodeDeployDefault.LambdaLinear10PercentEvery1Minute
		CodeDeployDefault.LambdaLinear10PercentEvery2Minutes
		CodeDeployDefault.LambdaLinear10PercentEvery3Minutes
		CodeDeployDefault.OneAtATime`))
	one := do[awsapi.GetDeploymentConfigOutput](s, "GetDeploymentConfig", fields{"deploymentConfigName": "CodeDeployDefault.OneAtATime"})
	s.equal("C80", one.DeploymentConfigInfo.MinimumHealthyHosts, &awsapi.MinimumHealthyHosts{Type: "MOST_CONCURRENCY", Value: new(int64(1))})
	canary := do[awsapi.GetDeploymentConfigOutput](s, "GetDeploymentConfig", fields{"deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent15Minutes"})
	s.equal("C79", canary.DeploymentConfigInfo.TrafficRoutingConfig, &awsapi.TrafficRoutingConfig{
		Type: "TimeBasedCanary", TimeBasedCanary: &awsapi.TimeBasedCanary{CanaryPercentage: new(int64(10)), CanaryInterval: new(int64(15))}})
	s.refuse([]refusal{
		{"C90", "DeleteDeploymentConfig", fields{"deploymentConfigName": "CodeDeployDefault.OneAtATime"}, "InvalidOperation"},
		{"C91", "DeleteDeploymentConfig", fields{"deploymentConfigName": "none"}, ""},
	})
}

func TestCustomConfigs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	n := 0
	config := func(name string, more fields, want string) refusal {
		n++
		in := fields{"deploymentConfigName": strings.Repeat("c", n)}
		for k, v := range more {
			in[k] = v
		}
		return refusal{name, "CreateDeploymentConfig", in, want}
	}
	hosts := func(kind string, value any) fields {
		return fields{"minimumHealthyHosts": fields{"type": kind, "value": value}}
	}
	traffic := func(platform string, routing fields) fields {
		return fields{"computePlatform": platform, "trafficRoutingConfig": routing}
	}
	canary := func(percent, minutes int) fields {
		return traffic("Lambda", fields{"type": "TimeBasedCanary", "timeBasedCanary": fields{"canaryPercentage": percent, "canaryInterval": minutes}})
	}
	linear := func(percent, minutes int) fields {
		return traffic("ECS", fields{"type": "TimeBasedLinear", "timeBasedLinear": fields{"linearPercentage": percent, "linearInterval": minutes}})
	}
	all := fields{"type": "AllAtOnce"}
	s.refuse([]refusal{
		config("C81", fields{"deploymentConfigName": "CodeDeployDefault.Mine"}, "InvalidDeploymentConfigName"),
		config("C82 100", hosts("FLEET_PERCENT", 100), "InvalidMinimumHealthyHostValue"),
		config("C82 -1", hosts("FLEET_PERCENT", -1), "InvalidMinimumHealthyHostValue"),
		config("C82 0", hosts("FLEET_PERCENT", 0), ""),
		config("C82 99", hosts("FLEET_PERCENT", 99), ""),
		config("hosts -1", hosts("HOST_COUNT", -1), "InvalidMinimumHealthyHostValue"),
		config("hosts 0", hosts("HOST_COUNT", 0), ""),
		config("hosts without value, as typed SDKs send 0", hosts("HOST_COUNT", nil), ""),
		config("C83", hosts("MOST_CONCURRENCY", 1), "InvalidMinimumHealthyHostValue"),
		config("C84", nil, "InvalidMinimumHealthyHostValue"),
		config("routing on Server", fields{"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "trafficRoutingConfig": all}, "InvalidTrafficRoutingConfiguration"),
		config("C85", fields{"computePlatform": "Lambda", "minimumHealthyHosts": fields{"type": "HOST_COUNT"}}, "InvalidMinimumHealthyHostValue"),
		config("no routing", fields{"computePlatform": "ECS"}, "InvalidTrafficRoutingConfiguration"),
		config("C86 0", canary(0, 5), "InvalidTrafficRoutingConfiguration"),
		config("C86 100", canary(100, 5), "InvalidTrafficRoutingConfiguration"),
		config("canary", canary(99, 2880), ""),
		config("C87 canary", canary(10, 2881), "InvalidTrafficRoutingConfiguration"),
		config("canary at once", canary(10, 0), "InvalidTrafficRoutingConfiguration"),
		config("C87 linear, 9 intervals", linear(10, 320), ""),
		config("C87 linear, 9 intervals", linear(10, 321), "InvalidTrafficRoutingConfiguration"),
		config("C87 linear, 3 intervals", linear(30, 960), ""),
		config("C87 no overflow", linear(1, 1<<31), "InvalidTrafficRoutingConfiguration"),
		config("linear 0", linear(0, 1), "InvalidTrafficRoutingConfiguration"),
		config("at once", traffic("ECS", all), ""),
		config("at once with more", traffic("ECS", fields{"type": "AllAtOnce", "timeBasedLinear": fields{}}), "InvalidTrafficRoutingConfiguration"),
		config("no type", traffic("ECS", fields{}), "InvalidTrafficRoutingConfiguration"),
		config("unknown type", traffic("ECS", fields{"type": "Slowly"}), "InvalidTrafficRoutingConfiguration"),
		config("C88", fields{"computePlatform": "ECS", "trafficRoutingConfig": all, "zonalConfig": fields{}}, "InvalidZonalDeploymentConfiguration"),
		config("zones", fields{"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "zonalConfig": fields{"monitorDurationInSeconds": -1}}, "InvalidZonalDeploymentConfiguration"),
		config("zones", fields{"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "zonalConfig": fields{
			"minimumHealthyHostsPerZone": fields{"type": "FLEET_PERCENT", "value": 100}}}, "InvalidZonalDeploymentConfiguration"),
		config("V35", fields{"computePlatform": "Mars"}, "InvalidComputePlatform"),
		config("the order of errors", fields{"computePlatform": "Mars", "minimumHealthyHosts": fields{"type": "MOST_CONCURRENCY"}}, "InvalidMinimumHealthyHostValue"),
		config("the order of errors", fields{"trafficRoutingConfig": fields{"type": "Slowly"}, "computePlatform": "Mars"}, "InvalidComputePlatform"),
		config("the order of errors", fields{"zonalConfig": fields{"monitorDurationInSeconds": -1}}, "InvalidZonalDeploymentConfiguration"),
		{"C92", "CreateDeploymentConfig", fields{"deploymentConfigName": "two", "minimumHealthyHosts": fields{"type": "HOST_COUNT", "value": 2}}, ""},
		{"C92", "CreateDeploymentConfig", fields{"deploymentConfigName": "two", "minimumHealthyHosts": fields{"type": "HOST_COUNT", "value": 3}}, "DeploymentConfigAlreadyExists"},
		{"use", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "deploymentConfigName": "two"}, ""},
		{"C89", "DeleteDeploymentConfig", fields{"deploymentConfigName": "two"}, "DeploymentConfigInUse"},
		{"leave", "UpdateDeploymentGroup", fields{"applicationName": "shop", "currentDeploymentGroupName": "prod", "deploymentConfigName": "CodeDeployDefault.AllAtOnce"}, ""},
		{"delete", "DeleteDeploymentConfig", fields{"deploymentConfigName": "two"}, ""},
		{"gone", "GetDeploymentConfig", fields{"deploymentConfigName": "two"}, "DeploymentConfigDoesNotExist"},
	})
}
