package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// predefined is every deployment config of a fresh account, and what it says (service.md 5.1).
const predefined = `
AllAtOnce                             FLEET_PERCENT 0
ECSAllAtOnce                          ECS AllAtOnce
ECSCanary10Percent15Minutes           ECS TimeBasedCanary 10 15
ECSCanary10Percent5Minutes            ECS TimeBasedCanary 10 5
ECSLinear10PercentEvery1Minutes       ECS TimeBasedLinear 10 1
ECSLinear10PercentEvery3Minutes       ECS TimeBasedLinear 10 3
HalfAtATime                           FLEET_PERCENT 50
LambdaAllAtOnce                       Lambda AllAtOnce
LambdaCanary10Percent10Minutes        Lambda TimeBasedCanary 10 10
LambdaCanary10Percent15Minutes        Lambda TimeBasedCanary 10 15
LambdaCanary10Percent30Minutes        Lambda TimeBasedCanary 10 30
LambdaCanary10Percent5Minutes         Lambda TimeBasedCanary 10 5
LambdaLinear10PercentEvery10Minutes   Lambda TimeBasedLinear 10 10
LambdaLinear10PercentEvery1Minute     Lambda TimeBasedLinear 10 1
LambdaLinear10PercentEvery2Minutes    Lambda TimeBasedLinear 10 2
LambdaLinear10PercentEvery3Minutes    Lambda TimeBasedLinear 10 3
OneAtATime                            MOST_CONCURRENCY 1
`

// service.md 15: C78, C79, C80, C90, C91
func TestPredefinedConfigs(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	var got []string
	for _, name := range must(w.ListDeploymentConfigs(ctx, &codedeploy.ListDeploymentConfigsInput{}))(t).DeploymentConfigsList {
		config := must(w.GetDeploymentConfig(ctx, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: &name}))(t).DeploymentConfigInfo
		got = append(got, strings.TrimPrefix(name, "CodeDeployDefault.")+" "+summary(config))
		refused(w.DeleteDeploymentConfig(ctx, &codedeploy.DeleteDeploymentConfigInput{DeploymentConfigName: &name}))(t, "InvalidOperation")
	}
	var want []string
	for line := range strings.Lines(strings.TrimSpace(predefined)) {
		want = append(want, strings.Join(strings.Fields(line), " "))
	}
	equal(t, "the configs of a fresh server", got, want)
	must(w.DeleteDeploymentConfig(ctx, &codedeploy.DeleteDeploymentConfigInput{DeploymentConfigName: aws.String("none")}))(t)
}

// summary says in a line what a config is about.
func summary(c *types.DeploymentConfigInfo) string {
	r := c.TrafficRoutingConfig
	switch {
	case r == nil:
		return fmt.Sprint(c.MinimumHealthyHosts.Type, " ", c.MinimumHealthyHosts.Value)
	case r.TimeBasedCanary != nil:
		return fmt.Sprint(c.ComputePlatform, " ", r.Type, " ", r.TimeBasedCanary.CanaryPercentage, " ", r.TimeBasedCanary.CanaryInterval)
	case r.TimeBasedLinear != nil:
		return fmt.Sprint(c.ComputePlatform, " ", r.Type, " ", r.TimeBasedLinear.LinearPercentage, " ", r.TimeBasedLinear.LinearInterval)
	}
	return fmt.Sprint(c.ComputePlatform, " ", r.Type)
}

// service.md 15: C81, C82, C83, C84, C85, C86, C87, C88, C92
func TestWhatACustomConfigMaySay(t *testing.T) {
	t.Parallel()
	w := start(t)
	type in = codedeploy.CreateDeploymentConfigInput
	percent := func(n int32) in {
		return in{MinimumHealthyHosts: &types.MinimumHealthyHosts{Type: types.MinimumHealthyHostsTypeFleetPercent, Value: n}}
	}
	canary := func(percent, minutes int32) in {
		return in{ComputePlatform: types.ComputePlatformLambda, TrafficRoutingConfig: &types.TrafficRoutingConfig{
			Type: types.TrafficRoutingTypeTimeBasedCanary, TimeBasedCanary: &types.TimeBasedCanary{CanaryPercentage: percent, CanaryInterval: minutes}}}
	}
	linear := func(percent, minutes int32) in {
		return in{ComputePlatform: types.ComputePlatformEcs, TrafficRoutingConfig: &types.TrafficRoutingConfig{
			Type: types.TrafficRoutingTypeTimeBasedLinear, TimeBasedLinear: &types.TimeBasedLinear{LinearPercentage: percent, LinearInterval: minutes}}}
	}
	atOnce := &types.TrafficRoutingConfig{Type: types.TrafficRoutingTypeAllAtOnce}
	zones := &types.ZonalConfig{
		MonitorDurationInSeconds:          aws.Int64(60),
		FirstZoneMonitorDurationInSeconds: aws.Int64(120),
		MinimumHealthyHostsPerZone:        &types.MinimumHealthyHostsPerZone{Type: types.MinimumHealthyHostsPerZoneTypeFleetPercent, Value: 30},
	}
	const health, routing, zonal = "InvalidMinimumHealthyHostValueException", "InvalidTrafficRoutingConfigurationException", "InvalidZonalDeploymentConfigurationException"
	for i, tt := range []struct {
		name string
		in   in
		want string
	}{
		{"a reserved name", in{DeploymentConfigName: aws.String("CodeDeployDefault.Mine"), MinimumHealthyHosts: hosts(1)}, "InvalidDeploymentConfigNameException"},
		{"100 percent", percent(100), health},
		{"-1 percent", percent(-1), health},
		{"0 percent", percent(0), ""},
		{"99 percent", percent(99), ""},
		{"-1 hosts", in{MinimumHealthyHosts: hosts(-1)}, health},
		{"0 hosts", in{MinimumHealthyHosts: hosts(0)}, ""},
		{"the type of OneAtATime", in{MinimumHealthyHosts: &types.MinimumHealthyHosts{Type: "MOST_CONCURRENCY", Value: 1}}, health},
		{"hosts without a minimum", in{}, health},
		{"hosts with traffic", in{MinimumHealthyHosts: hosts(1), TrafficRoutingConfig: atOnce}, routing},
		{"hosts in zones", in{MinimumHealthyHosts: hosts(1), ZonalConfig: zones}, ""},
		{"a function with a minimum", in{ComputePlatform: types.ComputePlatformLambda, MinimumHealthyHosts: hosts(1), TrafficRoutingConfig: atOnce}, health},
		{"a function without traffic", in{ComputePlatform: types.ComputePlatformLambda}, routing},
		{"a function in zones", in{ComputePlatform: types.ComputePlatformLambda, TrafficRoutingConfig: atOnce, ZonalConfig: zones}, zonal},
		{"a container in zones", in{ComputePlatform: types.ComputePlatformEcs, TrafficRoutingConfig: atOnce, ZonalConfig: zones}, zonal},
		{"a canary of 0 percent", canary(0, 5), routing},
		{"a canary of 100 percent", canary(100, 5), routing},
		{"a canary of 99 percent, for two days", canary(99, 2880), ""},
		{"a canary for longer", canary(10, 2881), routing},
		{"a canary for no time", canary(10, 0), routing},
		{"steps of 100 percent", linear(100, 5), routing},
		{"nine steps in two days", linear(10, 320), ""},
		{"nine steps in more", linear(10, 321), routing},
		{"all at once", in{ComputePlatform: types.ComputePlatformEcs, TrafficRoutingConfig: atOnce}, ""},
	} {
		if tt.in.DeploymentConfigName == nil {
			tt.in.DeploymentConfigName = aws.String(fmt.Sprint("config-", i))
		}
		_, err := w.CreateDeploymentConfig(t.Context(), &tt.in)
		if got := code(err); got != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil {
			continue
		}
		refused(w.CreateDeploymentConfig(t.Context(), &tt.in))(t, "DeploymentConfigAlreadyExists")
		stored := must(w.GetDeploymentConfig(t.Context(), &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: tt.in.DeploymentConfigName}))(t).DeploymentConfigInfo
		if !uuid.MatchString(*stored.DeploymentConfigId) || stored.CreateTime == nil {
			t.Errorf("%s: the id is %s, made at %v", tt.name, *stored.DeploymentConfigId, stored.CreateTime)
		}
		want := types.DeploymentConfigInfo{
			DeploymentConfigId: stored.DeploymentConfigId, CreateTime: stored.CreateTime, DeploymentConfigName: tt.in.DeploymentConfigName,
			ComputePlatform: types.ComputePlatformServer, MinimumHealthyHosts: tt.in.MinimumHealthyHosts,
			TrafficRoutingConfig: tt.in.TrafficRoutingConfig, ZonalConfig: tt.in.ZonalConfig,
		}
		if tt.in.ComputePlatform != "" {
			want.ComputePlatform = tt.in.ComputePlatform
		}
		equal(t, tt.name, *stored, want)
	}
}

// service.md 15: C89
func TestConfigsInUse(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	for _, name := range []string{"of-group", "of-deployment"} {
		must(w.CreateDeploymentConfig(ctx, &codedeploy.CreateDeploymentConfigInput{DeploymentConfigName: &name, MinimumHealthyHosts: hosts(0)}))(t)
	}
	configured := func(name string) {
		t.Helper()
		must(w.UpdateDeploymentGroup(ctx, &codedeploy.UpdateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("prod"), DeploymentConfigName: &name}))(t)
	}
	remove := func(name string) (*codedeploy.DeleteDeploymentConfigOutput, error) {
		return w.DeleteDeploymentConfig(ctx, &codedeploy.DeleteDeploymentConfigInput{DeploymentConfigName: &name})
	}
	configured("of-group")
	id := *must(w.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"),
		Revision: bundle("1.zip"), DeploymentConfigName: aws.String("of-deployment")}))(t).DeploymentId
	refused(remove("of-group"))(t, "DeploymentConfigInUse")
	refused(remove("of-deployment"))(t, "DeploymentConfigInUse")

	configured("CodeDeployDefault.AllAtOnce")
	must(remove("of-group"))(t)
	must(w.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: &id}))(t)
	eventually(t, "the config of an ended deployment can be deleted", func() bool {
		_, err := remove("of-deployment")
		return err == nil
	})
	names := must(w.ListDeploymentConfigs(ctx, &codedeploy.ListDeploymentConfigsInput{}))(t).DeploymentConfigsList
	if len(names) != 17 {
		t.Errorf("the configs that are left: %v", names)
	}
}
