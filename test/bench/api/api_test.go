// Package api prints the figures of the API: `make bench-api` runs it. Nothing here asserts a figure.
//
// The server is the program of `make build` with a data folder on disk, the client the AWS SDK for Go on the same machine, so
// that a figure holds the work of both. moto's server, when it is installed, makes the same calls in between: ratios count,
// not times. GRAPNEL_BENCH_DIR names another folder for the data.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/smithy-go"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) {
	os.Setenv("CGO_ENABLED", "0")
	os.Setenv("GOFLAGS", "-trimpath '-ldflags=-s -w'")
	// The clients share the cores with the server that is measured; less collecting leaves more to it.
	debug.SetGCPercent(1600)
	harness.Main(m)
}

const (
	clients = 16
	rounds  = 5               // of each figure
	span    = 3 * time.Second // of one round
)

// Half of the rates aimed at, in calls a second: what the times of single calls are taken at.
const (
	readLoad  = 5_000
	writeLoad = 1_000
)

// BenchmarkAPI prints the table.
func BenchmarkAPI(b *testing.B) {
	if dir := os.Getenv("GRAPNEL_BENCH_DIR"); dir != "" {
		b.Setenv("TMPDIR", dir) // for b.TempDir
	}
	grapnel := startGrapnel(b)
	moto := startMoto(b)
	fmt.Printf("\n\n%d CPUs shared by server and clients, %d clients, median (least-most) of %d rounds of %v\n\n", runtime.NumCPU(), clients, rounds, span)
	fmt.Println("| Figure | Grapnel | moto | ratio |\n|---|---|---|---|")
	for _, c := range []struct {
		name string
		call func(*subject) call
		load int
	}{
		{"GetDeployment", (*subject).read, readLoad},
		{"CreateApplication, durable", (*subject).write, writeLoad},
	} {
		var ours, theirs, late figures
		for range rounds {
			ours.add(rate(b, c.call(grapnel)))
			late.add(p99(b, c.call(grapnel), c.load).Seconds() * 1e3)
			if moto != nil {
				theirs.add(rate(b, c.call(moto)))
			}
		}
		fmt.Printf("| %s, calls/s | %s | %s | %s |\n", c.name, ours, theirs, ours.ratio(theirs))
		fmt.Printf("| %s, p99 at %d calls/s, ms | %s | | |\n", c.name, c.load, late.precise())
	}
	b.ReportMetric(0, "ns/op")
}

// subject is a server with what the calls need.
type subject struct {
	api        *codedeploy.Client
	deployment string
	names      chan string // of applications
	unreadable bool        // moto writes times as strings, which the SDK cannot decode: its reply counts all the same
}

// call makes one call.
type call func(context.Context) error

func (s *subject) read() call {
	return func(ctx context.Context) error {
		_, err := s.api.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &s.deployment})
		if _, unreadable := errors.AsType[*smithy.DeserializationError](err); unreadable && s.unreadable {
			return nil
		}
		return err
	}
}

func (s *subject) write() call {
	return func(ctx context.Context) error {
		_, err := s.api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String(<-s.names)})
		return err
	}
}

func startGrapnel(b *testing.B) *subject {
	// The limit of AWS, 1,000 applications, is reached in half a second.
	s := harness.StartServer(b, b.TempDir(), "--limit", "applications=1000000")
	k := s.RootKey(b)
	return newSubject(b, s.URL, k.AccessKeyID, k.SecretAccessKey)
}

// startMoto returns nil without moto.
func startMoto(b *testing.B) *subject {
	url, ok := harness.StartMoto(b)
	if !ok {
		fmt.Println("moto is not installed (pip install 'moto[server]'): no comparison")
		return nil
	}
	s := newSubject(b, url, "AKIAIOSFODNN7EXAMPLE", "secret")
	s.unreadable = true
	return s
}

// newSubject makes a deployment that has one silent host and stays as it is, and a stock of names.
func newSubject(b *testing.B, url, key, secret string) *subject {
	b.Helper()
	ctx := context.Background()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = clients // the SDK's own limit of ten makes the others connect anew for each call
	s := &subject{names: make(chan string, clients), api: codedeploy.New(codedeploy.Options{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})}
	go func() {
		for n := 0; ; n++ {
			s.names <- fmt.Sprintf("application-%d", n)
		}
	}()
	name := aws.String("measured")
	role := aws.String("arn:aws:iam::000000000000:role/deploy")
	_, err := s.api.RegisterOnPremisesInstance(ctx, &codedeploy.RegisterOnPremisesInstanceInput{
		InstanceName: name, IamUserArn: aws.String("arn:aws:iam::000000000000:user/measured"),
	})
	if err == nil { // moto has no on-premises instances
		_, err = s.api.AddTagsToOnPremisesInstances(ctx, &codedeploy.AddTagsToOnPremisesInstancesInput{
			InstanceNames: []string{*name}, Tags: []types.Tag{{Key: name, Value: name}},
		})
		check(b, err)
	}
	_, err = s.api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: name, ComputePlatform: types.ComputePlatformServer})
	check(b, err)
	_, err = s.api.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: name, DeploymentGroupName: name, ServiceRoleArn: role,
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: name, Value: name, Type: types.TagFilterTypeKeyAndValue}},
	})
	check(b, err)
	out, err := s.api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: name, DeploymentGroupName: name,
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})
	check(b, err)
	s.deployment = *out.DeploymentId
	return s
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
