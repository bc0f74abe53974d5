package storetest

import (
	"errors"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

func applications(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Application(ctx, "app")
	fails(t, err, store.ErrNotFound)
	want := store.Application{
		Info: awsapi.ApplicationInfo{
			ApplicationId: ptr("1"), ApplicationName: ptr("app"), CreateTime: awsapi.At(begin), LinkedToGitHub: ptr(false),
			ComputePlatform: awsapi.ComputePlatformServer,
		},
		Tags: []awsapi.Tag{{Key: ptr("größe"), Value: ptr("<a&b>")}, {Key: ptr("only key")}},
	}
	ok(t, s.CreateApplication(ctx, want))
	got, err := s.Application(ctx, "app")
	ok(t, err)
	same(t, "application", got, want)
	want.Info.ApplicationId = ptr("2")
	fails(t, s.CreateApplication(ctx, want), store.ErrExists)

	for _, name := range []string{"b", "B", "a-1", "a1", "ä"} {
		newApplication(t, s, name)
	}
	all, err := s.Applications(ctx, "", 0)
	ok(t, err)
	same(t, "applications in byte order", all, []string{"B", "a-1", "a1", "app", "b", "ä"})
	page, err := s.Applications(ctx, "a-1", 2)
	ok(t, err)
	same(t, "page", page, []string{"a1", "app"})
}

func applicationRename(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "h")
	newApplication(t, s, "taken")
	a, err := s.Application(ctx, "app")
	ok(t, err)
	a.Info.ApplicationName = ptr("taken")
	fails(t, s.UpdateApplication(ctx, "app", a), store.ErrExists)
	a.Info.ApplicationName = ptr("new")
	fails(t, s.UpdateApplication(ctx, "none", a), store.ErrNotFound)
	ok(t, s.UpdateApplication(ctx, "app", a))

	got, err := s.Application(ctx, "new")
	ok(t, err)
	fails(t, s.UpdateApplication(ctx, "new", a), store.ErrConflict) // it was changed since
	a.Version++
	same(t, "renamed application", got, a)
	another := a
	another.Info.ApplicationId = ptr("of one that had the name before")
	fails(t, s.UpdateApplication(ctx, "new", another), store.ErrConflict)
	g, err := s.Group(ctx, "new", "g")
	ok(t, err)
	same(t, "application of the group", g.Info.ApplicationName, ptr("new"))
	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "application of the deployment", d.Info.ApplicationName, ptr("new"))
	revisions, err := s.Revisions(ctx, "new")
	ok(t, err)
	same(t, "number of revisions", len(revisions), 1)
	_, err = s.Application(ctx, "app")
	fails(t, err, store.ErrNotFound)
}

func applicationDelete(t *testing.T, s store.Store) {
	ctx := t.Context()
	fails(t, s.DeleteApplication(ctx, "app"), store.ErrNotFound)
	started(t, s, "d-1", "h")
	ok(t, s.DeleteApplication(ctx, "app"))
	_, err := s.Deployment(ctx, "d-1")
	fails(t, err, store.ErrNotFound)
	_, err = s.Command(ctx, workOf("d-1", 0, "h").ID)
	fails(t, err, store.ErrNotFound)
	_, err = s.Group(ctx, "app", "g")
	fails(t, err, store.ErrNotFound)

	newApplication(t, s, "app")
	revisions, err := s.Revisions(ctx, "app")
	ok(t, err)
	same(t, "revisions of the new application", len(revisions), 0)
}

func ecsServices(t *testing.T, s store.Store) {
	ctx := t.Context()
	newApplication(t, s, "app")
	newApplication(t, s, "other")
	serving := func(application, name, cluster, service string) store.Group {
		g := groupOf(application, name)
		g.Info.EcsServices = []awsapi.ECSService{{ClusterName: &cluster, ServiceName: &service}}
		return g
	}
	taken := func(err error, group string) {
		t.Helper()
		var e *store.ServiceTakenError
		if !errors.As(err, &e) || e.Application != "app" || e.Group != group {
			t.Errorf("got %v, want an error that names group %s", err, group)
		}
	}
	first := serving("app", "g1", "web", "shop")
	ok(t, s.CreateGroup(ctx, first))
	ok(t, s.UpdateGroup(ctx, "app", "g1", first)) // its own service is no other's
	moved := serving("app", "g1", "web", "pay")
	moved.Version = first.Version + 1
	taken(s.CreateGroup(ctx, serving("other", "g2", "arn:aws:ecs:us-east-1:1:cluster/web", "arn:aws:ecs:us-east-1:1:service/web/shop")), "g1")
	_, err := s.Group(ctx, "other", "g2")
	fails(t, err, store.ErrNotFound)

	ok(t, s.CreateGroup(ctx, serving("other", "g2", "", "shop")))
	taken(s.UpdateGroup(ctx, "other", "g2", serving("other", "g2", "web", "shop")), "g1")
	ok(t, s.UpdateGroup(ctx, "app", "g1", moved))
	ok(t, s.UpdateGroup(ctx, "other", "g2", serving("other", "g2", "web", "shop")))
	ok(t, s.DeleteGroup(ctx, "app", "g1"))
	ok(t, s.CreateGroup(ctx, serving("app", "g3", "web", "pay")))
}

func groups(t *testing.T, s store.Store) {
	ctx := t.Context()
	fails(t, s.CreateGroup(ctx, groupOf("app", "g")), store.ErrNotFound)
	newApplication(t, s, "app")
	newApplication(t, s, "other")
	want := groupOf("app", "g")
	want.Tags = []awsapi.Tag{{Key: ptr("k"), Value: ptr("v")}}
	want.Info.TriggerConfigurations = []awsapi.TriggerConfig{}
	want.Info.OnPremisesInstanceTagFilters = []awsapi.TagFilter{{Key: ptr("k"), Type: awsapi.TagFilterTypeKeyOnly}}
	given := want
	given.Info.TargetRevision = ptr(bundle("v0"))
	given.Info.LastAttemptedDeployment = &awsapi.LastDeploymentInfo{DeploymentId: ptr("d-0")}
	ok(t, s.CreateGroup(ctx, given))
	got, err := s.Group(ctx, "app", "g")
	ok(t, err)
	same(t, "group, without what the engine moves", got, want)

	again := groupOf("app", "g")
	again.Info.DeploymentGroupId = ptr("another")
	fails(t, s.CreateGroup(ctx, again), store.ErrExists)
	again.Info.ApplicationName = ptr("other")
	ok(t, s.CreateGroup(ctx, again))
	newGroup(t, s, "app", "f")
	newGroup(t, s, "app", "h")

	want.Info.DeploymentGroupName = ptr("h")
	fails(t, s.UpdateGroup(ctx, "app", "g", want), store.ErrExists)
	want.Info.DeploymentGroupName = ptr("new")
	want.Info.OnPremisesInstanceTagFilters = nil
	fails(t, s.UpdateGroup(ctx, "app", "none", want), store.ErrNotFound)
	ok(t, s.UpdateGroup(ctx, "app", "g", want))
	got, err = s.Group(ctx, "app", "new")
	ok(t, err)
	fails(t, s.UpdateGroup(ctx, "app", "new", want), store.ErrConflict) // it was changed since
	want.Version++
	same(t, "renamed group", got, want)

	list, err := s.Groups(ctx, "app", "", 0)
	ok(t, err)
	same(t, "groups", list, []string{"f", "h", "new"})
	page, err := s.Groups(ctx, "app", "f", 1)
	ok(t, err)
	same(t, "page", page, []string{"h"})
}

func groupDelete(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "h")
	state := loaded(t, s, "d-1")
	ok(t, s.DeleteGroup(ctx, "app", "g"))
	fails(t, s.DeleteGroup(ctx, "app", "g"), store.ErrNotFound)
	_, err := s.Deployment(ctx, "d-1")
	fails(t, err, store.ErrNotFound)
	fails(t, s.Commit(ctx, end(state, deploy.Succeeded, deploy.TargetSucceeded)), store.ErrNotFound)
	live, err := s.Live(ctx)
	ok(t, err)
	same(t, "live deployments", len(live), 0)
}

func configs(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Config(ctx, "c")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteConfig(ctx, "c"), store.ErrNotFound)
	want := awsapi.DeploymentConfigInfo{
		DeploymentConfigId: ptr("1"), DeploymentConfigName: ptr("c"), CreateTime: awsapi.At(begin),
		ComputePlatform:     awsapi.ComputePlatformServer,
		MinimumHealthyHosts: &awsapi.MinimumHealthyHosts{Type: awsapi.MinimumHealthyHostsTypeHostCount, Value: ptr(int64(0))},
	}
	ok(t, s.CreateConfig(ctx, want))
	fails(t, s.CreateConfig(ctx, want), store.ErrExists)
	got, err := s.Config(ctx, "c")
	ok(t, err)
	same(t, "config", got, want)
	ok(t, s.CreateConfig(ctx, awsapi.DeploymentConfigInfo{DeploymentConfigName: ptr("b")}))
	list, err := s.Configs(ctx, "", 0)
	ok(t, err)
	same(t, "configs", list, []string{"b", "c"})
	page, err := s.Configs(ctx, "b", 5)
	ok(t, err)
	same(t, "page", page, []string{"c"})
	ok(t, s.DeleteConfig(ctx, "c"))
}

func configInUse(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"of group", "of deployment"} {
		ok(t, s.CreateConfig(ctx, awsapi.DeploymentConfigInfo{DeploymentConfigName: ptr(name)}))
	}
	newApplication(t, s, "app")
	g := groupOf("app", "g")
	g.Info.DeploymentConfigName = ptr("of group")
	ok(t, s.CreateGroup(ctx, g))
	d := deploymentOf("d-1", "h")
	d.Info.DeploymentConfigName = ptr("of deployment")
	ok(t, s.CreateDeployment(ctx, d))
	fails(t, s.DeleteConfig(ctx, "of group"), store.ErrInUse)
	fails(t, s.DeleteConfig(ctx, "of deployment"), store.ErrInUse)
	_, err := s.Config(ctx, "of group")
	ok(t, err)

	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Stopped, deploy.TargetSkipped)))
	ok(t, s.DeleteConfig(ctx, "of deployment"))
	fails(t, s.UpdateGroup(ctx, "app", "g", custom(g, "of deployment")), store.ErrNoConfig)
	ok(t, s.DeleteGroup(ctx, "app", "g"))
	ok(t, s.DeleteConfig(ctx, "of group"))
	fails(t, s.CreateGroup(ctx, g), store.ErrNoConfig) // its config was deleted meanwhile
}

func custom(g store.Group, config string) store.Group {
	g.Info.DeploymentConfigName = &config
	return g
}

func revisions(t *testing.T, s store.Store) {
	ctx := t.Context()
	r := store.Revision{Key: "k1", Location: bundle("one"), Info: awsapi.GenericRevisionInfo{
		Description: ptr("first"), RegisterTime: awsapi.At(after(time.Hour)),
	}}
	fails(t, s.RegisterRevision(ctx, "app", r), store.ErrNotFound)
	newApplication(t, s, "app")
	newApplication(t, s, "other")
	ok(t, s.RegisterRevision(ctx, "app", r))
	got, err := s.Revision(ctx, "app", "k1")
	ok(t, err)
	same(t, "revision", got, r)
	_, err = s.Revision(ctx, "other", "k1")
	fails(t, err, store.ErrNotFound)

	again := r
	again.Info = awsapi.GenericRevisionInfo{Description: ptr("second"), RegisterTime: awsapi.At(after(2 * time.Hour))}
	ok(t, s.RegisterRevision(ctx, "app", again))
	early := store.Revision{Key: "k2", Location: bundle("two"), Info: awsapi.GenericRevisionInfo{RegisterTime: awsapi.At(begin)}}
	ok(t, s.RegisterRevision(ctx, "app", early))
	r.Info.Description = ptr("second")
	all, err := s.Revisions(ctx, "app")
	ok(t, err)
	same(t, "revisions by registerTime", all, []store.Revision{early, r})
}

func revisionOfDeployment(t *testing.T, s store.Store) {
	ctx := t.Context()
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	first := deploymentOf("d-1", "h")
	ok(t, s.CreateDeployment(ctx, first))
	key := first.RevisionKey
	got, err := s.Revision(ctx, "app", key)
	ok(t, err)
	same(t, "revision that was unknown", got, store.Revision{Key: key, Location: bundle("v1"), Info: awsapi.GenericRevisionInfo{
		Description:  ptr("Application revision registered by Deployment ID: d-1"),
		RegisterTime: awsapi.At(begin), FirstUsedTime: awsapi.At(begin), LastUsedTime: awsapi.At(begin),
	}})

	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Succeeded, deploy.TargetSucceeded)))
	ok(t, s.RegisterRevision(ctx, "app", store.Revision{Key: key, Location: bundle("v1"), Info: awsapi.GenericRevisionInfo{Description: ptr("mine")}}))
	second := deploymentOf("d-2", "h")
	second.Info.CreateTime = awsapi.At(after(2 * time.Hour))
	ok(t, s.CreateDeployment(ctx, second))
	got, err = s.Revision(ctx, "app", key)
	ok(t, err)
	same(t, "revision used twice", got.Info, awsapi.GenericRevisionInfo{
		Description: ptr("mine"), DeploymentGroups: []string{"g"}, RegisterTime: awsapi.At(begin),
		FirstUsedTime: awsapi.At(begin), LastUsedTime: awsapi.At(after(2 * time.Hour)),
	})
}

func hostOf(name string) store.Host {
	return store.Host{Info: awsapi.InstanceInfo{
		InstanceName: ptr(name), IamUserArn: ptr("arn:aws:iam::000000000000:user/" + name), InstanceArn: ptr("arn of " + name),
		RegisterTime: awsapi.At(begin), Tags: []awsapi.Tag{},
	}}
}

func hosts(t *testing.T, s store.Store) {
	ctx := t.Context()
	want := hostOf("web1")
	ok(t, s.RegisterHost(ctx, want))
	got, err := s.Host(ctx, "web1")
	ok(t, err)
	same(t, "host", got, want)
	_, err = s.Host(ctx, "web2")
	fails(t, err, store.ErrNotFound)

	fails(t, s.RegisterHost(ctx, want), store.ErrExists)
	other := hostOf("web1")
	other.Info.IamUserArn = ptr("arn:aws:iam::000000000000:user/other")
	fails(t, s.RegisterHost(ctx, other), store.ErrExists)

	deregister(t, s, "web2", store.ErrNotFound)
	ok(t, s.HostsSeen(ctx, []store.Presence{{Host: "web1", At: begin, Agent: "1.8.1"}}))
	deregister(t, s, "web1", nil)
	deregister(t, s, "web1", store.ErrNotFound)
	got, err = s.Host(ctx, "web1")
	ok(t, err)
	same(t, "times of a deregistered host", []time.Time{got.Info.RegisterTime.Time, got.Info.DeregisterTime.Time},
		[]time.Time{begin, after(time.Hour)})

	ok(t, s.RegisterHost(ctx, other))
	ok(t, s.RegisterHost(ctx, hostOf("app1")))
	all, err := s.Hosts(ctx)
	ok(t, err)
	same(t, "hosts, one of them registered anew", all, []store.Host{hostOf("app1"), other})
}

func hostARN(t *testing.T, s store.Store) {
	ctx := t.Context()
	session := hostOf("session")
	session.Info.IamUserArn, session.Info.IamSessionArn = nil, ptr("arn:aws:sts::000000000000:assumed-role/r/session")
	ok(t, s.RegisterHost(ctx, session))
	ok(t, s.RegisterHost(ctx, hostOf("web1")))
	thief := hostOf("thief")
	thief.Info.IamUserArn = hostOf("web1").Info.IamUserArn
	var inUse *store.ARNInUseError
	if err := s.RegisterHost(ctx, thief); !errors.As(err, &inUse) || inUse.Host != "web1" {
		t.Fatalf("got error %v, want one that names web1", err)
	}
	for arn, want := range map[string]string{
		*session.Info.IamSessionArn: "session",
		*thief.Info.IamUserArn:      "web1",
	} {
		h, err := s.HostByARN(ctx, arn)
		ok(t, err)
		same(t, "host with ARN "+arn, h.Info.InstanceName, &want)
	}
	_, err := s.HostByARN(ctx, "arn:aws:iam::000000000000:user/WEB1")
	fails(t, err, store.ErrNotFound)
	_, err = s.HostByARN(ctx, "arn:aws:iam::000000000000:user/web")
	fails(t, err, store.ErrNotFound)

	deregister(t, s, "web1", nil)
	_, err = s.HostByARN(ctx, *thief.Info.IamUserArn)
	fails(t, err, store.ErrNotFound)
	ok(t, s.RegisterHost(ctx, thief))
}

func tag(key, value string) awsapi.Tag { return awsapi.Tag{Key: ptr(key), Value: ptr(value)} }

func hostTags(t *testing.T, s store.Store) {
	ctx := t.Context()
	ok(t, s.RegisterHost(ctx, hostOf("a")))
	ok(t, s.RegisterHost(ctx, hostOf("b")))
	ok(t, s.TagHosts(ctx, []string{"a"}, store.TagChange{Add: []awsapi.Tag{tag("k", "1")}, Limit: 3}))
	ok(t, s.TagHosts(ctx, []string{"a", "b"}, store.TagChange{Add: []awsapi.Tag{tag("k", "1"), tag("k", "2"), {Key: ptr("bare")}}, Limit: 3}))
	tags := func(host string) []awsapi.Tag {
		h, err := s.Host(ctx, host)
		ok(t, err)
		return h.Info.Tags
	}
	want := []awsapi.Tag{tag("k", "1"), tag("k", "2"), {Key: ptr("bare")}}
	same(t, "tags of a", tags("a"), want)

	var limit *store.TagLimitError
	ok(t, s.TagHosts(ctx, []string{"b"}, store.TagChange{Remove: []awsapi.Tag{{Key: ptr("bare")}}, Limit: 3}))
	if err := s.TagHosts(ctx, []string{"b", "a"}, store.TagChange{Add: []awsapi.Tag{tag("more", "")}, Limit: 3}); !errors.As(err, &limit) || limit.Host != "a" {
		t.Fatalf("got error %v, want one that names a", err)
	}
	var unknown *store.NotRegisteredError
	if err := s.TagHosts(ctx, []string{"b", "none"}, store.TagChange{Add: []awsapi.Tag{tag("more", "")}, Limit: 3}); !errors.As(err, &unknown) || unknown.Host != "none" {
		t.Fatalf("got error %v, want one that names none", err)
	}
	same(t, "tags of b, changed together or not at all", tags("b"), []awsapi.Tag{tag("k", "1"), tag("k", "2")})

	ok(t, s.TagHosts(ctx, []string{"a"}, store.TagChange{Remove: []awsapi.Tag{tag("k", "2"), tag("bare", ""), tag("k", "none")}, Limit: 3}))
	same(t, "tags of a after removal", tags("a"), []awsapi.Tag{tag("k", "1")})
	deregister(t, s, "a", nil)
	same(t, "tags of a deregistered host", tags("a"), []awsapi.Tag{tag("k", "1")})
	if err := s.TagHosts(ctx, []string{"a"}, store.TagChange{Limit: 3}); !errors.As(err, &unknown) || unknown.Host != "a" {
		t.Fatalf("got error %v, want one that names the deregistered host", err)
	}
}

func hostsSeen(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c"} {
		ok(t, s.RegisterHost(ctx, hostOf(name)))
	}
	ok(t, s.HostsSeen(ctx, nil))
	ok(t, s.HostsSeen(ctx, []store.Presence{
		{Host: "b", At: after(time.Minute), Agent: "2"}, {Host: "unknown", At: begin}, {Host: "a", At: after(time.Hour), Agent: "1"},
	}))
	ok(t, s.HostsSeen(ctx, []store.Presence{{Host: "a", At: after(time.Minute), Agent: "0"}}))
	all, err := s.Hosts(ctx)
	ok(t, err)
	for i, want := range []store.Host{{LastSeen: after(time.Hour), Agent: "1"}, {LastSeen: after(time.Minute), Agent: "2"}, {}} {
		same(t, "presence", store.Host{LastSeen: all[i].LastSeen, Agent: all[i].Agent}, want)
	}
}

// deregister deregisters a host that has no Work, or fails so.
func deregister(t *testing.T, s store.Store, name string, want error) {
	t.Helper()
	deployments, err := s.DeregisterHost(t.Context(), name, after(time.Hour))
	if want != nil {
		fails(t, err, want)
		return
	}
	ok(t, err)
	same(t, "deployments of a host without Work", len(deployments), 0)
}

func deregisterAtWork(t *testing.T, s store.Store) {
	ctx := t.Context()
	ok(t, s.RegisterHost(ctx, hostOf("running")))
	started(t, s, "d-1", "running", "other")
	_, _, err := s.Acknowledge(ctx, workOf("d-1", 0, "running").ID, false, after(time.Minute))
	ok(t, err)
	deployments, err := s.DeregisterHost(ctx, "running", after(time.Hour))
	ok(t, err)
	same(t, "deployments", deployments, []string{"d-1"})
	status := map[string]deploy.WorkStatus{}
	for _, w := range loaded(t, s, "d-1").Work {
		status[w.Target] = w.Status
	}
	same(t, "Work", status, map[string]deploy.WorkStatus{"running": deploy.WorkFailed, "other": deploy.WorkPending})
}
