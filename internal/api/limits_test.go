package api_test

import (
	"sync"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// fill stores many things at once: the store commits them in groups.
func (s *service) fill(names []string, create func(name string) error) {
	s.Helper()
	var calls sync.WaitGroup
	for _, name := range names {
		calls.Go(func() {
			if err := create(name); err != nil {
				s.Error(err)
			}
		})
	}
	calls.Wait()
}

// The limits of service.md 12.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx := t.Context()
	s.fill(names("app", 999), func(name string) error { return s.store.CreateApplication(ctx, application(name)) })
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	s.fill(names("g", 999), func(name string) error {
		return s.store.CreateGroup(ctx, store.Group{Info: awsapi.DeploymentGroupInfo{
			ApplicationName: new("shop"), DeploymentGroupId: &name, DeploymentGroupName: &name,
			DeploymentConfigName: new("CodeDeployDefault.OneAtATime"), ComputePlatform: awsapi.ComputePlatformServer}})
	})
	do[fields](s, "CreateDeploymentGroup", group("shop", "prod", nil))
	s.fill(names("c", 199), func(name string) error {
		return s.store.CreateConfig(ctx, awsapi.DeploymentConfigInfo{DeploymentConfigId: &name, DeploymentConfigName: &name})
	})
	config := func(name string) fields {
		return fields{"deploymentConfigName": name, "minimumHealthyHosts": fields{"type": "HOST_COUNT", "value": 1}}
	}
	do[fields](s, "CreateDeploymentConfig", config("last"))
	s.refuse([]refusal{
		{"1001 applications", "CreateApplication", fields{"applicationName": "more"}, "ApplicationLimitExceeded"},
		{"1001 groups", "CreateDeploymentGroup", group("shop", "more", nil), "DeploymentGroupLimitExceeded"},
		{"201 configs", "CreateDeploymentConfig", config("more"), "DeploymentConfigLimitExceeded"},
	})
	first := do[awsapi.ListDeploymentConfigsOutput](s, "ListDeploymentConfigs", fields{})
	second := do[awsapi.ListDeploymentConfigsOutput](s, "ListDeploymentConfigs", fields{"nextToken": *first.NextToken})
	third := do[awsapi.ListDeploymentConfigsOutput](s, "ListDeploymentConfigs", fields{"nextToken": *second.NextToken})
	all := append(append(first.DeploymentConfigsList, second.DeploymentConfigsList...), third.DeploymentConfigsList...)
	want := append([]string{}, do[awsapi.ListDeploymentConfigsOutput](serve(t), "ListDeploymentConfigs", fields{}).DeploymentConfigsList...)
	s.equal("pages of predefined and custom configs", all, append(append(want, names("c", 199)...), "last"))
}
