package scripts

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/test/harness"
)

// TestDemoKeep: what `demo --keep` leaves running can be used with what it prints, and is gone after SIGTERM.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	demo := harness.Start(t, "grapnel", []string{"TMPDIR=" + tmp}, "demo", "--keep")
	harness.Eventually(t, harness.Patience, "the demo to say that it keeps running", func() bool {
		return strings.Contains(demo.Output.String(), "curl http://")
	})
	env := map[string]string{}
	for line := range strings.Lines(demo.Output.String()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
	}
	s := &harness.Server{Dir: strings.TrimSuffix(env["AWS_SHARED_CREDENTIALS_FILE"], "/credentials"), URL: env["AWS_ENDPOINT_URL"]}
	api, ctx := s.CodeDeploy(t), context.Background()
	out, err := api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("demo"), DeploymentGroupName: aws.String("demo-hosts"),
		FileExistsBehavior: types.FileExistsBehaviorOverwrite,
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("demo-bundles"), Key: aws.String("demo-1.zip"), BundleType: types.BundleTypeZip,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, harness.Patience, "one more deployment to succeed", func() bool {
		got, err := api.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: out.DeploymentId})
		if err != nil {
			t.Fatal(err)
		}
		return got.DeploymentInfo.Status == types.DeploymentStatusSucceeded
	})
	if code := demo.Terminate(t); code != 0 {
		t.Errorf("the demo ended with %d:\n%s", code, demo.Output)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
}
