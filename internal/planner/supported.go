package planner

import (
	"fmt"

	"grapnel/internal/awsapi"
)

// UnsupportedError says which setting keeps a deployment from being planned.
type UnsupportedError struct {
	Setting string // its path in the API's own words
	Value   string // what it is set to, "" when any value is too much
}

// Error names the setting and its value.
func (e *UnsupportedError) Error() string {
	setting := e.Setting
	if e.Value != "" {
		setting += " " + e.Value
	}
	return fmt.Sprintf("deployments with %s are not available on this server yet", setting)
}

// supported refuses what an in-place plan would silently leave out.
func supported(g awsapi.DeploymentGroupInfo, c awsapi.DeploymentConfigInfo) error {
	if p := g.ComputePlatform; p != "" && p != awsapi.ComputePlatformServer {
		return &UnsupportedError{"computePlatform", string(p)}
	}
	style := awsapi.Value(g.DeploymentStyle)
	if t := style.DeploymentType; t != "" && t != awsapi.DeploymentTypeInPlace {
		return &UnsupportedError{"deploymentStyle.deploymentType", string(t)}
	}
	if o := style.DeploymentOption; o != "" && o != awsapi.DeploymentOptionWithoutTrafficControl {
		return &UnsupportedError{"deploymentStyle.deploymentOption", string(o)}
	}
	for _, s := range []struct {
		setting string
		given   bool
	}{
		{"ec2TagFilters", len(g.Ec2TagFilters) > 0},
		{"ec2TagSet", g.Ec2TagSet != nil && len(g.Ec2TagSet.Ec2TagSetList) > 0},
		{"autoScalingGroups", len(g.AutoScalingGroups) > 0},
		{"ecsServices", len(g.EcsServices) > 0},
		{"alarmConfiguration", watchesAlarms(g.AlarmConfiguration)},
		{"zonalConfig", c.ZonalConfig != nil},
		{"trafficRoutingConfig", c.TrafficRoutingConfig != nil},
	} {
		if s.given {
			return &UnsupportedError{Setting: s.setting}
		}
	}
	return nil
}

// watchesAlarms reports whether the group relies on alarms to stop a deployment: to go ahead without watching them would
// take away a safeguard that its owner counts on.
func watchesAlarms(a *awsapi.AlarmConfiguration) bool {
	return a != nil && awsapi.Value(a.Enabled) && len(a.Alarms) > 0
}
