package api_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/deploy"
)

// sdk returns a typed client without credentials: who may call what is settled before a request reaches the API.
func (s *service) sdk() *codedeploy.Client {
	return codedeploy.New(codedeploy.Options{
		Region: "us-east-1", BaseEndpoint: &s.client.Endpoint, HTTPClient: s.client.HTTP,
		Credentials: aws.AnonymousCredentials{},
	})
}

// The main job as a typed client does it, with the waiter (W7, W12, W14, W23).
func TestMainJobWithTheSDK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		client, ctx := s.sdk(), t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := client.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: new("shop")})
		check(err)
		_, err = client.RegisterOnPremisesInstance(ctx, &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: new("web1"), IamUserArn: new(user + "web1")})
		check(err)
		_, err = client.AddTagsToOnPremisesInstances(ctx, &codedeploy.AddTagsToOnPremisesInstancesInput{
			InstanceNames: []string{"web1"}, Tags: []types.Tag{{Key: new("app"), Value: new("shop")}}})
		check(err)
		_, err = client.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
			ApplicationName: new("shop"), DeploymentGroupName: new("prod"), ServiceRoleArn: new(role),
			OnPremisesInstanceTagFilters: []types.TagFilter{{Key: new("app"), Value: new("shop"), Type: types.TagFilterTypeKeyAndValue}}})
		check(err)
		created, err := client.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
			ApplicationName: new("shop"), DeploymentGroupName: new("prod"),
			Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
				Bucket: new("bundles"), Key: new("v1.zip"), BundleType: types.BundleTypeZip}}})
		check(err)
		id := *created.DeploymentId
		s.succeed(id, "web1")

		waiter := codedeploy.NewDeploymentSuccessfulWaiter(client)
		info, err := waiter.WaitForOutput(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id}, time.Hour)
		check(err)
		if got := *info.DeploymentInfo; got.Status != types.DeploymentStatusSucceeded || !got.CompleteTime.Equal(time.Now()) || got.DeploymentOverview.Succeeded != 1 {
			t.Errorf("deployment: %v at %v, %v", got.Status, got.CompleteTime, got.DeploymentOverview)
		}
		target, err := client.GetDeploymentTarget(ctx, &codedeploy.GetDeploymentTargetInput{DeploymentId: &id, TargetId: new("web1")})
		check(err)
		if events := target.DeploymentTarget.InstanceTarget.LifecycleEvents; len(events) != 7 || events[6].Diagnostics.ErrorCode != types.LifecycleErrorCodeSuccess {
			t.Errorf("events: %v", events)
		}
		_, err = client.UpdateApplication(ctx, &codedeploy.UpdateApplicationInput{ApplicationName: new("shop"), NewApplicationName: new("store")}) // W14
		check(err)

		_, err = client.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: new("shop")})
		if missing := (*types.ApplicationDoesNotExistException)(nil); !errors.As(err, &missing) { // W7
			t.Errorf("GetApplication: %v", err)
		}
		failed, err := client.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
			ApplicationName: new("store"), DeploymentGroupName: new("prod"), Revision: info.DeploymentInfo.Revision})
		check(err)
		s.decide(*failed.DeploymentId)
		s.work(*failed.DeploymentId, "web1", deploy.WorkFailed, deploy.Diagnostics{ErrorCode: "ScriptFailed"})
		if err := waiter.Wait(ctx, &codedeploy.GetDeploymentInput{DeploymentId: failed.DeploymentId}, time.Hour); err == nil {
			t.Error("W23: the waiter takes a failed deployment for a success")
		}
	})
}
