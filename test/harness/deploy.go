package harness

import (
	"archive/zip"
	"bytes"
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Deploy uploads a bundle of these files, makes an application with a deployment group of all hosts that have the tag, and
// deploys to it. It returns the deployment's id. It is for a server that has neither yet.
func Deploy(t testing.TB, s *Server, tag string, files map[string][]byte) string {
	t.Helper()
	ctx := context.Background()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.S3(t).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bundles")}))
	check(s.S3(t).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bundles"), Key: aws.String("app.zip"), Body: bytes.NewReader(pack(t, files))}))
	api := s.CodeDeploy(t)
	check(api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("web")}))
	check(api.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		ServiceRoleArn:               aws.String("arn:aws:iam::000000000000:role/deploy"),
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: &tag, Type: types.TagFilterTypeKeyOnly}},
	}))
	out, err := api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})
	check(out, err)
	return *out.DeploymentId
}

// pack makes a zip as somebody's Windows or CI would: the scripts are not executable in it.
func pack(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, data := range files {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
