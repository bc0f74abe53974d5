package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/hosts"
	"grapnel/internal/planner"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// world is one random story: hosts, groups, and deployments to them.
type world struct {
	seed    uint64
	store   *laws
	server  atomic.Pointer[server] // nil while it is down
	log     *slog.Logger
	hold    time.Duration // of polls
	timeout time.Duration // of commands

	ctx     context.Context // ends with the world
	end     context.CancelCauseFunc
	running sync.WaitGroup

	mu       sync.Mutex
	rand     *rand.Rand
	executed map[string]int // how often a hook ran, by Work

	faultRate, killRate float64
	faults              int           // still to come at most
	downtime            time.Duration // after a kill, at most
	kills, deployments  atomic.Int64

	// steady worlds have hosts without bad habits, whose scripts fail or not by a table, and operators who never stop
	// anything: how their deployments end depends on nothing else.
	steady bool
}

// errOver ends a world that is over.
var errOver = errors.New("the world is over")

// maxFaults is how many calls to the store go wrong at most, so that a world ends.
const maxFaults = 40

// newWorld draws a world. Nothing in it happens yet.
func newWorld(t *testing.T, seed uint64, log *slog.Logger) *world {
	source := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		seed: seed, log: log, rand: rand.New(rand.NewPCG(seed, 2)), executed: map[string]int{}, faults: maxFaults, downtime: time.Minute,
		hold:      pick(source, 45*time.Second, 5*time.Minute), // idle polls would take most of the time
		timeout:   time.Duration(1+source.IntN(10)) * time.Minute,
		faultRate: pick(source, 0, 0, 0.01, 0.1), killRate: pick(source, 0, 0, 0.01, 0.05),
	}
	w.ctx, w.end = context.WithCancelCause(t.Context())
	w.store = newLaws(newMemory(), w)
	return w
}

// keepOnDisk puts a world's rows into SQLite, to be closed after the world.
func (w *world) keepOnDisk(t *testing.T) (*sqlstore.Store, error) {
	db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "sim.db"), w.log)
	if err == nil {
		w.store.backend = db
	}
	return db, err
}

// run lets a world happen and returns what it broke.
func (w *world) run() error {
	groups, err := w.furnish(rand.New(rand.NewPCG(w.seed, 3)))
	if err != nil {
		return err
	}
	w.startServer()
	var operators sync.WaitGroup
	for _, group := range groups {
		operators.Go(func() { w.operate(group) })
	}
	operators.Wait()
	w.end(errOver)
	w.running.Wait()
	if cause := context.Cause(w.ctx); cause != errOver {
		return cause
	}
	return nil
}

// fail ends the world with what it broke.
func (w *world) fail(err error) { w.end(err) }

// ran notes that a hook ran.
func (w *world) ran(work string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.executed[work]++; w.executed[work] > 1 {
		w.fail(fmt.Errorf("the hook of Work %s ran twice", work))
	}
}

// sleep waits, and reports whether the world still is.
func (w *world) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// intN draws a number below n.
func (w *world) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

func (w *world) shuffle(n int, swap func(i, j int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rand.Shuffle(n, swap)
}

// fault draws what happens to a call to the store.
func (w *world) fault() fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults == 0 || w.faultRate+w.killRate == 0 {
		return none
	}
	p := w.rand.Float64()
	kind := none
	switch {
	case p < w.killRate:
		kind = pick(w.rand, killBefore, killAfter)
	case p < w.killRate+w.faultRate:
		kind = pick(w.rand, failBefore, failAfter)
	}
	if kind != none {
		w.faults--
	}
	return kind
}

const application = "app"

// rules are the health rules that worlds choose from.
var rules = []awsapi.MinimumHealthyHosts{
	{Type: awsapi.MinimumHealthyHostsTypeFleetPercent, Value: new(int64(0))},
	{Type: awsapi.MinimumHealthyHostsTypeFleetPercent, Value: new(int64(50))},
	{Type: awsapi.MinimumHealthyHostsTypeFleetPercent, Value: new(int64(75))},
	{Type: awsapi.MinimumHealthyHostsTypeHostCount, Value: new(int64(0))},
	{Type: awsapi.MinimumHealthyHostsTypeHostCount, Value: new(int64(1))},
	{Type: awsapi.MinimumHealthyHostsTypeHostCount, Value: new(int64(3))},
}

// furnish makes hosts and groups and returns the names of the groups.
func (w *world) furnish(r *rand.Rand) ([]string, error) {
	ctx, at := w.ctx, now()
	errs := []error{w.store.CreateApplication(ctx, store.Application{
		Info: awsapi.ApplicationInfo{ApplicationId: new("app-1"), ApplicationName: new(application), CreateTime: awsapi.At(at)},
	})}
	groups := []string{"blue", "red"}[:1+r.IntN(2)]
	for i := range 1 + r.IntN(8) {
		h := &host{world: w, caller: hosts.Caller{Name: fmt.Sprintf("host-%d", i), ARN: fmt.Sprintf("arn:aws:iam::000000000000:user/host-%d", i)}, habits: drawHabits(r)}
		if w.steady {
			h.habits = habits{pollers: 1}
		}
		h.caller.ARN = "arn:aws:iam::000000000000:user/" + h.caller.Name
		tags := []awsapi.Tag{{Key: new("group"), Value: new(pick(r, groups...))}}
		if len(groups) > 1 && r.IntN(3) == 0 { // two groups may deploy to one host at once
			tags = []awsapi.Tag{{Key: new("group"), Value: &groups[0]}, {Key: new("group"), Value: &groups[1]}}
		}
		errs = append(errs, w.store.RegisterHost(ctx, store.Host{Info: awsapi.InstanceInfo{
			InstanceName: &h.caller.Name, IamUserArn: &h.caller.ARN, RegisterTime: awsapi.At(at), Tags: tags,
		}}))
		h.start()
	}
	for _, name := range groups {
		named := pick(r, name, "CodeDeployDefault.OneAtATime", "CodeDeployDefault.AllAtOnce", "CodeDeployDefault.HalfAtATime")
		if w.steady { // with any other the order of failures matters, and so does time
			named = pick(r, "CodeDeployDefault.OneAtATime", "CodeDeployDefault.AllAtOnce")
		}
		config := awsapi.DeploymentConfigInfo{
			DeploymentConfigName: new(name), ComputePlatform: awsapi.ComputePlatformServer, CreateTime: awsapi.At(at),
			MinimumHealthyHosts: new(pick(r, rules...)),
		}
		errs = append(errs, w.store.CreateConfig(ctx, config), w.store.CreateGroup(ctx, store.Group{Info: awsapi.DeploymentGroupInfo{
			ApplicationName: new(application), DeploymentGroupId: new("id-" + name), DeploymentGroupName: new(name),
			DeploymentConfigName:         &named,
			ComputePlatform:              awsapi.ComputePlatformServer,
			OnPremisesInstanceTagFilters: []awsapi.TagFilter{{Key: new("group"), Value: new(name), Type: awsapi.TagFilterTypeKeyAndValue}},
			AutoRollbackConfiguration: &awsapi.AutoRollbackConfiguration{
				Enabled: new(r.IntN(4) > 0),
				Events:  []awsapi.AutoRollbackEvent{awsapi.AutoRollbackEventDeploymentFailure, awsapi.AutoRollbackEventDeploymentStopOnRequest},
			},
		}}))
	}
	return groups, errors.Join(errs...)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// patience is how long an operator waits for one deployment: twice its limit (service.md 4.5).
const patience = 2 * planner.InPlaceLimit

// operate makes a few deployments to a group, one after the other, and sees each one, with its rollback, to its end.
func (w *world) operate(group string) {
	count := 1 + w.intN(3)
	if w.steady {
		count = 3
	}
	for i := range count {
		first, err := w.deploy(group, i)
		if err != nil {
			w.fail(fmt.Errorf("group %s: %w", group, err))
			return
		}
		for id := first; id != ""; id = w.store.rolledBackBy(id) {
			w.deployments.Add(1)
			if w.intN(6) == 0 && !w.steady {
				w.running.Go(func() { w.stop(id) })
			}
			if !w.await(id) {
				return
			}
		}
	}
}

// await waits for the end of a deployment, and reports whether the world still is. No run goes on for ever (law 6).
func (w *world) await(id string) bool {
	select {
	case <-w.store.await(id):
	case <-w.ctx.Done():
	case <-time.After(patience):
		w.fail(fmt.Errorf("law 6: deployment %s has not ended after %s", id, patience))
	}
	return w.ctx.Err() == nil
}

// deploy does what CreateDeployment does. Now and then nobody wakes the engine, as after a kill between the two.
func (w *world) deploy(group string, revision int) (string, error) {
	d, err := w.newDeployment(group, revision)
	if err != nil {
		return "", err
	}
	if err := w.store.CreateDeployment(w.ctx, d); err != nil {
		return "", err
	}
	if s := w.server.Load(); s != nil && w.intN(20) > 0 {
		s.engine.Wake(*d.Info.DeploymentId)
	}
	return *d.Info.DeploymentId, nil
}

func (w *world) newDeployment(name string, number int) (store.Deployment, error) {
	group, err := w.store.Group(w.ctx, application, name)
	if err != nil {
		return store.Deployment{}, err
	}
	config, err := w.config(*group.Info.DeploymentConfigName)
	if err != nil {
		return store.Deployment{}, err
	}
	candidates, err := store.Candidates(w.ctx, w.store, *group.Info.DeploymentGroupId)
	if err != nil {
		return store.Deployment{}, err
	}
	revision := awsapi.RevisionLocation{S3Location: &awsapi.S3Location{
		Bucket: new("bundles"), Key: new(fmt.Sprintf("%d.zip", number)), BundleType: awsapi.BundleTypeZip,
	}}
	plan, err := planner.Compile(planner.Request{
		Group: group.Info, Config: config, Hosts: candidates, RevisionKey: store.RevisionKey(revision),
		CurrentKey:                    store.RevisionKey(awsapi.Value(group.Info.TargetRevision)),
		IgnoreApplicationStopFailures: number == 1,
	})
	if err != nil {
		return store.Deployment{}, err
	}
	for i := range plan.Phases[0].Steps {
		plan.Phases[0].Steps[i].Timeout = w.timeout
	}
	return store.Deployment{
		Info: awsapi.DeploymentInfo{
			ApplicationName: new(application), DeploymentGroupName: &name, DeploymentConfigName: config.DeploymentConfigName,
			DeploymentId: new(store.NewDeploymentID()), Revision: &revision, CreateTime: awsapi.At(now()),
			Creator: awsapi.DeploymentCreatorUser, ComputePlatform: awsapi.ComputePlatformServer,
		},
		GroupID: *group.Info.DeploymentGroupId, RevisionKey: store.RevisionKey(revision), Plan: plan, Status: deploy.Created,
	}, nil
}

func (w *world) config(name string) (awsapi.DeploymentConfigInfo, error) {
	if c, ok := planner.PredefinedConfig(name); ok {
		return c, nil
	}
	return w.store.Config(w.ctx, name)
}

// stop stores an operator's wish after a while; the deployment may have ended by then.
func (w *world) stop(id string) {
	if !w.sleep(time.Duration(w.intN(200)) * time.Second) {
		return
	}
	rollback := []*bool{nil, new(true), new(false)}[w.intN(3)]
	err := w.store.StopDeployment(w.ctx, id, deploy.Stop{At: now(), Rollback: rollback})
	if err != nil && !errors.Is(err, store.ErrEnded) {
		w.fail(err)
		return
	}
	if s := w.server.Load(); s != nil {
		s.engine.Wake(id)
	}
}
