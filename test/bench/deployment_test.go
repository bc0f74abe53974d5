// Package bench prints the figures of the whole programs; `make bench` runs it. Nothing here asserts a figure.
package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// deployments is how many deployments one figure is taken from, besides a first one that is not counted.
const deployments = 30

// BenchmarkNoopDeployment takes the time of a deployment of seven events without scripts to one host, with the real
// programs over loopback: as the server stamps it from creation to completion, and as a client sees it that asks every
// 2 ms.
func BenchmarkNoopDeployment(b *testing.B) {
	ctx := context.Background()
	s := harness.StartServer(b, b.TempDir())
	harness.Register(b, s, "web-1", map[string]string{"role": "web"}).Start(b)
	api := s.CodeDeploy(b)
	prepare(b, ctx, s, api)
	for b.Loop() {
		var stamped, seen []time.Duration
		for n := range deployments + 1 {
			one, two := deployOnce(b, ctx, api)
			if n > 0 {
				stamped, seen = append(stamped, one), append(seen, two)
			}
		}
		report(b, "stamped", stamped)
		report(b, "client", seen)
	}
	b.ReportMetric(0, "ns/op")
}

// report prints the least, the median and the most.
func report(b *testing.B, name string, times []time.Duration) {
	slices.Sort(times)
	for _, q := range []struct {
		name string
		at   int
	}{{"min", 0}, {"median", len(times) / 2}, {"max", len(times) - 1}} {
		b.ReportMetric(float64(times[q.at].Microseconds())/1000, fmt.Sprintf("ms-%s-%s", name, q.name))
	}
}

func prepare(b *testing.B, ctx context.Context, s *harness.Server, api *codedeploy.Client) {
	b.Helper()
	var bundle bytes.Buffer
	z := zip.NewWriter(&bundle)
	f, err := z.Create("appspec.yml")
	check(b, err)
	_, err = f.Write([]byte("version: 0.0\nos: linux\n"))
	check(b, err)
	check(b, z.Close())
	_, err = s.S3(b).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bundles")})
	check(b, err)
	_, err = s.S3(b).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bundles"), Key: aws.String("app.zip"), Body: bytes.NewReader(bundle.Bytes())})
	check(b, err)
	_, err = api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("web")})
	check(b, err)
	_, err = api.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		ServiceRoleArn:               aws.String("arn:aws:iam::000000000000:role/deploy"),
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: aws.String("role"), Type: types.TagFilterTypeKeyOnly}},
	})
	check(b, err)
}

func deployOnce(b *testing.B, ctx context.Context, api *codedeploy.Client) (stamped, seen time.Duration) {
	b.Helper()
	start := time.Now()
	out, err := api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})
	check(b, err)
	for {
		got, err := api.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: out.DeploymentId})
		check(b, err)
		switch d := got.DeploymentInfo; d.Status {
		case types.DeploymentStatusSucceeded:
			return d.CompleteTime.Sub(*d.CreateTime), time.Since(start)
		case types.DeploymentStatusFailed, types.DeploymentStatusStopped:
			b.Fatalf("the deployment ended as %s: %v", d.Status, d.ErrorInformation)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
