package sim

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/engine"
	"grapnel/internal/hosts"
	"grapnel/internal/planner"
	"grapnel/internal/seal"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// BenchmarkCommands measures how many commands per second go through engine, host-command service and SQLite on disk
// (synchronous=FULL), with 1,000 hosts in one deployment of seven events. A command is a poll, a specification, an
// acknowledgement and a completion; hosts call the service without HTTP. One operation is one deployment.
//
//	go test ./test/sim -run '^$' -bench . -benchtime=1x -count=5
func BenchmarkCommands(b *testing.B) {
	const fleet = 1000
	commands := 0
	for b.Loop() {
		b.StopTimer()
		f := newFleet(b, fleet)
		b.StartTimer()
		commands += f.deploy()
		b.StopTimer()
		f.close()
		b.StartTimer()
	}
	b.ReportMetric(float64(commands)/b.Elapsed().Seconds(), "commands/s")
}

// fleet is a server on SQLite with registered hosts that do what they are told at once.
type fleet struct {
	b       *testing.B
	db      *sqlstore.Store
	engine  *engine.Engine
	service *hosts.Service
	callers []hosts.Caller
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newFleet(b *testing.B, size int) *fleet {
	log, dir := slog.New(slog.DiscardHandler), b.TempDir()
	db, err := sqlstore.Open(b.Context(), filepath.Join(dir, "bench.db"), log)
	must(b, err)
	key, err := seal.LoadOrCreateKey(filepath.Join(dir, "seal.key"))
	must(b, err)
	signer, err := hosts.LoadSigner(b.Context(), db, key)
	must(b, err)
	f := &fleet{b: b, db: db}
	f.service = hosts.New(hosts.Options{
		Store: db, Signer: signer, Region: "us-east-1", Account: "000000000000", Log: log,
		Wake: func(id string) { f.engine.Wake(id) },
	})
	f.engine = engine.New(engine.Options{Store: db, Issued: f.service.Issued, Log: log})
	f.register(size)
	ctx, cancel := context.WithCancel(b.Context())
	f.cancel = cancel
	f.running.Go(func() { must(b, f.engine.Run(ctx)) })
	f.running.Go(func() { must(b, f.service.Run(ctx)) })
	return f
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Error(err)
	}
}

func (f *fleet) register(size int) {
	at := awsapi.At(now())
	must(f.b, f.db.CreateApplication(f.b.Context(), store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: new("app-1"), ApplicationName: new(application), CreateTime: at,
	}}))
	must(f.b, f.db.CreateGroup(f.b.Context(), store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: new(application), DeploymentGroupId: new("group-1"), DeploymentGroupName: new("group"),
		DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
	}}))
	var registering sync.WaitGroup
	for i := range size {
		c := hosts.Caller{Name: fmt.Sprintf("host-%04d", i), ARN: fmt.Sprintf("arn:aws:iam::000000000000:user/host-%04d", i)}
		f.callers = append(f.callers, c)
		registering.Go(func() {
			must(f.b, f.db.RegisterHost(f.b.Context(), store.Host{Info: awsapi.InstanceInfo{InstanceName: &c.Name, IamUserArn: &c.ARN, RegisterTime: at}}))
		})
	}
	registering.Wait()
}

// deploy makes one deployment to the whole fleet and returns the number of commands once it has succeeded.
func (f *fleet) deploy() int {
	d := f.deployment()
	must(f.b, f.db.CreateDeployment(f.b.Context(), d))
	id, steps := *d.Info.DeploymentId, len(d.Plan.Phases[0].Steps)
	f.engine.Wake(id)
	var obeying sync.WaitGroup
	for _, c := range f.callers {
		obeying.Go(func() {
			for range steps {
				f.obey(c)
			}
		})
	}
	obeying.Wait()
	for {
		got, err := f.db.Deployment(f.b.Context(), id)
		must(f.b, err)
		if got.Status.Terminal() {
			if got.Status != deploy.Succeeded {
				f.b.Errorf("deployment ended as %s", got.Status)
			}
			return steps * len(f.callers)
		}
		time.Sleep(time.Millisecond)
	}
}

func (f *fleet) deployment() store.Deployment {
	candidates := make([]planner.Host, len(f.callers))
	for i, c := range f.callers {
		candidates[i] = planner.Host{Name: c.Name, Tags: []awsapi.Tag{{Key: new("k"), Value: new("v")}}}
	}
	plan, err := planner.Compile(planner.Request{
		Group:  awsapi.DeploymentGroupInfo{OnPremisesInstanceTagFilters: []awsapi.TagFilter{{Key: new("k"), Type: awsapi.TagFilterTypeKeyOnly}}},
		Config: awsapi.DeploymentConfigInfo{MinimumHealthyHosts: &rules[0]},
		Hosts:  candidates,
	})
	must(f.b, err)
	return store.Deployment{
		Info: awsapi.DeploymentInfo{
			ApplicationName: new(application), DeploymentGroupName: new("group"), DeploymentId: new(store.NewDeploymentID()),
			Revision:   &awsapi.RevisionLocation{S3Location: &awsapi.S3Location{Bucket: new("bundles"), Key: new("app.zip"), BundleType: awsapi.BundleTypeZip}},
			CreateTime: awsapi.At(now()), Creator: awsapi.DeploymentCreatorUser,
		},
		GroupID: "group-1", RevisionKey: "key", Plan: plan, Status: deploy.Created,
	}
}

// obey takes one command and completes it.
func (f *fleet) obey(c hosts.Caller) {
	ctx := f.b.Context()
	polled, err := f.service.PollHostCommand(ctx, c, &awsapi.PollHostCommandInput{HostIdentifier: &c.ARN})
	if err != nil || polled.HostCommand == nil {
		f.b.Errorf("poll: %v, %v", polled, err)
		return
	}
	command := polled.HostCommand
	_, err = f.service.GetDeploymentSpecification(ctx, c, &awsapi.GetDeploymentSpecificationInput{
		DeploymentExecutionId: command.DeploymentExecutionId, HostIdentifier: &c.ARN,
	})
	must(f.b, err)
	_, err = f.service.PutHostCommandAcknowledgement(ctx, c, &awsapi.PutHostCommandAcknowledgementInput{HostCommandIdentifier: command.HostCommandIdentifier})
	must(f.b, err)
	_, err = f.service.PutHostCommandComplete(ctx, c, &awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: command.HostCommandIdentifier, CommandStatus: awsapi.CommandStatusSucceeded,
	})
	must(f.b, err)
}

func (f *fleet) close() {
	f.cancel()
	f.running.Wait()
	must(f.b, f.db.Close())
}
