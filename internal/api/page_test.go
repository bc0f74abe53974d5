package api_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// W16, W17: pages joined by their tokens are the whole list, without repeats.
func TestPagesJoinToTheWhole(t *testing.T) {
	t.Parallel()
	s := serve(t)
	want := names("app", 2*100+50)
	for _, name := range want {
		err := s.store.CreateApplication(t.Context(), application(name))
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	var token *string
	for page := 0; ; page++ {
		out := do[awsapi.ListApplicationsOutput](s, "ListApplications", awsapi.ListApplicationsInput{NextToken: token})
		got = append(got, out.Applications...)
		if token = out.NextToken; token == nil {
			break
		}
		if page > 3 {
			t.Fatal("the last page never comes")
		}
	}
	s.equal("applications", got, want)
	empty := serve(t)
	s.equal("an empty list", do[fields](empty, "ListApplications", fields{}), fields{"applications": []any{}}) // W16
}

// W18, W19
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	id := s.deployment("v1.zip", nil)
	s.decide(id)
	for _, name := range names("app", 101) {
		if err := s.store.CreateApplication(t.Context(), application(name)); err != nil {
			t.Fatal(err)
		}
	}
	token := *do[awsapi.ListApplicationsOutput](s, "ListApplications", fields{}).NextToken
	forged := []byte(token)
	forged[5] ^= 1
	paginated := []refusal{
		{"", "ListApplicationRevisions", fields{"applicationName": "shop"}, ""},
		{"", "ListApplications", fields{}, ""},
		{"", "ListDeploymentConfigs", fields{}, ""},
		{"", "ListDeploymentGroups", fields{"applicationName": "shop"}, ""},
		{"", "ListDeploymentInstances", fields{"deploymentId": id}, ""},
		{"", "ListDeployments", fields{}, ""},
		{"", "ListDeploymentTargets", fields{"deploymentId": id}, ""},
		{"", "ListOnPremisesInstances", fields{}, ""},
	}
	for _, bad := range []string{"", "garbage", "!", string(forged), base64.RawURLEncoding.EncodeToString(make([]byte, 40))} {
		for _, tt := range paginated {
			tt.in["nextToken"] = bad
			tt.name, tt.want = "W18 "+bad, "InvalidNextToken"
			s.refuse([]refusal{tt})
		}
	}
	for _, tt := range paginated {
		tt.in["nextToken"] = token
		tt.name, tt.want = "W19", "InvalidNextToken"
		if tt.operation == "ListApplications" {
			tt.want = ""
		}
		s.refuse([]refusal{tt})
	}
}

// W19: a token binds the filters, too.
func TestTokenOfAnotherFilter(t *testing.T) {
	t.Parallel()
	s := serve(t)
	hosts := names("web", 150)
	s.shop(hosts...)
	first := do[awsapi.ListOnPremisesInstancesOutput](s, "ListOnPremisesInstances", fields{"registrationStatus": "Registered"})
	s.equal("first page", first.InstanceNames, hosts[:100])
	s.refuse([]refusal{
		{"W19", "ListOnPremisesInstances", fields{"nextToken": *first.NextToken}, "InvalidNextToken"},
		{"W19", "ListOnPremisesInstances", fields{"registrationStatus": "Deregistered", "nextToken": *first.NextToken}, "InvalidNextToken"},
	})
	second := do[awsapi.ListOnPremisesInstancesOutput](s, "ListOnPremisesInstances", fields{"registrationStatus": "Registered", "nextToken": *first.NextToken})
	s.equal("second page", second.InstanceNames, hosts[100:])

	id := s.deployment("v1.zip", nil)
	s.decide(id)
	targets := do[awsapi.ListDeploymentTargetsOutput](s, "ListDeploymentTargets", fields{"deploymentId": id})
	rest := do[awsapi.ListDeploymentTargetsOutput](s, "ListDeploymentTargets", fields{"deploymentId": id, "nextToken": *targets.NextToken})
	all := append(targets.TargetIds, rest.TargetIds...)
	slices.Sort(all)
	s.equal("targets", all, hosts)
}

// D129 over several pages.
func TestDeploymentsNewestFirst(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	var want []string
	for range 120 {
		s.advance(time.Minute)
		id := s.deployment("v1.zip", nil)
		s.decide(id) // fails: there are no hosts
		want = append([]string{id}, want...)
	}
	first := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{})
	second := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{"nextToken": *first.NextToken})
	s.equal("deployments", append(first.Deployments, second.Deployments...), want)
}

func application(name string) store.Application {
	return store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: new(awsjson.UUID()), ApplicationName: &name, ComputePlatform: awsapi.ComputePlatformServer,
	}}
}
