package cli

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// The policies that are ready let their users do what their help says, and no more.
func TestReadyPolicies(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1")
	deployment := f.deploy()
	s3 := &awsapi.S3Location{Bucket: new("bundles"), Key: new("app.zip"), BundleType: awsapi.BundleTypeZip}
	revision := &awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeS3, S3Location: s3}
	look := func(c *client) error {
		var listed awsapi.ListApplicationsOutput
		return errors.Join(
			c.call(t.Context(), "ListApplications", &awsapi.ListApplicationsInput{}, &listed),
			c.call(t.Context(), "GetDeployment", &awsapi.GetDeploymentInput{DeploymentId: &deployment}, nil),
			c.grapnel(t.Context(), "GetDeploymentLog", &awsapi.GetDeploymentLogInput{DeploymentId: &deployment}, nil),
		)
	}
	deploy := func(c *client) error {
		if _, err := c.put(t.Context(), "bundles", "app.zip", []byte("nobody reads it")); err != nil {
			return err
		}
		register := &awsapi.RegisterApplicationRevisionInput{ApplicationName: new("shop"), Revision: revision}
		create := &awsapi.CreateDeploymentInput{ApplicationName: new("shop"), DeploymentGroupName: new("web"), Revision: revision}
		var created awsapi.CreateDeploymentOutput
		if err := c.call(t.Context(), "RegisterApplicationRevision", register, nil); err != nil {
			return err
		}
		if err := c.call(t.Context(), "CreateDeployment", create, &created); err != nil {
			return err
		}
		return c.call(t.Context(), "StopDeployment", &awsapi.StopDeploymentInput{DeploymentId: created.DeploymentId}, nil)
	}
	manage := func(c *client) error {
		_, err := c.users(t.Context())
		return err
	}
	f.must("StopDeployment", &awsapi.StopDeploymentInput{DeploymentId: &deployment}, nil)
	for _, test := range []struct {
		role                  string
		look, deploy, manages bool
	}{{"reader", true, false, false}, {"deployer", true, true, false}, {"admin", true, true, true}, {"", false, false, false}} {
		c := f.user("user-"+test.role, test.role)
		for _, try := range []struct {
			what string
			do   func(*client) error
			may  bool
		}{{"look", look, test.look}, {"deploy", deploy, test.deploy}, {"list users", manage, test.manages}} {
			if err := try.do(c); try.may != (err == nil) || !try.may && !denied(err) {
				t.Errorf("role %q, %s: %v; want it allowed: %t", test.role, try.what, err, try.may)
			}
		}
	}
	if _, err := readyPolicies.document("adnin"); exitCode(err) != exitUsage {
		t.Errorf("a role that there is not: %v", err)
	}
}

// user returns the client of a new user.
func (f *fleet) user(name, role string) *client {
	f.t.Helper()
	ctx := f.t.Context()
	document, err := readyPolicies.document(role)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.client.iam(ctx, nil, "Action", "CreateUser", "UserName", name); err != nil {
		f.t.Fatal(err)
	}
	if document != "" {
		if err := userPolicies.put(ctx, f.client, name, role, document); err != nil {
			f.t.Fatal(err)
		}
	}
	key, err := f.client.newKey(ctx, name, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return &client{
		endpoint: f.client.endpoint, region: "us-east-1", http: http.DefaultClient,
		creds: aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret},
	}
}

// denied reports whether a service knew the caller and refused.
func denied(err error) bool {
	var told *awsjson.Error
	var query *queryError
	var status interface{ HTTPStatusCode() int } // of S3
	return errors.As(err, &told) && told.Name == awsjson.AccessDeniedException ||
		errors.As(err, &query) && query.Code == "AccessDenied" ||
		errors.As(err, &status) && status.HTTPStatusCode() == http.StatusForbidden
}
