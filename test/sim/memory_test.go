package sim

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/engine"
	"grapnel/internal/hosts"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
	"grapnel/internal/store/storetest"
)

// backend is what a world keeps its rows in.
type backend interface {
	engine.Store
	hosts.Store
	CreateApplication(ctx context.Context, a store.Application) error
	CreateGroup(ctx context.Context, g store.Group) error
	CreateConfig(ctx context.Context, c awsapi.DeploymentConfigInfo) error
	RegisterHost(ctx context.Context, h store.Host) error
	CreateDeployment(ctx context.Context, d store.Deployment) error
	StopDeployment(ctx context.Context, id string, fact deploy.Stop) error
}

// memory is a backend without a disk. It does what package store asks of the methods that a world uses; storetest checks it
// as it checks the real ones (TestMemory).
type memory struct {
	mu          sync.Mutex
	groups      map[string]*memoryGroup // by id
	configs     map[string]awsapi.DeploymentConfigInfo
	hosts       []store.Host
	deployments map[string]*memoryDeployment
	order       []string                         // ids of deployments, oldest first
	work        map[string]*memoryWork           // by id
	unsettled   map[string][]*memoryWork         // by host, in the order of issue
	health      map[[2]string]store.TargetHealth // by group and target
}

type memoryGroup struct {
	info       awsapi.DeploymentGroupInfo
	live, good string // deployment ids
}

type memoryDeployment struct {
	store.Deployment
	version int64
	phase   int
	since   time.Time
	targets []deploy.Target
	work    []*memoryWork // unsettled
}

type memoryWork struct {
	store.Command
	settled bool
}

func newMemory() *memory {
	return &memory{
		groups: map[string]*memoryGroup{}, configs: map[string]awsapi.DeploymentConfigInfo{},
		deployments: map[string]*memoryDeployment{}, work: map[string]*memoryWork{}, unsettled: map[string][]*memoryWork{},
		health: map[[2]string]store.TargetHealth{},
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.RunMoving(t, func(*testing.T) storetest.Moving { return newMemory() })
}

func (m *memory) CreateApplication(context.Context, store.Application) error { return nil }

func (m *memory) CreateGroup(_ context.Context, g store.Group) error {
	m.groups[*g.Info.DeploymentGroupId] = &memoryGroup{info: g.Info}
	return nil
}

func (m *memory) Group(_ context.Context, _, name string) (store.Group, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.groups {
		if *g.info.DeploymentGroupName == name {
			info := g.info
			if good, ok := m.deployments[g.good]; ok {
				info.TargetRevision = good.Info.Revision
				info.LastSuccessfulDeployment = &awsapi.LastDeploymentInfo{DeploymentId: &g.good}
			}
			return store.Group{Info: info}, nil
		}
	}
	return store.Group{}, store.ErrNotFound
}

func (m *memory) CreateConfig(_ context.Context, c awsapi.DeploymentConfigInfo) error {
	m.configs[*c.DeploymentConfigName] = c
	return nil
}

func (m *memory) Config(_ context.Context, name string) (awsapi.DeploymentConfigInfo, error) {
	c, ok := m.configs[name]
	if !ok {
		return c, store.ErrNotFound
	}
	return c, nil
}

func (m *memory) RegisterHost(_ context.Context, h store.Host) error {
	m.hosts = append(m.hosts, h)
	return nil
}

func (m *memory) Hosts(context.Context) ([]store.Host, error) { return m.hosts, nil }
func (m *memory) HostByARN(_ context.Context, arn string) (store.Host, error) {
	for _, h := range m.hosts {
		if awsapi.Value(h.Info.IamUserArn) == arn {
			return h, nil
		}
	}
	return store.Host{}, store.ErrNotFound
}

func (m *memory) HostsSeen(context.Context, []store.Presence) error { return nil }
func (m *memory) OpenBundles(context.Context, string) ([]awsapi.S3Location, error) {
	return nil, nil
}

// GroupGitHubToken finds none: no bundle of a world lies at GitHub.
func (m *memory) GroupGitHubToken(context.Context, string) (store.GitHubToken, error) {
	return store.GitHubToken{}, store.ErrNotFound
}

func (m *memory) GroupHealth(_ context.Context, group string) ([]store.TargetHealth, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []store.TargetHealth
	for _, h := range m.hosts {
		if health, ok := m.health[[2]string{group, *h.Info.InstanceName}]; ok {
			all = append(all, health)
		}
	}
	return all, nil
}

func (m *memory) CreateDeployment(_ context.Context, d store.Deployment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.insert(d)
}

func (m *memory) insert(d store.Deployment) error {
	id, g := *d.Info.DeploymentId, m.groups[d.GroupID]
	if g == nil {
		return store.ErrNotFound
	}
	if g.live != "" {
		return &store.BusyError{Deployment: g.live}
	}
	if m.deployments[id] != nil {
		return store.ErrExists
	}
	row := &memoryDeployment{Deployment: d, version: 1, since: d.Info.CreateTime.Time}
	row.Status, row.Facts.LastGood = deploy.Created, g.good
	for _, target := range d.Plan.TargetIDs() {
		row.targets = append(row.targets, deploy.Target{ID: target, Status: deploy.TargetPending})
	}
	m.deployments[id], g.live = row, id
	m.order = append(m.order, id)
	return nil
}

func (m *memory) Deployment(_ context.Context, id string) (store.Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.deployments[id]
	if !ok {
		return store.Deployment{}, store.ErrNotFound
	}
	return d.Deployment, nil
}

func (m *memory) StopDeployment(_ context.Context, id string, fact deploy.Stop) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.deployments[id]
	if d == nil {
		return store.ErrNotFound
	}
	if d.Status.Terminal() {
		return store.ErrEnded
	}
	if d.Facts.Stop == nil {
		d.Facts.Stop = &fact
		d.version++
	}
	return nil
}

func (m *memory) Live(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var live []string
	for _, id := range m.order {
		if !m.deployments[id].Status.Terminal() {
			live = append(live, id)
		}
	}
	return live, nil
}

func (m *memory) Load(_ context.Context, id string) (deploy.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.deployments[id]
	if !ok {
		return deploy.State{}, store.ErrNotFound
	}
	s := deploy.State{
		ID: id, Version: d.version, Plan: d.Plan, Status: d.Status, Phase: d.phase, PhaseSince: d.since,
		CreatedAt: d.Info.CreateTime.Time, Targets: slices.Clone(d.targets), Facts: d.Facts,
	}
	for _, w := range d.work {
		s.Work = append(s.Work, w.Work)
	}
	return s, nil
}

// Commit checks the whole guard before it changes anything.
func (m *memory) Commit(_ context.Context, r store.Round) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.deployments[r.State.ID]
	if !ok {
		return store.ErrNotFound
	}
	if d.version != r.State.Version || d.Status.Terminal() {
		return store.ErrConflict
	}
	for _, s := range r.Decision.Settle {
		if w := m.work[s.ID]; w == nil || w.settled || w.Status != s.Saw {
			return store.ErrConflict
		}
	}
	for _, w := range r.Decision.Issue {
		if m.work[w.ID] != nil {
			return store.ErrConflict
		}
	}
	if r.Rollback != nil && m.deployments[*r.Rollback.Info.DeploymentId] != nil {
		return store.ErrExists
	}
	m.apply(d, r)
	if r.Rollback != nil {
		return m.insert(*r.Rollback)
	}
	return nil
}

func (m *memory) apply(d *memoryDeployment, r store.Round) {
	d.version++
	if r.Decision.Phase != d.phase {
		d.phase, d.since = r.Decision.Phase, r.At
	}
	if r.Decision.Status != "" {
		d.Status = r.Decision.Status
	}
	for _, c := range r.Decision.Targets {
		i := slices.IndexFunc(d.targets, func(t deploy.Target) bool { return t.ID == c.ID })
		t := &d.targets[i]
		t.Status, t.Step, t.Failure = c.Status, c.Step, c.Failure
	}
	for _, s := range r.Decision.Settle {
		m.settle(d, s, r.At)
	}
	for _, w := range r.Decision.Issue {
		row := &memoryWork{Command: store.Command{Work: w, Deployment: r.State.ID}}
		m.work[w.ID] = row
		d.work = append(d.work, row)
		m.unsettled[w.Target] = append(m.unsettled[w.Target], row)
		slices.SortStableFunc(m.unsettled[w.Target], func(a, b *memoryWork) int { return a.IssuedAt.Compare(b.IssuedAt) })
	}
	if d.Status.Terminal() {
		m.conclude(d, r.State.ID)
	}
}

func (m *memory) settle(d *memoryDeployment, s deploy.Settle, at time.Time) {
	w := m.work[s.ID]
	w.settled = true
	if s.Status != s.Saw {
		w.Status, w.EndedAt, w.Diagnostics = s.Status, at, s.Diagnostics
	}
	is := func(other *memoryWork) bool { return other == w }
	d.work = slices.DeleteFunc(d.work, is)
	m.unsettled[w.Target] = slices.DeleteFunc(m.unsettled[w.Target], is)
}

func (m *memory) conclude(d *memoryDeployment, id string) {
	g := m.groups[d.GroupID]
	g.live = ""
	if d.Status == deploy.Succeeded {
		g.good = id
	}
	for _, t := range d.targets {
		key := [2]string{d.GroupID, t.ID}
		switch t.Status {
		case deploy.TargetSucceeded:
			m.health[key] = store.TargetHealth{Target: t.ID, Healthy: true, RevisionKey: d.RevisionKey}
		case deploy.TargetFailed:
			m.health[key] = store.TargetHealth{Target: t.ID, RevisionKey: m.health[key].RevisionKey}
		}
	}
}

func (m *memory) Reprieve(_ context.Context, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.work {
		if w.Status.Open() && !w.settled && w.By == lifecycle.Host && w.Due.Before(until) {
			w.Due = until
		}
	}
	return nil
}

func (m *memory) HandOver(_ context.Context, host string, at, again time.Time) (store.Command, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.unsettled[host] {
		if w.Status == deploy.WorkPending && w.By == lifecycle.Host && w.HandedAt.Before(again) && w.Due.After(at) {
			w.HandedAt = at
			w.Handovers++
			return w.Command, nil
		}
	}
	return store.Command{}, store.ErrNotFound
}

func (m *memory) HandBack(_ context.Context, work string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.work[work]; w != nil && w.Status == deploy.WorkPending && w.HandedAt.Equal(at) {
		w.HandedAt = time.Time{}
	}
	return nil
}

func (m *memory) Command(_ context.Context, work string) (store.Command, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.work[work]
	if !ok {
		return store.Command{}, store.ErrNotFound
	}
	return w.Command, nil
}

func (m *memory) Acknowledge(_ context.Context, work string, noop bool, at time.Time) (c store.Command, first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.work[work]
	switch {
	case !ok:
		return c, false, store.ErrNotFound
	case w.Status != deploy.WorkPending || w.settled || !w.Due.After(at):
		return w.Command, false, nil
	case noop:
		w.Status, w.AckedAt, w.EndedAt, w.ErrorCode = deploy.WorkSucceeded, at, at, "Success"
	default:
		w.Status, w.AckedAt, w.Due = deploy.WorkRunning, at, at.Add(w.Timeout)
	}
	return w.Command, true, nil
}

func (m *memory) Complete(_ context.Context, work string, status deploy.WorkStatus, d deploy.Diagnostics, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.work[work]
	if !ok {
		return store.ErrNotFound
	}
	if !w.Status.Open() || w.settled {
		return store.ErrEnded
	}
	w.Status, w.EndedAt, w.Diagnostics = status, at, d
	return nil
}
