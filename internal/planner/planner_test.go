package planner

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
)

var everyHost = awsapi.DeploymentGroupInfo{OnPremisesInstanceTagFilters: []awsapi.TagFilter{{Value: new("*"), Type: awsapi.TagFilterTypeValueOnly}}}

func config(name string) awsapi.DeploymentConfigInfo {
	all := Predefined()
	return all[slices.IndexFunc(all, func(c awsapi.DeploymentConfigInfo) bool { return *c.DeploymentConfigName == PredefinedPrefix+name })]
}

func hosts(names ...string) []Host {
	var all []Host
	for _, n := range names {
		all = append(all, Host{Name: n, Tags: []awsapi.Tag{{Key: new("name"), Value: &n}}})
	}
	return all
}

// More hosts than a deployment may have: the plan has none of them, and tells how many there were.
func TestCompileTooManyHosts(t *testing.T) {
	t.Parallel()
	r := Request{Group: everyHost, Config: config("AllAtOnce"), Hosts: hosts("a", "b", "c"), MaxTargets: 2}
	plan, err := Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := (deploy.Excess{Selected: 3, Most: 2}); plan.Excess != want || len(plan.TargetIDs()) > 0 {
		t.Errorf("got %+v with targets %v, want %+v without", plan.Excess, plan.TargetIDs(), want)
	}
	r.MaxTargets = 3
	if plan, err = Compile(r); err != nil || plan.Excess != (deploy.Excess{}) || len(plan.TargetIDs()) != 3 {
		t.Errorf("three hosts where three may be: %+v, %v", plan, err)
	}
}

func TestCompileInPlace(t *testing.T) {
	t.Parallel()
	got, err := Compile(Request{Group: everyHost, Config: config("HalfAtATime"), Hosts: hosts("web-1"), IgnoreApplicationStopFailures: true})
	if err != nil {
		t.Fatal(err)
	}
	step := func(e lifecycle.Event) deploy.Step {
		return deploy.Step{Event: e, By: lifecycle.Host, Acknowledge: 5 * time.Minute, Timeout: time.Hour}
	}
	stop := step(lifecycle.ApplicationStop)
	stop.IgnoreFailure = true
	want := deploy.Plan{
		Phases: []deploy.Phase{{
			Name:    "in-place",
			Targets: []string{"web-1"},
			Steps: []deploy.Step{
				stop, step(lifecycle.DownloadBundle), step(lifecycle.BeforeInstall), step(lifecycle.Install),
				step(lifecycle.AfterInstall), step(lifecycle.ApplicationStart), step(lifecycle.ValidateService),
			},
			Health: deploy.Health{Type: deploy.FleetPercent, Value: 50},
		}},
		Limit: 8 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompileWithoutTargets(t *testing.T) {
	t.Parallel()
	p, err := Compile(Request{Config: config("OneAtATime"), Hosts: hosts("web-1")})
	if err != nil || len(p.Phases) != 1 || len(p.Phases[0].Targets) != 0 {
		t.Errorf("got %+v, %v; want one phase without targets", p, err)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	type group = awsapi.DeploymentGroupInfo
	tests := []struct {
		setting, value string
		group          group
		config         awsapi.DeploymentConfigInfo
	}{
		{"computePlatform", "Lambda", group{ComputePlatform: awsapi.ComputePlatformLambda}, config("LambdaAllAtOnce")},
		{"deploymentStyle.deploymentType", "BLUE_GREEN",
			group{DeploymentStyle: &awsapi.DeploymentStyle{DeploymentType: awsapi.DeploymentTypeBlueGreen}}, config("AllAtOnce")},
		{"deploymentStyle.deploymentOption", "WITH_TRAFFIC_CONTROL",
			group{DeploymentStyle: &awsapi.DeploymentStyle{DeploymentOption: awsapi.DeploymentOptionWithTrafficControl}}, config("AllAtOnce")},
		{"ec2TagFilters", "", group{Ec2TagFilters: []awsapi.EC2TagFilter{{}}}, config("AllAtOnce")},
		{"ec2TagSet", "", group{Ec2TagSet: &awsapi.EC2TagSet{Ec2TagSetList: [][]awsapi.EC2TagFilter{{}}}}, config("AllAtOnce")},
		{"autoScalingGroups", "", group{AutoScalingGroups: []awsapi.AutoScalingGroup{{}}}, config("AllAtOnce")},
		{"ecsServices", "", group{EcsServices: []awsapi.ECSService{{}}}, config("AllAtOnce")},
		{"alarmConfiguration", "",
			group{AlarmConfiguration: &awsapi.AlarmConfiguration{Enabled: new(true), Alarms: []awsapi.Alarm{{Name: new("errors")}}}}, config("AllAtOnce")},
		{"zonalConfig", "", group{}, awsapi.DeploymentConfigInfo{ZonalConfig: &awsapi.ZonalConfig{}}},
		{"trafficRoutingConfig", "", group{}, config("ECSAllAtOnce")},
		{"minimumHealthyHosts.type", "ZONES", group{},
			awsapi.DeploymentConfigInfo{MinimumHealthyHosts: &awsapi.MinimumHealthyHosts{Type: "ZONES"}}},
	}
	for _, tt := range tests {
		t.Run(tt.setting, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(Request{Group: tt.group, Config: tt.config})
			var unsupported *UnsupportedError
			if !errors.As(err, &unsupported) || *unsupported != (UnsupportedError{tt.setting, tt.value}) {
				t.Errorf("got %v, want an UnsupportedError about %s %s", err, tt.setting, tt.value)
			}
		})
	}
	if _, err := Compile(Request{Config: awsapi.DeploymentConfigInfo{DeploymentConfigName: new("mine")}}); err == nil {
		t.Error("a config without minimumHealthyHosts was compiled")
	}
	idle := group{
		AlarmConfiguration: &awsapi.AlarmConfiguration{Enabled: new(false), Alarms: []awsapi.Alarm{{Name: new("errors")}}},
		DeploymentStyle: &awsapi.DeploymentStyle{
			DeploymentType: awsapi.DeploymentTypeInPlace, DeploymentOption: awsapi.DeploymentOptionWithoutTrafficControl,
		},
		ComputePlatform: awsapi.ComputePlatformServer,
	}
	if _, err := Compile(Request{Group: idle, Config: config("AllAtOnce")}); err != nil {
		t.Errorf("settings that are switched off were refused: %v", err)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	failure := &awsapi.AutoRollbackConfiguration{
		Enabled: new(true), Events: []awsapi.AutoRollbackEvent{awsapi.AutoRollbackEventDeploymentFailure},
	}
	rest := &awsapi.AutoRollbackConfiguration{
		Enabled: new(true),
		Events: []awsapi.AutoRollbackEvent{
			awsapi.AutoRollbackEventDeploymentStopOnAlarm, awsapi.AutoRollbackEventDeploymentStopOnRequest,
		},
	}
	off := &awsapi.AutoRollbackConfiguration{Enabled: new(false), Events: failure.Events}
	tests := []struct {
		name              string
		group, deployment *awsapi.AutoRollbackConfiguration
		want              deploy.Rollback
	}{
		{"no setting", nil, nil, deploy.Rollback{}},
		{"the group's", failure, nil, deploy.Rollback{OnFailure: true}},
		{"the deployment's beats the group's", failure, rest, deploy.Rollback{OnAlarm: true, OnStop: true}},
		{"switched off for the deployment", failure, off, deploy.Rollback{}},
		{"switched off for the group", off, nil, deploy.Rollback{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Request{Config: config("AllAtOnce"), AutoRollback: tt.deployment}
			r.Group.AutoRollbackConfiguration = tt.group
			p, err := Compile(r)
			if err != nil || p.Rollback != tt.want {
				t.Errorf("got %+v, %v; want %+v", p.Rollback, err, tt.want)
			}
		})
	}
}

func TestPickingOrder(t *testing.T) {
	t.Parallel()
	rows := []Host{ // in the order in which they are picked, whatever chance says
		{Name: "unhealthy-unknown"},
		{Name: "unhealthy-old", RevisionKey: "v1"},
		{Name: "unhealthy-current", RevisionKey: "v2"},
		{Name: "healthy-unknown", Healthy: true},
		{Name: "healthy-old", Healthy: true, RevisionKey: "v1"},
		{Name: "healthy-current", Healthy: true, RevisionKey: "v2"},
	}
	var want []string
	for i := range rows {
		rows[i].Tags = hosts(rows[i].Name)[0].Tags
		want = append(want, rows[i].Name)
	}
	shuffled := slices.Clone(rows)
	slices.Reverse(shuffled)
	r := Request{Group: everyHost, Config: config("AllAtOnce"), Hosts: shuffled, CurrentKey: "v2", RevisionKey: "v3"}
	if diff := cmp.Diff(want, pick(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	r.RevisionKey, r.UpdateOutdatedInstancesOnly = "v1", true
	want = slices.DeleteFunc(want, func(n string) bool { return n == "healthy-old" })
	if diff := cmp.Diff(want, pick(r)); diff != "" {
		t.Errorf("outdated only: a host that is unhealthy is not up to date (-want +got):\n%s", diff)
	}
	if plan, err := Compile(r); err != nil || plan.UpToDate != 1 {
		t.Errorf("%d hosts are up to date, %v; want 1", plan.UpToDate, err)
	}
}

// TestPickingChance checks that equals are picked in an order that depends on the revision and on nothing else.
func TestPickingChance(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("web-%02d", i))
	}
	firsts := map[string]bool{}
	for i := range 20 {
		r := Request{Group: everyHost, Config: config("AllAtOnce"), Hosts: hosts(names...), RevisionKey: fmt.Sprint("v", i)}
		once := pick(r)
		slices.Reverse(r.Hosts)
		if twice := pick(r); !slices.Equal(once, twice) {
			t.Fatalf("picked %v, then %v", once, twice)
		}
		firsts[once[0]] = true
	}
	if len(firsts) < 5 {
		t.Errorf("over 20 revisions only %v ever came first", firsts)
	}
}

// TestHealthyOnlyOnceEnough is item 8 of service.md 5.2, which the picking order and the core keep between them: a healthy
// host is touched only while more than the minimum are healthy.
func TestHealthyOnlyOnceEnough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "hosts")
		minimum := rapid.IntRange(0, n-1).Draw(t, "minimum")
		healthy := map[string]bool{}
		r := Request{Group: everyHost, Config: awsapi.DeploymentConfigInfo{
			MinimumHealthyHosts: &awsapi.MinimumHealthyHosts{Type: awsapi.MinimumHealthyHostsTypeHostCount, Value: new(int64(minimum))},
		}}
		for i := range n {
			h := hosts(fmt.Sprint("h", i))[0]
			h.Healthy = rapid.Bool().Draw(t, h.Name)
			healthy[h.Name] = h.Healthy
			r.Hosts = append(r.Hosts, h)
		}
		plan, err := Compile(r)
		if err != nil {
			t.Fatal(err)
		}
		plan.Phases[0].Steps = plan.Phases[0].Steps[:1]
		play(t, plan, func(issued string) {
			count := 0
			for _, up := range healthy {
				if up {
					count++
				}
			}
			if healthy[issued] && count <= minimum {
				t.Fatalf("healthy host %s is taken while %d of %d are healthy, minimum %d", issued, count, n, minimum)
			}
			healthy[issued] = false
		}, func(succeeded string) { healthy[succeeded] = true })
	})
}

// play runs a plan of one step, with hosts that end in any order and as they like.
func play(t *rapid.T, plan deploy.Plan, issued, succeeded func(host string)) {
	now := time.Unix(0, 0)
	s := deploy.State{ID: "d-1", Plan: plan, Status: deploy.Created, CreatedAt: now, PhaseSince: now}
	for _, id := range plan.Phases[0].Targets {
		s.Targets = append(s.Targets, deploy.Target{ID: id, Status: deploy.TargetPending})
	}
	for {
		d := deploy.Decide(s, now)
		for _, c := range d.Targets {
			i := slices.IndexFunc(s.Targets, func(t deploy.Target) bool { return t.ID == c.ID })
			s.Targets[i].Status, s.Targets[i].Step, s.Targets[i].Failure = c.Status, c.Step, c.Failure
			if c.Status == deploy.TargetSucceeded {
				succeeded(c.ID)
			}
		}
		for _, c := range d.Settle {
			s.Work = slices.DeleteFunc(s.Work, func(w deploy.Work) bool { return w.ID == c.ID })
		}
		for _, w := range d.Issue {
			issued(w.Target)
			s.Work = append(s.Work, w)
		}
		if d.Status != "" {
			s.Status = d.Status
		}
		if len(s.Work) == 0 {
			return
		}
		w := &s.Work[rapid.IntRange(0, len(s.Work)-1).Draw(t, "ends")]
		w.Status = rapid.SampledFrom([]deploy.WorkStatus{deploy.WorkSucceeded, deploy.WorkFailed}).Draw(t, "how")
	}
}
