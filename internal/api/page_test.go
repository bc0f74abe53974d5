package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// A token is good for a day.
func TestTokensExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill(names("app", 101))
		token := *do[awsapi.ListApplicationsOutput](s, "ListApplications", fields{}).NextToken
		time.Sleep(24*time.Hour - time.Second)
		last := do[awsapi.ListApplicationsOutput](s, "ListApplications", fields{"nextToken": token})
		s.equal("applications of the last page", len(last.Applications), 1)
		time.Sleep(time.Second)
		s.refuse([]refusal{{"after a day", "ListApplications", fields{"nextToken": token}, "InvalidNextToken"}})
	})
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

// fill stores applications.
func (s *service) fill(names []string) {
	s.Helper()
	for _, name := range names {
		if err := s.store.CreateApplication(s.Context(), application(name)); err != nil {
			s.Fatal(err)
		}
	}
}

func application(name string) store.Application {
	return store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: new(awsjson.UUID()), ApplicationName: &name, ComputePlatform: awsapi.ComputePlatformServer,
	}}
}
