package api_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
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
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop()
		var want []string
		for range 120 {
			time.Sleep(time.Minute)
			id := s.deployment("v1.zip", nil)
			s.decide(id) // fails: there are no hosts
			want = append([]string{id}, want...)
		}
		first := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{})
		second := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{"nextToken": *first.NextToken})
		s.equal("deployments", append(first.Deployments, second.Deployments...), want)
	})
}

// W17: what was shown last may leave the filter before the next page is asked for.
func TestPagesGoOnWhereTheFilterHasMoved(t *testing.T) {
	t.Parallel()
	s := serve(t)
	hosts := names("web", 130)
	s.shop(hosts...)
	s.succeed(s.deployment("v1.zip", fields{"deploymentConfigName": "CodeDeployDefault.AllAtOnce"})) // begins on all
	list := func(operation, member string, in fields, leave func(last string)) {
		s.Helper()
		first := do[fields](s, operation, in)
		shown := first[member].([]any)
		leave(shown[len(shown)-1].(string))
		in["nextToken"] = first["nextToken"]
		second := do[fields](s, operation, in)
		if got := len(shown) + len(second[member].([]any)); got != len(hosts) || second["nextToken"] != nil {
			t.Errorf("%s: the pages have %d entries, want %d", operation, got, len(hosts))
		}
	}
	ids := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{}).Deployments
	list("ListDeploymentTargets", "targetIds", fields{"deploymentId": ids[0], "targetFilters": fields{"TargetStatus": []string{"InProgress"}}},
		func(last string) {
			s.work(ids[0], last, deploy.WorkFailed, deploy.Diagnostics{ErrorCode: "ScriptFailed"})
		})
	list("ListOnPremisesInstances", "instanceNames", fields{"registrationStatus": "Registered"},
		func(last string) { do[fields](s, "DeregisterOnPremisesInstance", fields{"instanceName": last}) })
}

// A revision that has become a target revision is no longer among those that are not deployed.
func TestPagesOfRevisionsGoOn(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	for _, key := range names("v", 130) {
		do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": bundle(key)})
	}
	in := fields{"applicationName": "shop", "deployed": "exclude"}
	first := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", in)
	s.succeed(s.deployment(*first.Revisions[99].S3Location.Key, nil), "web1")
	in["nextToken"] = *first.NextToken
	second := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", in)
	s.equal("revisions of the second page", len(second.Revisions), 30)
}

// The list of deployments goes on when the one shown last has gone with its group.
func TestPagesOfDeploymentsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop()
		do[fields](s, "CreateDeploymentGroup", group("shop", "gone", nil))
		for i := range 120 {
			time.Sleep(time.Minute)
			name := "prod"
			if i == 20 {
				name = "gone"
			}
			s.decide(s.deployment("v1.zip", fields{"deploymentGroupName": name}))
		}
		first := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{})
		do[fields](s, "DeleteDeploymentGroup", fields{"applicationName": "shop", "deploymentGroupName": "gone"})
		second := do[awsapi.ListDeploymentsOutput](s, "ListDeployments", fields{"nextToken": *first.NextToken})
		s.equal("deployments of the second page", len(second.Deployments), 20)
	})
}

func application(name string) store.Application {
	return store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: new(awsjson.UUID()), ApplicationName: &name, ComputePlatform: awsapi.ComputePlatformServer,
	}}
}
