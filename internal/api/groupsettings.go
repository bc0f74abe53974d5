package api

import (
	"cmp"
	"context"
	"slices"

	"grapnel/internal/awsapi"
)

// groupSettings are the members that create and update of a deployment group share, under the names of the update.
type groupSettings struct {
	awsapi.UpdateDeploymentGroupInput
	creating bool
}

func settingsToCreate(in *awsapi.CreateDeploymentGroupInput) groupSettings {
	return groupSettings{creating: true, UpdateDeploymentGroupInput: awsapi.UpdateDeploymentGroupInput{
		DeploymentConfigName:             in.DeploymentConfigName,
		Ec2TagFilters:                    in.Ec2TagFilters,
		Ec2TagSet:                        in.Ec2TagSet,
		OnPremisesInstanceTagFilters:     in.OnPremisesInstanceTagFilters,
		OnPremisesTagSet:                 in.OnPremisesTagSet,
		AutoScalingGroups:                in.AutoScalingGroups,
		ServiceRoleArn:                   in.ServiceRoleArn,
		TriggerConfigurations:            in.TriggerConfigurations,
		AlarmConfiguration:               in.AlarmConfiguration,
		AutoRollbackConfiguration:        in.AutoRollbackConfiguration,
		OutdatedInstancesStrategy:        in.OutdatedInstancesStrategy,
		DeploymentStyle:                  in.DeploymentStyle,
		BlueGreenDeploymentConfiguration: in.BlueGreenDeploymentConfiguration,
		LoadBalancerInfo:                 in.LoadBalancerInfo,
		EcsServices:                      in.EcsServices,
		Ec2DeploymentOptions:             in.Ec2DeploymentOptions,
		TerminationHookEnabled:           in.TerminationHookEnabled,
	}}
}

// apply stores the members that are present in info. An empty list clears.
func (s groupSettings) apply(info *awsapi.DeploymentGroupInfo) {
	s.applyTags(info)
	set(&info.DeploymentConfigName, s.DeploymentConfigName)
	set(&info.ServiceRoleArn, s.ServiceRoleArn)
	set(&info.AlarmConfiguration, s.AlarmConfiguration)
	set(&info.AutoRollbackConfiguration, s.AutoRollbackConfiguration)
	if s.DeploymentStyle != nil {
		info.DeploymentStyle = wholeStyle(*s.DeploymentStyle)
	}
	set(&info.BlueGreenDeploymentConfiguration, s.BlueGreenDeploymentConfiguration)
	set(&info.LoadBalancerInfo, s.LoadBalancerInfo)
	set(&info.Ec2DeploymentOptions, s.Ec2DeploymentOptions)
	set(&info.TerminationHookEnabled, s.TerminationHookEnabled)
	if s.OutdatedInstancesStrategy != "" {
		info.OutdatedInstancesStrategy = s.OutdatedInstancesStrategy
	}
	if s.TriggerConfigurations != nil {
		info.TriggerConfigurations = s.TriggerConfigurations
	}
	if s.EcsServices != nil {
		info.EcsServices = s.EcsServices
	}
	if s.AutoScalingGroups != nil {
		info.AutoScalingGroups = []awsapi.AutoScalingGroup{}
		for _, name := range s.AutoScalingGroups {
			info.AutoScalingGroups = append(info.AutoScalingGroups, awsapi.AutoScalingGroup{Name: &name})
		}
	}
}

// applyTags puts the tags that are given, in either style, in the place of those of both. Tools that go from one style to the
// other send the one that they left as well, empty.
func (s groupSettings) applyTags(info *awsapi.DeploymentGroupInfo) {
	ec2Groups, onPremisesGroups := s.tagGroups()
	if s.Ec2TagFilters != nil || s.Ec2TagSet != nil {
		info.Ec2TagFilters, info.Ec2TagSet = append([]awsapi.EC2TagFilter{}, s.Ec2TagFilters...), nil
	}
	if len(ec2Groups) > 0 {
		info.Ec2TagSet = s.Ec2TagSet
	}
	if s.OnPremisesInstanceTagFilters != nil || s.OnPremisesTagSet != nil {
		info.OnPremisesInstanceTagFilters, info.OnPremisesTagSet = append([]awsapi.TagFilter{}, s.OnPremisesInstanceTagFilters...), nil
	}
	if len(onPremisesGroups) > 0 {
		info.OnPremisesTagSet = s.OnPremisesTagSet
	}
}

// tagGroups returns the groups of filters of both tag sets.
func (s groupSettings) tagGroups() (ec2 [][]awsapi.EC2TagFilter, onPremises [][]awsapi.TagFilter) {
	return awsapi.Value(s.Ec2TagSet).Ec2TagSetList, awsapi.Value(s.OnPremisesTagSet).OnPremisesTagSetList
}

// wholeStyle returns a style with the defaults of service.md 2.5 for the parts that are absent.
func wholeStyle(s awsapi.DeploymentStyle) *awsapi.DeploymentStyle {
	return &awsapi.DeploymentStyle{
		DeploymentType:   cmp.Or(s.DeploymentType, awsapi.DeploymentTypeInPlace),
		DeploymentOption: cmp.Or(s.DeploymentOption, awsapi.DeploymentOptionWithoutTrafficControl),
	}
}

// set replaces a member by a new value unless that is absent.
func set[T any](member **T, value *T) {
	if value != nil {
		*member = value
	}
}

// checkFields checks each member alone, in the order in which CreateDeploymentGroup lists its errors.
func (s groupSettings) checkFields(l Limits) error {
	for _, check := range []func() error{
		func() error { return s.checkTags(l) },
		func() error {
			return l.checkAutoScalingGroups(awsapi.InvalidAutoScalingGroupException, s.AutoScalingGroups)
		},
		func() error { return checkConfigName(s.DeploymentConfigName) },
		s.checkRole,
		func() error { return l.checkTriggers(s.TriggerConfigurations) },
		func() error { return l.checkAlarms("alarmConfiguration", s.AlarmConfiguration) },
		func() error { return checkAutoRollback(s.AutoRollbackConfiguration) },
		func() error { return l.checkLoadBalancer(s.LoadBalancerInfo) },
		func() error { return checkStyle(s.DeploymentStyle) },
		func() error { return checkBlueGreen(s.BlueGreenDeploymentConfiguration) },
		func() error { return s.checkTagStyles(l) },
		func() error {
			return oneOf(awsapi.InvalidInputException, "outdatedInstancesStrategy", s.OutdatedInstancesStrategy)
		},
		func() error { return checkEC2Options(s.Ec2DeploymentOptions) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s groupSettings) checkTags(l Limits) error {
	ec2Groups, onPremisesGroups := s.tagGroups()
	for _, list := range append([][]awsapi.EC2TagFilter{s.Ec2TagFilters}, ec2Groups...) {
		if err := l.checkEC2Filters(awsapi.InvalidEC2TagException, list); err != nil {
			return err
		}
	}
	for _, list := range append([][]awsapi.TagFilter{s.OnPremisesInstanceTagFilters}, onPremisesGroups...) {
		if err := l.checkFilters(awsapi.InvalidTagException, list); err != nil {
			return err
		}
	}
	return nil
}

// checkRole checks the form only: whether a role can be assumed is of no concern to a server that assumes none.
func (s groupSettings) checkRole() error {
	role := awsapi.Value(s.ServiceRoleArn)
	switch {
	case s.creating && role == "":
		return missing(awsapi.RoleRequiredException, "serviceRoleArn")
	case s.ServiceRoleArn != nil && !rolePattern.MatchString(role):
		return failure(awsapi.InvalidRoleException, "serviceRoleArn %q must look like arn:aws:iam::123456789012:role/NAME.", role)
	}
	return nil
}

func (s groupSettings) checkTagStyles(l Limits) error {
	ec2Groups, onPremisesGroups := s.tagGroups()
	switch {
	case len(s.Ec2TagFilters) > 0 && len(ec2Groups) > 0:
		return failure(awsapi.InvalidEC2TagCombinationException, "Give either ec2TagFilters or ec2TagSet, not both.")
	case len(s.OnPremisesInstanceTagFilters) > 0 && len(onPremisesGroups) > 0:
		return failure(awsapi.InvalidOnPremisesTagCombinationException, "Give either onPremisesInstanceTagFilters or onPremisesTagSet, not both.")
	case len(ec2Groups) > l.TagGroups, len(onPremisesGroups) > l.TagGroups:
		return failure(awsapi.TagSetListLimitExceededException, "A tag set may have %d groups of filters.", l.TagGroups)
	}
	return nil
}

// checkEC2Filters checks a group of EC2 tag filters by the rules of the other kind: they differ in name only.
func (l Limits) checkEC2Filters(invalid string, filters []awsapi.EC2TagFilter) error {
	plain := make([]awsapi.TagFilter, len(filters))
	for i, f := range filters {
		plain[i] = awsapi.TagFilter{Key: f.Key, Value: f.Value, Type: awsapi.TagFilterType(f.Type)}
	}
	return l.checkFilters(invalid, plain)
}

func (l Limits) checkFilters(invalid string, filters []awsapi.TagFilter) error {
	if len(filters) > l.TagFilters {
		return failure(invalid, "A group of tag filters may have %d filters.", l.TagFilters)
	}
	for _, f := range filters {
		if err := checkFilter(invalid, f); err != nil {
			return err
		}
	}
	return nil
}

// checkFilter checks one filter. Without a type, its members tell what it is.
func checkFilter(invalid string, f awsapi.TagFilter) error {
	if err := oneOf(invalid, "The Type of a tag filter", f.Type); err != nil {
		return err
	}
	key, value := awsapi.Value(f.Key), awsapi.Value(f.Value)
	needsKey := f.Type == awsapi.TagFilterTypeKeyOnly || f.Type == awsapi.TagFilterTypeKeyAndValue
	needsValue := f.Type == awsapi.TagFilterTypeValueOnly || f.Type == awsapi.TagFilterTypeKeyAndValue
	switch {
	case needsKey && key == "":
		return failure(invalid, "A tag filter of type %s needs a Key.", f.Type)
	case needsValue && f.Value == nil:
		return failure(invalid, "A tag filter of type %s needs a Value.", f.Type)
	case f.Key == nil && f.Value == nil:
		return failure(invalid, "A tag filter needs a Key, a Value or both.")
	case !lengthWithin(key, 0, maxTagKey) || !lengthWithin(value, 0, maxTagValue):
		return failure(invalid, "A tag filter's Key may have %d characters and its Value %d.", maxTagKey, maxTagValue)
	}
	return nil
}

// checkAutoScalingGroups checks names only: whether there are such groups is for the neighbour to say that has them.
func (l Limits) checkAutoScalingGroups(invalid string, names []string) error {
	if len(names) > l.AutoScaling {
		return failure(invalid, "autoScalingGroups may name %d Auto Scaling groups.", l.AutoScaling)
	}
	for i, name := range names {
		if !lengthWithin(name, 1, 255) || hasControl(name) || slices.Contains(names[:i], name) {
			return failure(invalid, "autoScalingGroups: name %q must have 1 to 255 printable characters and be given once.", name)
		}
	}
	return nil
}

func checkEC2Options(o *awsapi.EC2DeploymentOptions) error {
	for _, p := range awsapi.Value(o).AutoScalingGroupProcessesToSuspend {
		if !slices.Contains(p.Values(), p) {
			return notOneOf(awsapi.InvalidAutoScalingGroupProcessToSuspendException, "autoScalingGroupProcessesToSuspend", p, p.Values())
		}
	}
	return nil
}

func (l Limits) checkTriggers(triggers []awsapi.TriggerConfig) error {
	seen := map[string]bool{}
	for _, t := range triggers {
		name := awsapi.Value(t.TriggerName)
		switch {
		case name == "" || seen[name]:
			return failure(awsapi.InvalidTriggerConfigException, "triggerName %q must not be empty, nor be given twice.", name)
		case !topicPattern.MatchString(awsapi.Value(t.TriggerTargetArn)):
			return failure(awsapi.InvalidTriggerConfigException, "triggerTargetArn %q must be the ARN of an SNS topic.", awsapi.Value(t.TriggerTargetArn))
		case len(t.TriggerEvents) == 0:
			return failure(awsapi.InvalidTriggerConfigException, "Trigger %s names no triggerEvents; name one at least.", name)
		}
		seen[name] = true
		for _, event := range t.TriggerEvents {
			if !slices.Contains(event.Values(), event) {
				return notOneOf(awsapi.InvalidTriggerConfigException, "triggerEvents", event, event.Values())
			}
		}
	}
	if len(triggers) > l.Triggers {
		return failure(awsapi.TriggerTargetsLimitExceededException, "A deployment group may have %d triggers.", l.Triggers)
	}
	return nil
}

func (l Limits) checkAlarms(member string, c *awsapi.AlarmConfiguration) error {
	if c == nil {
		return nil
	}
	if len(c.Alarms) > l.Alarms {
		return failure(awsapi.AlarmsLimitExceededException, "%s may name %d alarms.", member, l.Alarms)
	}
	if awsapi.Value(c.Enabled) && len(c.Alarms) == 0 {
		return failure(awsapi.InvalidAlarmConfigException, "%s is enabled and names no alarm; name one, or disable it.", member)
	}
	seen := map[string]bool{}
	for _, alarm := range c.Alarms {
		name := awsapi.Value(alarm.Name)
		if seen[name] || !lengthWithin(name, 1, 255) {
			return failure(awsapi.InvalidAlarmConfigException, "%s: alarm name %q must have 1 to 255 characters and be given once.", member, name)
		}
		seen[name] = true
	}
	return nil
}

func checkAutoRollback(c *awsapi.AutoRollbackConfiguration) error {
	if c == nil {
		return nil
	}
	for _, event := range c.Events {
		if !slices.Contains(event.Values(), event) {
			return notOneOf(awsapi.InvalidAutoRollbackConfigException, "autoRollbackConfiguration.events", event, event.Values())
		}
	}
	if awsapi.Value(c.Enabled) && len(c.Events) == 0 {
		return failure(awsapi.InvalidAutoRollbackConfigException,
			"autoRollbackConfiguration is enabled and names no event; name one, such as DEPLOYMENT_FAILURE, or disable it.")
	}
	return nil
}

func (l Limits) checkLoadBalancer(lb *awsapi.LoadBalancerInfo) error {
	if lb == nil {
		return nil
	}
	if len(lb.ElbInfoList) > l.LoadBalancers || len(lb.TargetGroupInfoList) > l.TargetGroups {
		return failure(awsapi.InvalidLoadBalancerInfoException, "loadBalancerInfo may name %d load balancers and %d target groups.",
			l.LoadBalancers, l.TargetGroups)
	}
	for _, e := range lb.ElbInfoList {
		if awsapi.Value(e.Name) == "" {
			return failure(awsapi.InvalidLoadBalancerInfoException, "elbInfoList holds a load balancer without a name.")
		}
	}
	for _, g := range lb.TargetGroupInfoList {
		if awsapi.Value(g.Name) == "" {
			return failure(awsapi.InvalidLoadBalancerInfoException, "targetGroupInfoList holds a target group without a name.")
		}
	}
	return nil
}

func checkStyle(s *awsapi.DeploymentStyle) error {
	if s == nil {
		return nil
	}
	if err := oneOf(awsapi.InvalidDeploymentStyleException, "deploymentType", s.DeploymentType); err != nil {
		return err
	}
	return oneOf(awsapi.InvalidDeploymentStyleException, "deploymentOption", s.DeploymentOption)
}

func checkBlueGreen(c *awsapi.BlueGreenDeploymentConfiguration) error {
	const invalid = awsapi.InvalidBlueGreenDeploymentConfigurationException
	if c == nil {
		return nil
	}
	terminate := awsapi.Value(c.TerminateBlueInstancesOnDeploymentSuccess)
	ready := awsapi.Value(c.DeploymentReadyOption)
	if err := oneOf(invalid, "terminateBlueInstancesOnDeploymentSuccess.action", terminate.Action); err != nil {
		return err
	}
	if err := oneOf(invalid, "deploymentReadyOption.actionOnTimeout", ready.ActionOnTimeout); err != nil {
		return err
	}
	if err := oneOf(invalid, "greenFleetProvisioningOption.action", awsapi.Value(c.GreenFleetProvisioningOption).Action); err != nil {
		return err
	}
	if wait := awsapi.Value(terminate.TerminationWaitTimeInMinutes); wait < 0 || wait > maxWaitMinutes {
		return failure(invalid, "terminationWaitTimeInMinutes must be from 0 to %d, not %d.", maxWaitMinutes, wait)
	}
	if wait := awsapi.Value(ready.WaitTimeInMinutes); wait < 0 || wait > maxECSReadyWaitMinutes {
		return failure(invalid, "waitTimeInMinutes must be from 0 to %d, not %d.", maxECSReadyWaitMinutes, wait)
	}
	return nil
}

// checkGroup checks how the settings of a group go together and with its platform (service.md 2.5).
func (a *API) checkGroup(ctx context.Context, info awsapi.DeploymentGroupInfo, given groupSettings) error {
	if _, err := a.configFor(ctx, *info.DeploymentConfigName, info.ComputePlatform); err != nil {
		return err
	}
	switch info.ComputePlatform {
	case awsapi.ComputePlatformECS:
		return checkECSGroup(info, given)
	case awsapi.ComputePlatformLambda:
		return checkLambdaGroup(info, given)
	}
	return checkServerGroup(info)
}

func checkServerGroup(info awsapi.DeploymentGroupInfo) error {
	if len(info.EcsServices) > 0 {
		return failure(awsapi.InvalidECSServiceException, "ecsServices is for the ECS platform; leave it out for the Server platform.")
	}
	lb, style := awsapi.Value(info.LoadBalancerInfo), awsapi.Value(info.DeploymentStyle)
	blueGreen := style.DeploymentType == awsapi.DeploymentTypeBlueGreen
	controlled := style.DeploymentOption == awsapi.DeploymentOptionWithTrafficControl
	switch {
	case blueGreen && !controlled:
		return failure(awsapi.InvalidDeploymentStyleException, "BLUE_GREEN needs the option WITH_TRAFFIC_CONTROL.")
	case controlled && len(lb.ElbInfoList) == 0 && len(lb.TargetGroupInfoList) == 0:
		return failure(awsapi.InvalidLoadBalancerInfoException, "WITH_TRAFFIC_CONTROL needs a load balancer or a target group in loadBalancerInfo.")
	case len(lb.TargetGroupPairInfoList) > 0:
		return failure(awsapi.InvalidTargetGroupPairException, "targetGroupPairInfoList is for the ECS platform; use targetGroupInfoList.")
	case blueGreen && (len(info.OnPremisesInstanceTagFilters) > 0 || info.OnPremisesTagSet != nil):
		return failure(awsapi.InvalidOnPremisesTagCombinationException, "On-premises instances cannot take part in BLUE_GREEN; deploy to them IN_PLACE.")
	}
	return checkServerBlueGreen(info.BlueGreenDeploymentConfiguration, len(info.AutoScalingGroups))
}

func checkServerBlueGreen(c *awsapi.BlueGreenDeploymentConfiguration, autoScalingGroups int) error {
	if c == nil {
		return nil
	}
	if wait := awsapi.Value(awsapi.Value(c.DeploymentReadyOption).WaitTimeInMinutes); wait > maxWaitMinutes {
		return failure(awsapi.InvalidBlueGreenDeploymentConfigurationException,
			"waitTimeInMinutes must be at most %d on the Server platform, not %d.", maxWaitMinutes, wait)
	}
	action := awsapi.Value(c.GreenFleetProvisioningOption).Action
	if action == awsapi.GreenFleetProvisioningActionCopyAutoScalingGroup && autoScalingGroups != 1 {
		return failure(awsapi.InvalidBlueGreenDeploymentConfigurationException,
			"COPY_AUTO_SCALING_GROUP needs exactly one Auto Scaling group, not %d.", autoScalingGroups)
	}
	return nil
}

func checkECSGroup(info awsapi.DeploymentGroupInfo, given groupSettings) error {
	if given.AutoScalingGroups != nil {
		return failure(awsapi.InvalidAutoScalingGroupException, "autoScalingGroups is for the Server platform; leave it out for ECS, even empty.")
	}
	if err := checkControlledStyle(info); err != nil {
		return err
	}
	blueGreen := awsapi.Value(info.BlueGreenDeploymentConfiguration)
	switch {
	case blueGreen.DeploymentReadyOption == nil || blueGreen.TerminateBlueInstancesOnDeploymentSuccess == nil:
		return failure(awsapi.InvalidBlueGreenDeploymentConfigurationException,
			"The ECS platform needs deploymentReadyOption and terminateBlueInstancesOnDeploymentSuccess.")
	case blueGreen.GreenFleetProvisioningOption != nil:
		return failure(awsapi.InvalidBlueGreenDeploymentConfigurationException, "greenFleetProvisioningOption is for the Server platform; leave it out for ECS.")
	case len(info.EcsServices) != 1 || awsapi.Value(info.EcsServices[0].ServiceName) == "":
		return failure(awsapi.InvalidECSServiceException, "The ECS platform needs exactly one service, with its name, in ecsServices.")
	}
	return checkTargetGroupPair(awsapi.Value(info.LoadBalancerInfo).TargetGroupPairInfoList)
}

func checkTargetGroupPair(pairs []awsapi.TargetGroupPairInfo) error {
	if len(pairs) == 1 {
		prod := awsapi.Value(pairs[0].ProdTrafficRoute).ListenerArns
		test := awsapi.Value(pairs[0].TestTrafficRoute).ListenerArns
		if len(pairs[0].TargetGroups) == 2 && len(prod) == 1 && len(test) <= 1 {
			return nil
		}
	}
	return failure(awsapi.InvalidTargetGroupPairException,
		"The ECS platform needs exactly one entry in targetGroupPairInfoList, with two target groups, one production listener and at most one test listener.")
}

func checkLambdaGroup(info awsapi.DeploymentGroupInfo, given groupSettings) error {
	switch {
	case len(info.Ec2TagFilters) > 0 || info.Ec2TagSet != nil:
		return failure(awsapi.InvalidEC2TagException, "The Lambda platform has no hosts; leave out the EC2 tags.")
	case len(info.OnPremisesInstanceTagFilters) > 0 || info.OnPremisesTagSet != nil:
		return failure(awsapi.InvalidTagException, "The Lambda platform has no hosts; leave out the on-premises tags.")
	case len(given.AutoScalingGroups) > 0:
		return failure(awsapi.InvalidAutoScalingGroupException, "The Lambda platform has no hosts; leave out autoScalingGroups.")
	case info.LoadBalancerInfo != nil:
		return failure(awsapi.InvalidLoadBalancerInfoException, "The Lambda platform has no load balancer; leave out loadBalancerInfo.")
	case len(info.EcsServices) > 0:
		return failure(awsapi.InvalidECSServiceException, "ecsServices is for the ECS platform; leave it out for Lambda.")
	}
	return checkControlledStyle(info)
}

// checkControlledStyle checks the one style of ECS and Lambda.
func checkControlledStyle(info awsapi.DeploymentGroupInfo) error {
	style := awsapi.Value(info.DeploymentStyle)
	if style.DeploymentType != awsapi.DeploymentTypeBlueGreen || style.DeploymentOption != awsapi.DeploymentOptionWithTrafficControl {
		return failure(awsapi.InvalidDeploymentStyleException, "The %s platform needs deploymentType BLUE_GREEN with deploymentOption WITH_TRAFFIC_CONTROL.", info.ComputePlatform)
	}
	return nil
}
