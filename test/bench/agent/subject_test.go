package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/internal/server"
	"grapnel/test/harness"
)

const (
	application = "web"
	bucket      = "bundles"
)

// makeSettings makes what all deployments of a server share.
func makeSettings(b *testing.B, s *harness.Server) {
	b.Helper()
	ctx := context.Background()
	_, err := s.S3(b).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	check(b, err)
	_, err = s.CodeDeploy(b).CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String(application)})
	check(b, err)
}

// subject is one agent that is measured, on a host with a deployment group of its own.
type subject struct {
	server      *harness.Server
	host        *harness.Host
	process     *harness.Process
	destination string // where its bundles are installed to
}

func (l *lab) startAgent(b *testing.B) *subject {
	b.Helper()
	a := newSubject(b, l.server)
	a.process = a.host.Start(b)
	return a
}

func (l *lab) startStockAgent(b *testing.B) *subject {
	b.Helper()
	a := newSubject(b, l.stock)
	a.process = startStock(b, l.stock.URL, server.CAFile(l.stock.Dir), a.host)
	return a
}

var hosts int // that were made

func newSubject(b *testing.B, s *harness.Server) *subject {
	b.Helper()
	hosts++
	name := fmt.Sprintf("web-%d", hosts)
	a := &subject{server: s, host: harness.Register(b, s, name, map[string]string{"name": name}), destination: filepath.Join(b.TempDir(), "app")}
	_, err := s.CodeDeploy(b).CreateDeploymentGroup(context.Background(), &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String(application), DeploymentGroupName: &name,
		ServiceRoleArn: aws.String("arn:aws:iam::000000000000:role/deploy"),
		OnPremisesInstanceTagFilters: []types.TagFilter{
			{Key: aws.String("name"), Value: &name, Type: types.TagFilterTypeKeyAndValue},
		},
	})
	check(b, err)
	return a
}

// upload packs a bundle for this host in dir and puts it onto the server.
func (a *subject) upload(b *testing.B, dir string, d bundle) (key string) {
	b.Helper()
	path := d.write(b, dir, a.destination)
	defer os.Remove(path)
	f, err := os.Open(path)
	check(b, err)
	defer f.Close()
	key = filepath.Base(path)
	_, err = a.server.S3(b).PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: f})
	check(b, err)
	return key
}

// outcome is one deployment as measured.
type outcome struct {
	wall   time.Duration
	events map[string]time.Duration
	cpu    time.Duration // of the agent
	peak   float64       // megabytes
}

// deploy deploys an uploaded bundle. Its time is what the server stamps from creation to completion: that holds all that the
// agent does, and against us also what the server does, which the figure of a deployment of nothing shows.
func (a *subject) deploy(b *testing.B, key string, kind types.BundleType) outcome {
	b.Helper()
	processes := a.processes(b)
	processes.forgetPeak(b)
	cpu := processes.cpu(b)
	id, wall := a.run(b, key, kind)
	return outcome{wall: wall, events: a.events(b, id), cpu: processes.cpu(b) - cpu, peak: processes.peak(b)}
}

func (a *subject) run(b *testing.B, key string, kind types.BundleType) (id string, wall time.Duration) {
	b.Helper()
	ctx, api := context.Background(), a.server.CodeDeploy(b)
	created, err := api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String(application), DeploymentGroupName: &a.host.Name,
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String(bucket), Key: &key, BundleType: kind,
		}},
	})
	check(b, err)
	for {
		time.Sleep(20 * time.Millisecond) // asking more often would take time from the agent
		got, err := api.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: created.DeploymentId}, retrying)
		check(b, err)
		switch d := got.DeploymentInfo; d.Status {
		case types.DeploymentStatusSucceeded:
			return *d.DeploymentId, d.CompleteTime.Sub(*d.CreateTime)
		case types.DeploymentStatusFailed, types.DeploymentStatusStopped:
			b.Fatalf("the deployment ended as %s: %s", d.Status, aws.ToString(d.ErrorInformation.Message))
		}
	}
}

// events returns how long each lifecycle event ran.
func (a *subject) events(b *testing.B, id string) map[string]time.Duration {
	b.Helper()
	got, err := a.server.CodeDeploy(b).GetDeploymentTarget(context.Background(),
		&codedeploy.GetDeploymentTargetInput{DeploymentId: &id, TargetId: &a.host.Name}, retrying)
	check(b, err)
	events := map[string]time.Duration{}
	for _, e := range got.DeploymentTarget.InstanceTarget.LifecycleEvents {
		if e.StartTime != nil && e.EndTime != nil {
			events[*e.LifecycleEventName] = e.EndTime.Sub(*e.StartTime)
		}
	}
	return events
}

// retrying is for what only reads. Over TLS one of some hundred calls finds its connection closed by this process's own client.
func retrying(o *codedeploy.Options) { o.RetryMaxAttempts = 3 }

func (a *subject) processes(b *testing.B) processes {
	b.Helper()
	return processesOf(b, a.process.Process.Pid)
}

func (a *subject) memory(b *testing.B) memory { b.Helper(); return a.processes(b).memory(b) }

func (a *subject) cpu(b *testing.B) time.Duration { b.Helper(); return a.processes(b).cpu(b) }
