package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"grapnel/internal/store"
)

// Limits bound what an account may have and what one call may name (service.md 12). A member that is 0 stands for AWS's own
// limit. Lengths of names, tags and descriptions are no limits of this kind: they belong to the protocol.
type Limits struct {
	// Counted in the store when something is created, over all servers that share it.
	Applications  int // ApplicationLimitExceeded
	Groups        int // of one application; DeploymentGroupLimitExceeded
	Configs       int // custom deployment configs; DeploymentConfigLimitExceeded
	Deployments   int // under way at once; DeploymentLimitExceeded, which a rollback never gets
	Instances     int // in one deployment, which fails with OVER_MAX_INSTANCES
	InstancesBusy int // in all deployments under way; DeploymentLimitExceeded
	HostTags      int // of one on-premises instance; TagLimitExceeded
	ResourceTags  int // of an application or a deployment group; InvalidTagsToAdd
	GitHubTokens  int // ResourceValidation, of our own PutGitHubAccountToken

	// Settings of a deployment group.
	TagGroups     int // in a tag set; TagSetListLimitExceeded
	TagFilters    int // in one group of filters; InvalidEC2Tag, InvalidTag
	AutoScaling   int // Auto Scaling groups; InvalidAutoScalingGroup
	Triggers      int // TriggerTargetsLimitExceeded
	Alarms        int // AlarmsLimitExceeded
	LoadBalancers int // InvalidLoadBalancerInfo
	TargetGroups  int // InvalidLoadBalancerInfo

	// Things named in one call; BatchLimitExceeded unless said otherwise.
	BatchApplications int // and deployment groups
	BatchRevisions    int
	BatchDeployments  int
	BatchTargets      int // DeploymentTargetListSizeExceeded; also instances, by the older name of the call
	BatchHosts        int // on-premises instances
	TaggedHosts       int // in a call that changes tags; InstanceLimitExceeded
}

// limit is a member of Limits as operators name it, with AWS's value.
type limit struct {
	name  string
	aws   int
	value func(*Limits) *int
}

var limits = []limit{
	{"applications", 1000, func(l *Limits) *int { return &l.Applications }},
	{"groups-per-application", 1000, func(l *Limits) *int { return &l.Groups }},
	{"deployment-configs", 200, func(l *Limits) *int { return &l.Configs }},
	{"deployments", 1000, func(l *Limits) *int { return &l.Deployments }},
	{"instances-per-deployment", 1000, func(l *Limits) *int { return &l.Instances }},
	{"instances-in-deployments", 1000, func(l *Limits) *int { return &l.InstancesBusy }},
	{"tags-per-instance", 10, func(l *Limits) *int { return &l.HostTags }},
	{"tags-per-resource", 50, func(l *Limits) *int { return &l.ResourceTags }},
	{"github-tokens", 25, func(l *Limits) *int { return &l.GitHubTokens }},
	{"tag-groups", 3, func(l *Limits) *int { return &l.TagGroups }},
	{"tag-filters", 10, func(l *Limits) *int { return &l.TagFilters }},
	{"auto-scaling-groups", 10, func(l *Limits) *int { return &l.AutoScaling }},
	{"triggers", 10, func(l *Limits) *int { return &l.Triggers }},
	{"alarms", 10, func(l *Limits) *int { return &l.Alarms }},
	{"load-balancers", 10, func(l *Limits) *int { return &l.LoadBalancers }},
	{"target-groups", 10, func(l *Limits) *int { return &l.TargetGroups }},
	{"batch-applications", 100, func(l *Limits) *int { return &l.BatchApplications }},
	{"batch-revisions", 25, func(l *Limits) *int { return &l.BatchRevisions }},
	{"batch-deployments", 25, func(l *Limits) *int { return &l.BatchDeployments }},
	{"batch-targets", 25, func(l *Limits) *int { return &l.BatchTargets }},
	{"batch-instances", 25, func(l *Limits) *int { return &l.BatchHosts }},
	{"tagged-instances", 100, func(l *Limits) *int { return &l.TaggedHosts }},
}

// Set sets limits from "NAME=N", or several of them between commas. It is, with String and Type, what makes Limits the value
// of a command line flag.
func (l *Limits) Set(text string) error {
	for _, setting := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(setting), "=")
		value := l.named(name)
		if value == nil {
			return fmt.Errorf("there is no limit %q; the limits, with AWS's values, are %s", name, l.Names())
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return fmt.Errorf("%q needs a number from 1 on, as in %s=%d", setting, name, *defaultLimits().named(name))
		}
		*value = n
	}
	return nil
}

// String returns the limits that were set, as Set takes them.
func (l *Limits) String() string {
	var set []string
	for _, known := range limits {
		if n := *known.value(l); n > 0 {
			set = append(set, fmt.Sprintf("%s=%d", known.name, n))
		}
	}
	return strings.Join(set, ",")
}

// Type tells users of the flag what to give.
func (*Limits) Type() string { return "NAME=N" }

// Names lists every limit with AWS's value.
func (*Limits) Names() string {
	l := defaultLimits()
	return strings.ReplaceAll(l.String(), ",", ", ")
}

// Quotas are the limits that the store keeps.
func (l Limits) Quotas() store.Quotas {
	l = l.complete()
	return store.Quotas{
		Applications: l.Applications, Groups: l.Groups, Configs: l.Configs, Deployments: l.Deployments, Targets: l.InstancesBusy,
		GitHubTokens: l.GitHubTokens,
	}
}

// complete returns the limits with AWS's for those that were not set.
func (l Limits) complete() Limits {
	for _, known := range limits {
		if n := known.value(&l); *n == 0 {
			*n = known.aws
		}
	}
	return l
}

func defaultLimits() *Limits { return new(Limits{}.complete()) }

// named returns the member with an operator's name, nil if there is none.
func (l *Limits) named(name string) *int {
	for _, known := range limits {
		if known.name == name {
			return known.value(l)
		}
	}
	return nil
}

// limited replaces a quota's error of the store by the operation's own.
func limited(err error, name, remedy string) error {
	if full := (*store.QuotaError)(nil); errors.As(err, &full) {
		return failure(name, "The limit on %s is %d; %s, or have the operator of the server raise it.", full.What, full.Most, remedy)
	}
	return err
}
