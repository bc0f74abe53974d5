package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// registered reports whether a host may be deployed to: the record of a deregistered one stays.
func registered(h store.Host) bool { return h.Info.DeregisterTime.IsZero() }

func (a *API) registerOnPremisesInstance(ctx context.Context, in *awsapi.RegisterOnPremisesInstanceInput) (*awsjson.Empty, error) {
	name, err := hostName(in.InstanceName)
	if err != nil {
		return nil, err
	}
	if err := checkIdentity(in); err != nil {
		return nil, err
	}
	err = a.store.RegisterHost(ctx, store.Host{Info: awsapi.InstanceInfo{
		InstanceName:  &name,
		IamUserArn:    in.IamUserArn,
		IamSessionArn: in.IamSessionArn,
		InstanceArn:   new(store.NewInstanceARN(a.arns.region, a.arns.account, name)),
		RegisterTime:  awsapi.At(time.Now()),
		Tags:          []awsapi.Tag{},
	}})
	if taken := (*store.ARNInUseError)(nil); errors.As(err, &taken) {
		return nil, identityTaken(in, taken.Host)
	}
	exists := failure(awsapi.InstanceNameAlreadyRegisteredException,
		"An on-premises instance named %s is registered already; take another name, or deregister that one first.", name)
	return nil, instead(err, store.ErrExists, exists, "register on-premises instance "+name)
}

// checkIdentity checks that there is exactly one ARN by which the host's agent will be known.
func checkIdentity(in *awsapi.RegisterOnPremisesInstanceInput) error {
	user, session := awsapi.Value(in.IamUserArn), awsapi.Value(in.IamSessionArn)
	switch {
	case user != "" && session != "":
		return failure(awsapi.MultipleIamArnsProvidedException, "Give either iamUserArn or iamSessionArn, not both.")
	case user == "" && session == "":
		return failure(awsapi.IamArnRequiredException, "iamUserArn or iamSessionArn is missing; give the one that the host's agent signs with.")
	case session != "" && !sessionPattern.MatchString(session):
		return failure(awsapi.InvalidIamSessionArnException, "iamSessionArn %q must look like arn:aws:sts::123456789012:assumed-role/ROLE/SESSION.", session)
	case user != "" && !userPattern.MatchString(user):
		return failure(awsapi.InvalidIamUserArnException, "iamUserArn %q must look like arn:aws:iam::123456789012:user/NAME.", user)
	}
	return nil
}

func identityTaken(in *awsapi.RegisterOnPremisesInstanceInput, host string) error {
	name := awsapi.IamUserArnAlreadyRegisteredException
	if awsapi.Value(in.IamSessionArn) != "" {
		name = awsapi.IamSessionArnAlreadyRegisteredException
	}
	return failure(name, "On-premises instance %s is registered with this ARN; give each instance one of its own, or deregister that one first.", host)
}

// deregisterOnPremisesInstance succeeds when there is no such host (service.md 2.2).
func (a *API) deregisterOnPremisesInstance(ctx context.Context, in *awsapi.DeregisterOnPremisesInstanceInput) (*awsjson.Empty, error) {
	name, err := hostName(in.InstanceName)
	if err != nil {
		return nil, err
	}
	deployments, err := a.store.DeregisterHost(ctx, name, time.Now())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("deregister on-premises instance %s: %w", name, err)
	}
	for _, id := range deployments {
		a.wake(id)
	}
	a.deregistered(name)
	return nil, nil
}

func (a *API) getOnPremisesInstance(ctx context.Context, in *awsapi.GetOnPremisesInstanceInput) (*awsapi.GetOnPremisesInstanceOutput, error) {
	name, err := hostName(in.InstanceName)
	if err != nil {
		return nil, err
	}
	host, err := a.host(ctx, name)
	if err != nil {
		return nil, err
	}
	return &awsapi.GetOnPremisesInstanceOutput{InstanceInfo: shownHost(host)}, nil
}

func (a *API) host(ctx context.Context, name string) (store.Host, error) {
	host, err := a.store.Host(ctx, name)
	return host, instead(err, store.ErrNotFound, instanceNotRegistered(name), "load on-premises instance "+name)
}

// shownHost is a host as clients see it: "aws deploy deregister" reads tags unguarded (service.md 9).
func shownHost(h store.Host) *awsapi.InstanceInfo {
	info := h.Info
	if info.Tags == nil {
		info.Tags = []awsapi.Tag{}
	}
	return &info
}

// batchGetOnPremisesInstances leaves out unknown names.
func (a *API) batchGetOnPremisesInstances(
	ctx context.Context, in *awsapi.BatchGetOnPremisesInstancesInput,
) (*awsapi.BatchGetOnPremisesInstancesOutput, error) {
	if err := each(in.InstanceNames, a.limits.BatchHosts, hostName); err != nil {
		return nil, err
	}
	out := &awsapi.BatchGetOnPremisesInstancesOutput{InstanceInfos: []awsapi.InstanceInfo{}}
	err := eachKnown(ctx, "on-premises instance", in.InstanceNames, a.store.Host, func(h store.Host) {
		out.InstanceInfos = append(out.InstanceInfos, *shownHost(h))
	})
	return out, err
}

func (a *API) listOnPremisesInstances(ctx context.Context, in *awsapi.ListOnPremisesInstancesInput) (*awsapi.ListOnPremisesInstancesOutput, error) {
	if err := oneOf(awsapi.InvalidRegistrationStatusException, "registrationStatus", in.RegistrationStatus); err != nil {
		return nil, err
	}
	if err := a.limits.checkFilters(awsapi.InvalidTagFilterException, in.TagFilters); err != nil {
		return nil, err
	}
	filters := *in
	filters.NextToken = nil
	p, err := a.pages.open(filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	hosts, err := a.store.Hosts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list on-premises instances: %w", err)
	}
	hosts = following(p, hosts, func(h store.Host) string { return *h.Info.InstanceName })
	out := new(awsapi.ListOnPremisesInstancesOutput)
	out.InstanceNames, out.NextToken = cut(p, selectHosts(hosts, in), itself)
	return out, nil
}

// selectHosts returns the names of the hosts that the filters let through. Tags are matched as a deployment group does.
func selectHosts(hosts []store.Host, in *awsapi.ListOnPremisesInstancesInput) []string {
	var selected []planner.Host
	for _, h := range hosts {
		status := awsapi.RegistrationStatusDeregistered
		if registered(h) {
			status = awsapi.RegistrationStatusRegistered
		}
		if in.RegistrationStatus == "" || in.RegistrationStatus == status {
			selected = append(selected, planner.Host{Name: *h.Info.InstanceName, Tags: h.Info.Tags})
		}
	}
	if len(in.TagFilters) > 0 {
		selected = planner.Select(awsapi.DeploymentGroupInfo{OnPremisesInstanceTagFilters: in.TagFilters}, selected)
	}
	var names []string
	for _, h := range selected {
		names = append(names, h.Name)
	}
	return names
}

func (a *API) addTagsToOnPremisesInstances(ctx context.Context, in *awsapi.AddTagsToOnPremisesInstancesInput) (*awsjson.Empty, error) {
	tags, err := a.limits.checkHostTags(in.Tags, in.InstanceNames)
	if err != nil {
		return nil, err
	}
	return nil, a.tagHosts(ctx, in.InstanceNames, store.TagChange{Add: tags, Limit: a.limits.HostTags})
}

func (a *API) removeTagsFromOnPremisesInstances(ctx context.Context, in *awsapi.RemoveTagsFromOnPremisesInstancesInput) (*awsjson.Empty, error) {
	tags, err := a.limits.checkHostTags(in.Tags, in.InstanceNames)
	if err != nil {
		return nil, err
	}
	return nil, a.tagHosts(ctx, in.InstanceNames, store.TagChange{Remove: tags, Limit: a.limits.HostTags})
}

// checkHostTags checks a call that changes the tags of hosts, and returns the tags as they are stored.
func (l Limits) checkHostTags(tags []awsapi.Tag, names []string) ([]awsapi.Tag, error) {
	if err := each(names, len(names), hostName); err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, missing(awsapi.TagRequiredException, "tags")
	}
	checked, err := hostTags(tags)
	if err == nil && len(names) > l.TaggedHosts {
		err = failure(awsapi.InstanceLimitExceededException, "The call names %d instances; it may name %d. Split it.", len(names), l.TaggedHosts)
	}
	return checked, err
}

// HostTags returns the tags that a new host is to have as they are stored, for those who make hosts in another way.
func (a *API) HostTags(tags []awsapi.Tag) ([]awsapi.Tag, error) {
	if most := a.limits.HostTags; len(tags) > most {
		return nil, failure(awsapi.TagLimitExceededException, "A host may have %d tags, and these are %d; leave some out.", most, len(tags))
	}
	return hostTags(tags)
}

// hostTags returns the tags with an absent value made empty, so that a key alone is the same tag however it is given.
func hostTags(tags []awsapi.Tag) ([]awsapi.Tag, error) {
	checked := make([]awsapi.Tag, len(tags))
	for i, tag := range tags {
		key, value := awsapi.Value(tag.Key), awsapi.Value(tag.Value)
		if !lengthWithin(key, 1, maxTagKey) || !lengthWithin(value, 0, maxTagValue) {
			return nil, failure(awsapi.InvalidTagException, "Tag key %q must have 1 to %d characters and its value at most %d.", key, maxTagKey, maxTagValue)
		}
		checked[i] = awsapi.Tag{Key: &key, Value: &value}
	}
	return checked, nil
}

// tagHosts changes the tags of all the hosts or of none.
func (a *API) tagHosts(ctx context.Context, names []string, change store.TagChange) error {
	err := a.store.TagHosts(ctx, names, change)
	if full := (*store.TagLimitError)(nil); errors.As(err, &full) {
		return failure(awsapi.TagLimitExceededException, "On-premises instance %s would have more than %d tags; remove some first.", full.Host, change.Limit)
	}
	if unknown := (*store.NotRegisteredError)(nil); errors.As(err, &unknown) {
		return instanceNotRegistered(unknown.Host)
	}
	if err != nil {
		return fmt.Errorf("change tags of on-premises instances: %w", err)
	}
	return nil
}
