package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// config loads a deployment config, predefined or custom, or tells the caller that there is none.
func (a *API) config(ctx context.Context, name string) (awsapi.DeploymentConfigInfo, error) {
	if c, ok := a.predefined[name]; ok {
		return c, nil
	}
	c, err := a.store.Config(ctx, name)
	return c, instead(err, store.ErrNotFound, configDoesNotExist(name), "load deployment config "+name)
}

// configFor loads a deployment config that a platform is to use.
func (a *API) configFor(ctx context.Context, name string, platform awsapi.ComputePlatform) (awsapi.DeploymentConfigInfo, error) {
	c, err := a.config(ctx, name)
	if err != nil {
		return c, err
	}
	if c.ComputePlatform != platform {
		return c, failure(awsapi.InvalidDeploymentConfigNameException,
			"Deployment config %s is for the %s platform and the application for %s; take one that fits.", name, c.ComputePlatform, platform)
	}
	return c, nil
}

func (a *API) createDeploymentConfig(ctx context.Context, in *awsapi.CreateDeploymentConfigInput) (*awsapi.CreateDeploymentConfigOutput, error) {
	name, err := configName(in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, planner.PredefinedPrefix) {
		return nil, failure(awsapi.InvalidDeploymentConfigNameException, "Names that begin with %s are reserved; take another name.", planner.PredefinedPrefix)
	}
	if err := checkConfig(in); err != nil {
		return nil, err
	}
	config := awsapi.DeploymentConfigInfo{
		DeploymentConfigId:   new(awsjson.UUID()),
		DeploymentConfigName: &name,
		MinimumHealthyHosts:  in.MinimumHealthyHosts,
		CreateTime:           awsapi.At(time.Now()),
		ComputePlatform:      platformOf(in),
		TrafficRoutingConfig: in.TrafficRoutingConfig,
		ZonalConfig:          in.ZonalConfig,
	}
	if err := a.store.CreateConfig(ctx, config); err != nil {
		err = limited(err, awsapi.DeploymentConfigLimitExceededException, "delete one first")
		exists := failure(awsapi.DeploymentConfigAlreadyExistsException,
			"There is a deployment config named %s already; configs cannot be changed, so take another name or delete that one first.", name)
		return nil, instead(err, store.ErrExists, exists, "create deployment config "+name)
	}
	return &awsapi.CreateDeploymentConfigOutput{DeploymentConfigId: config.DeploymentConfigId}, nil
}

func platformOf(in *awsapi.CreateDeploymentConfigInput) awsapi.ComputePlatform {
	if in.ComputePlatform == "" {
		return awsapi.ComputePlatformServer
	}
	return in.ComputePlatform
}

// checkConfig checks what a custom config may say (service.md 2.4): each member alone, in the order in which the operation
// lists its errors, and then whether they suit the platform.
func checkConfig(in *awsapi.CreateDeploymentConfigInput) error {
	for _, err := range []error{
		checkMinimumHealthyHosts(in.MinimumHealthyHosts),
		oneOf(awsapi.InvalidComputePlatformException, "computePlatform", in.ComputePlatform),
		checkRouting(in.TrafficRoutingConfig),
		checkZonal(in.ZonalConfig),
		suits(in, platformOf(in)),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// suits says whether a config has what its platform needs and nothing that it has no use for.
func suits(in *awsapi.CreateDeploymentConfigInput, platform awsapi.ComputePlatform) error {
	server := platform == awsapi.ComputePlatformServer
	switch {
	case server && in.MinimumHealthyHosts == nil:
		return failure(awsapi.InvalidMinimumHealthyHostValueException, "minimumHealthyHosts is missing; the Server platform needs it.")
	case server && in.TrafficRoutingConfig != nil:
		return failure(awsapi.InvalidTrafficRoutingConfigurationException, "trafficRoutingConfig is for Lambda and ECS; leave it out for the Server platform.")
	case !server && in.MinimumHealthyHosts != nil:
		return failure(awsapi.InvalidMinimumHealthyHostValueException, "minimumHealthyHosts is for the Server platform; leave it out for %s.", platform)
	case !server && in.TrafficRoutingConfig == nil:
		return failure(awsapi.InvalidTrafficRoutingConfigurationException, "trafficRoutingConfig is missing; the %s platform needs it.", platform)
	case !server && in.ZonalConfig != nil:
		return failure(awsapi.InvalidZonalDeploymentConfigurationException, "zonalConfig is for the Server platform; leave it out for %s.", platform)
	}
	return nil
}

// checkMinimumHealthyHosts takes an absent value for 0: typed SDKs leave a zero out.
func checkMinimumHealthyHosts(m *awsapi.MinimumHealthyHosts) error {
	if m == nil {
		return nil
	}
	switch value := awsapi.Value(m.Value); {
	case m.Type == awsapi.MinimumHealthyHostsTypeHostCount && value >= 0:
		return nil
	case m.Type == awsapi.MinimumHealthyHostsTypeFleetPercent && 0 <= value && value <= 99:
		return nil
	}
	return failure(awsapi.InvalidMinimumHealthyHostValueException,
		"minimumHealthyHosts must be of type HOST_COUNT with a value of 0 or more, or FLEET_PERCENT with a value from 0 to 99.")
}

func checkRouting(r *awsapi.TrafficRoutingConfig) error {
	if r == nil {
		return nil
	}
	invalid := func(format string, args ...any) error {
		return failure(awsapi.InvalidTrafficRoutingConfigurationException, "trafficRoutingConfig: "+format, args...)
	}
	canary, linear := r.TimeBasedCanary, r.TimeBasedLinear
	if (canary != nil) != (r.Type == awsapi.TrafficRoutingTypeTimeBasedCanary) || (linear != nil) != (r.Type == awsapi.TrafficRoutingTypeTimeBasedLinear) {
		return invalid("type TimeBasedCanary goes with timeBasedCanary, TimeBasedLinear with timeBasedLinear, and AllAtOnce with neither; it is %q.", r.Type)
	}
	switch {
	case canary != nil:
		return checkShift(invalid, awsapi.Value(canary.CanaryPercentage), awsapi.Value(canary.CanaryInterval), 1)
	case linear != nil:
		percent := awsapi.Value(linear.LinearPercentage)
		shifts := int64(0)
		if percent > 0 {
			shifts = (100+percent-1)/percent - 1 // the first comes at once
		}
		return checkShift(invalid, percent, awsapi.Value(linear.LinearInterval), shifts)
	}
	if r.Type != awsapi.TrafficRoutingTypeAllAtOnce {
		return notOneOf(awsapi.InvalidTrafficRoutingConfigurationException, "trafficRoutingConfig.type", r.Type, r.Type.Values())
	}
	return nil
}

// checkShift checks one shift of traffic: percent, minutes between shifts, and how many follow the first.
func checkShift(invalid func(string, ...any) error, percent, minutes, following int64) error {
	switch {
	case percent < 1 || percent > 99:
		return invalid("the percentage must be from 1 to 99, not %d.", percent)
	case minutes < 1:
		return invalid("the interval must be at least 1 minute, not %d.", minutes)
	case minutes > maxWaitMinutes/following:
		return invalid("the last shift comes %d intervals of %d minutes after the first; it may come %d minutes after it.", following, minutes, maxWaitMinutes)
	}
	return nil
}

func checkZonal(z *awsapi.ZonalConfig) error {
	if z == nil {
		return nil
	}
	if awsapi.Value(z.MonitorDurationInSeconds) < 0 || awsapi.Value(z.FirstZoneMonitorDurationInSeconds) < 0 {
		return failure(awsapi.InvalidZonalDeploymentConfigurationException, "zonalConfig: a time to monitor must be 0 seconds or more.")
	}
	perZone := awsapi.Value(z.MinimumHealthyHostsPerZone)
	sameRule := awsapi.MinimumHealthyHosts{Type: awsapi.MinimumHealthyHostsType(perZone.Type), Value: perZone.Value}
	if z.MinimumHealthyHostsPerZone != nil && checkMinimumHealthyHosts(&sameRule) != nil {
		return failure(awsapi.InvalidZonalDeploymentConfigurationException,
			"minimumHealthyHostsPerZone must be of type HOST_COUNT with a value of 0 or more, or FLEET_PERCENT with a value from 0 to 99.")
	}
	return nil
}

func (a *API) getDeploymentConfig(ctx context.Context, in *awsapi.GetDeploymentConfigInput) (*awsapi.GetDeploymentConfigOutput, error) {
	name, err := configName(in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	config, err := a.config(ctx, name)
	if err != nil {
		return nil, err
	}
	return &awsapi.GetDeploymentConfigOutput{DeploymentConfigInfo: &config}, nil
}

func (a *API) listDeploymentConfigs(ctx context.Context, in *awsapi.ListDeploymentConfigsInput) (*awsapi.ListDeploymentConfigsOutput, error) {
	p, err := a.pages.open(awsapi.ListDeploymentConfigsInput{}, in.NextToken)
	if err != nil {
		return nil, err
	}
	names, err := a.store.Configs(ctx, p.after, p.limit())
	if err != nil {
		return nil, fmt.Errorf("list deployment configs: %w", err)
	}
	for name := range maps.Keys(a.predefined) {
		if name > p.after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := new(awsapi.ListDeploymentConfigsOutput)
	out.DeploymentConfigsList, out.NextToken = cut(p, names, itself)
	return out, nil
}

// deleteDeploymentConfig succeeds when there is no such config (service.md 2.2).
func (a *API) deleteDeploymentConfig(ctx context.Context, in *awsapi.DeleteDeploymentConfigInput) (*awsjson.Empty, error) {
	name, err := configName(in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	if _, ok := a.predefined[name]; ok {
		return nil, failure(awsapi.InvalidOperationException, "%s is predefined and cannot be deleted.", name)
	}
	err = a.store.DeleteConfig(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	inUse := failure(awsapi.DeploymentConfigInUseException,
		"Deployment config %s is used by a deployment group or a deployment that is under way; give those another config first.", name)
	return nil, instead(err, store.ErrInUse, inUse, "delete deployment config "+name)
}
