package planner

import (
	"cmp"
	"fmt"
	"slices"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
)

// PredefinedPrefix begins the name of every predefined config, and of no other.
const PredefinedPrefix = "CodeDeployDefault."

// Predefined returns the deployment configs that exist without being created, by name (service.md 5.1). Their ids never
// change: they count the rows below.
func Predefined() []awsapi.DeploymentConfigInfo {
	lambda, ecs := awsapi.ComputePlatformLambda, awsapi.ComputePlatformECS
	configs := []awsapi.DeploymentConfigInfo{
		server("AllAtOnce", deploy.FleetPercent, 0),
		server("HalfAtATime", deploy.FleetPercent, 50),
		server("OneAtATime", deploy.OneAtATime, 1),
		canary(lambda, "LambdaCanary10Percent5Minutes", 5),
		canary(lambda, "LambdaCanary10Percent10Minutes", 10),
		canary(lambda, "LambdaCanary10Percent15Minutes", 15),
		canary(lambda, "LambdaCanary10Percent30Minutes", 30),
		linear(lambda, "LambdaLinear10PercentEvery1Minute", 1),
		linear(lambda, "LambdaLinear10PercentEvery2Minutes", 2),
		linear(lambda, "LambdaLinear10PercentEvery3Minutes", 3),
		linear(lambda, "LambdaLinear10PercentEvery10Minutes", 10),
		allAtOnce(lambda, "LambdaAllAtOnce"),
		canary(ecs, "ECSCanary10Percent5Minutes", 5),
		canary(ecs, "ECSCanary10Percent15Minutes", 15),
		linear(ecs, "ECSLinear10PercentEvery1Minutes", 1),
		linear(ecs, "ECSLinear10PercentEvery3Minutes", 3),
		allAtOnce(ecs, "ECSAllAtOnce"),
	}
	for i := range configs {
		configs[i].DeploymentConfigId = new(fmt.Sprintf("00000000-0000-0000-0000-%012d", i+1))
	}
	slices.SortFunc(configs, func(a, b awsapi.DeploymentConfigInfo) int {
		return cmp.Compare(*a.DeploymentConfigName, *b.DeploymentConfigName)
	})
	return configs
}

// PredefinedConfig returns the predefined deployment config with this name, if there is one.
func PredefinedConfig(name string) (awsapi.DeploymentConfigInfo, bool) {
	configs := Predefined()
	i := slices.IndexFunc(configs, func(c awsapi.DeploymentConfigInfo) bool { return *c.DeploymentConfigName == name })
	if i < 0 {
		return awsapi.DeploymentConfigInfo{}, false
	}
	return configs[i], true
}

func server(name string, rule deploy.HealthType, value int64) awsapi.DeploymentConfigInfo {
	return awsapi.DeploymentConfigInfo{
		DeploymentConfigName: new(PredefinedPrefix + name),
		ComputePlatform:      awsapi.ComputePlatformServer,
		MinimumHealthyHosts:  &awsapi.MinimumHealthyHosts{Type: awsapi.MinimumHealthyHostsType(rule), Value: &value},
	}
}

// canary shifts ten percent at once and the rest after so many minutes.
func canary(platform awsapi.ComputePlatform, name string, minutes int64) awsapi.DeploymentConfigInfo {
	return shifting(platform, name, awsapi.TrafficRoutingConfig{
		Type:            awsapi.TrafficRoutingTypeTimeBasedCanary,
		TimeBasedCanary: &awsapi.TimeBasedCanary{CanaryPercentage: new(int64(10)), CanaryInterval: &minutes},
	})
}

// linear shifts ten percent at once and ten more every so many minutes.
func linear(platform awsapi.ComputePlatform, name string, minutes int64) awsapi.DeploymentConfigInfo {
	return shifting(platform, name, awsapi.TrafficRoutingConfig{
		Type:            awsapi.TrafficRoutingTypeTimeBasedLinear,
		TimeBasedLinear: &awsapi.TimeBasedLinear{LinearPercentage: new(int64(10)), LinearInterval: &minutes},
	})
}

func allAtOnce(platform awsapi.ComputePlatform, name string) awsapi.DeploymentConfigInfo {
	return shifting(platform, name, awsapi.TrafficRoutingConfig{Type: awsapi.TrafficRoutingTypeAllAtOnce})
}

func shifting(platform awsapi.ComputePlatform, name string, how awsapi.TrafficRoutingConfig) awsapi.DeploymentConfigInfo {
	return awsapi.DeploymentConfigInfo{
		DeploymentConfigName: new(PredefinedPrefix + name),
		ComputePlatform:      platform,
		TrafficRoutingConfig: &how,
	}
}
