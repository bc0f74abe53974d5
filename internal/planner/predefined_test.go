package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

func TestPredefined(t *testing.T) {
	t.Parallel()
	want := strings.Split(strings.TrimSpace(`
01 AllAtOnce FLEET_PERCENT 0
02 HalfAtATime FLEET_PERCENT 50
03 OneAtATime MOST_CONCURRENCY 1
04 LambdaCanary10Percent5Minutes Lambda TimeBasedCanary 10% 5
05 LambdaCanary10Percent10Minutes Lambda TimeBasedCanary 10% 10
06 LambdaCanary10Percent15Minutes Lambda TimeBasedCanary 10% 15
07 LambdaCanary10Percent30Minutes Lambda TimeBasedCanary 10% 30
08 LambdaLinear10PercentEvery1Minute Lambda TimeBasedLinear 10% 1
09 LambdaLinear10PercentEvery2Minutes Lambda TimeBasedLinear 10% 2
10 LambdaLinear10PercentEvery3Minutes Lambda TimeBasedLinear 10% 3
11 LambdaLinear10PercentEvery10Minutes Lambda TimeBasedLinear 10% 10
12 LambdaAllAtOnce Lambda AllAtOnce
13 ECSCanary10Percent5Minutes ECS TimeBasedCanary 10% 5
14 ECSCanary10Percent15Minutes ECS TimeBasedCanary 10% 15
15 ECSLinear10PercentEvery1Minutes ECS TimeBasedLinear 10% 1
16 ECSLinear10PercentEvery3Minutes ECS TimeBasedLinear 10% 3
17 ECSAllAtOnce ECS AllAtOnce`), "\n")
	configs := Predefined()
	byName := func(a, b awsapi.DeploymentConfigInfo) int {
		return strings.Compare(*a.DeploymentConfigName, *b.DeploymentConfigName)
	}
	if !slices.IsSortedFunc(configs, byName) {
		t.Error("not sorted by name")
	}
	var got []string
	for _, c := range configs {
		got = append(got, row(t, c))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// row writes a config as a line of the table above.
func row(t *testing.T, c awsapi.DeploymentConfigInfo) string {
	t.Helper()
	id, ok := strings.CutPrefix(*c.DeploymentConfigId, "00000000-0000-0000-0000-0000000000")
	if !ok {
		t.Errorf("id %s", *c.DeploymentConfigId)
	}
	name, ok := strings.CutPrefix(*c.DeploymentConfigName, "CodeDeployDefault.")
	if !ok {
		t.Errorf("name %s", *c.DeploymentConfigName)
	}
	if m := c.MinimumHealthyHosts; m != nil {
		return fmt.Sprintf("%s %s %s %d", id, name, m.Type, *m.Value)
	}
	text := fmt.Sprintf("%s %s %s %s", id, name, c.ComputePlatform, c.TrafficRoutingConfig.Type)
	if canary := c.TrafficRoutingConfig.TimeBasedCanary; canary != nil {
		text += fmt.Sprintf(" %d%% %d", *canary.CanaryPercentage, *canary.CanaryInterval)
	}
	if linear := c.TrafficRoutingConfig.TimeBasedLinear; linear != nil {
		text += fmt.Sprintf(" %d%% %d", *linear.LinearPercentage, *linear.LinearInterval)
	}
	return text
}
