package storetest

import (
	"errors"
	"fmt"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// RunQuotas runs the part of the suite that a store with quotas must pass. open returns an empty store.
func RunQuotas(t *testing.T, open func(t *testing.T, q store.Quotas) store.Store) {
	for _, test := range []struct {
		name   string
		quotas store.Quotas
		run    func(*testing.T, store.Store)
	}{
		{"Settings", store.Quotas{Applications: 2, Groups: 2, Configs: 2, GitHubTokens: 2}, settingsQuotas},
		{"Deployments", store.Quotas{Deployments: 2, Targets: 5}, deploymentQuotas},
		{"SettingsRace", store.Quotas{Applications: places, Groups: places}, settingsQuotaRace},
		{"DeploymentRace", store.Quotas{Deployments: places}, deploymentQuotaRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t, test.quotas))
		})
	}
}

// full demands a *store.QuotaError that names the bound.
func full(t *testing.T, err error, most int) {
	t.Helper()
	var quota *store.QuotaError
	if !errors.As(err, &quota) || quota.Most != most || quota.What == "" {
		t.Fatalf("got error %v, want a quota of %d", err, most)
	}
}

func settingsQuotas(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		newApplication(t, s, name)
		newGroup(t, s, "a", name)
		ok(t, s.CreateConfig(ctx, awsapi.DeploymentConfigInfo{DeploymentConfigName: &name}))
		ok(t, s.PutGitHubToken(ctx, store.GitHubToken{Name: name, Sealed: []byte("1")}, ""))
	}
	third := store.Application{Info: awsapi.ApplicationInfo{ApplicationId: ptr("3"), ApplicationName: ptr("c")}}
	full(t, s.CreateApplication(ctx, third), 2)
	full(t, s.CreateGroup(ctx, groupOf("a", "c")), 2)
	full(t, s.CreateConfig(ctx, awsapi.DeploymentConfigInfo{DeploymentConfigName: ptr("c")}), 2)
	full(t, s.PutGitHubToken(ctx, store.GitHubToken{Name: "c", Sealed: []byte("1")}, ""), 2)
	ok(t, s.PutGitHubToken(ctx, store.GitHubToken{Name: "b", Sealed: []byte("2")}, "")) // one that is there may be replaced

	again := groupOf("a", "b")
	again.Info.DeploymentGroupId = ptr("another")
	fails(t, s.CreateGroup(ctx, again), store.ErrExists) // rather than that there are too many
	newGroup(t, s, "b", "c")                             // the other application has room
	ok(t, s.DeleteApplication(ctx, "b"))
	ok(t, s.CreateApplication(ctx, third))
	names, err := s.Applications(ctx, "", 0)
	ok(t, err)
	same(t, "applications", names, []string{"a", "c"})
}

func deploymentQuotas(t *testing.T, s store.Store) {
	ctx := t.Context()
	newApplication(t, s, "app")
	create := func(id string, targets ...string) error {
		newGroup(t, s, "app", "group of "+id)
		d := deploymentOf(id, targets...)
		d.GroupID = "id of group of " + id
		return s.CreateDeployment(ctx, d)
	}
	ok(t, create("d-1", "a", "b"))
	full(t, create("d-2", "a", "b", "c", "d"), 5)
	ok(t, create("d-3", "a", "b", "c"))
	full(t, create("d-4"), 2)
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)))
	ok(t, create("d-5", "a", "b"))
	same(t, "a refused deployment has a trace", s.StopDeployment(ctx, "d-2", deploy.Stop{At: begin}) == nil, false)

	// What rolls back takes the place of what has failed: no quota may stand in its way.
	failed := loaded(t, s, "d-5")
	back := deploymentOf("d-6", "a", "b", "c", "d", "e", "f")
	back.GroupID, back.Facts.RollbackOf = "id of group of d-5", "d-5"
	round := end(failed, deploy.Failed, deploy.TargetFailed)
	round.Rollback = &back
	ok(t, s.Commit(ctx, round))
}

// The sides of a race for the last places, as several servers are that share a database.
const (
	rivals = 12
	places = 3
)

// race lets all rivals create at once and demands that as many are refused as find no place.
func race(t *testing.T, create func(i int) error) {
	t.Helper()
	refused := 0
	for _, err := range together(rivals, create) {
		if err != nil {
			full(t, err, places)
			refused++
		}
	}
	same(t, "refused", refused, rivals-places)
}

func settingsQuotaRace(t *testing.T, s store.Store) {
	race(t, func(i int) error {
		return s.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
			ApplicationId: ptr(fmt.Sprint("id of ", i)), ApplicationName: ptr(fmt.Sprint("app", i))}})
	})
	names, err := s.Applications(t.Context(), "", 0)
	ok(t, err)
	race(t, func(i int) error { return s.CreateGroup(t.Context(), groupOf(names[0], fmt.Sprint("g", i))) })
}

func deploymentQuotaRace(t *testing.T, s store.Store) {
	newApplication(t, s, "app")
	groups := names("g", rivals)
	for _, name := range groups {
		newGroup(t, s, "app", name)
	}
	race(t, func(i int) error {
		d := deploymentOf(fmt.Sprint("d-", i), "h")
		d.GroupID = "id of " + groups[i]
		return s.CreateDeployment(t.Context(), d)
	})
}
