package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// unchecked returns a client that sends a call although a member is missing, and leaves it to the server to say so.
func (w *world) unchecked() *codedeploy.Client {
	return codedeploy.New(w.Options(), func(o *codedeploy.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			stack.Initialize.Remove("OperationInputValidation") //nolint:errcheck // operations that need nothing have no such check
			return nil
		})
	})
}

// refused checks the error of a call: its name without "Exception", and that the client has a type for it, which it has
// for the errors that the model gives the operation.
func refused[Out any](_ Out, err error) func(*testing.T, string) {
	return func(t *testing.T, want string) {
		t.Helper()
		fails(t, err, want+"Exception")
		if _, generic := errors.AsType[*smithy.GenericAPIError](err); generic {
			t.Errorf("the client has no type for the error %v", err)
		}
	}
}

// service.md 15: V25, V32, V33
func TestMissingAndMalformedIdentifiers(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, ctx := w.unchecked(), t.Context()
	for _, empty := range []*string{nil, aws.String("")} {
		refused(c.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.DeleteApplication(ctx, &codedeploy.DeleteApplicationInput{ApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.UpdateApplication(ctx, &codedeploy.UpdateApplicationInput{ApplicationName: aws.String("shop"), NewApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{ApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{ApplicationName: empty}))(t, "ApplicationNameRequired")
		refused(c.GetDeploymentConfig(ctx, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: empty}))(t, "DeploymentConfigNameRequired")
		refused(c.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: empty}))(t, "DeploymentIdRequired")
	}
	for _, id := range []string{"d-abcdefghi", "d-ABCDEF12", "d-ABCDEF1234", "x-ABCDEF123", "ABCDEF123"} {
		refused(c.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id}))(t, "InvalidDeploymentId")
		refused(c.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: &id}))(t, "InvalidDeploymentId")
		refused(c.BatchGetDeployments(ctx, &codedeploy.BatchGetDeploymentsInput{DeploymentIds: []string{id}}))(t, "InvalidDeploymentId")
	}
	unknown := aws.String("d-ABCDEF123")
	refused(c.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: unknown}))(t, "DeploymentDoesNotExist")
	refused(c.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: unknown}))(t, "DeploymentDoesNotExist")
	refused(c.ListDeploymentTargets(ctx, &codedeploy.ListDeploymentTargetsInput{DeploymentId: unknown}))(t, "DeploymentDoesNotExist")
}

// service.md 15: V26, V27, V28, V29, V34
func TestLengthsAndCharacters(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	long := strings.Repeat("n", 100)
	for _, name := range []string{long, "a+=,@-_.Z9", "n"} {
		w.group(name, name)
		must(w.CreateDeploymentConfig(ctx, &codedeploy.CreateDeploymentConfigInput{DeploymentConfigName: &name, MinimumHealthyHosts: hosts(1)}))(t)
		if got := must(w.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: &name}))(t); *got.Application.ApplicationName != name {
			t.Errorf("the name came back as %s", *got.Application.ApplicationName)
		}
	}
	for _, name := range []string{long + "n", "a b", "a/b", "a:b", "ä", "a\n", "*"} {
		refused(w.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: &name}))(t, "InvalidApplicationName")
		refused(w.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: &name}))(t, "InvalidApplicationName")
		refused(w.ListDeploymentGroups(ctx, &codedeploy.ListDeploymentGroupsInput{ApplicationName: &name}))(t, "InvalidApplicationName")
		refused(w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: &long, DeploymentGroupName: &name}))(t, "InvalidDeploymentGroupName")
		refused(w.GetDeploymentConfig(ctx, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: &name}))(t, "InvalidDeploymentConfigName")
		refused(w.GetOnPremisesInstance(ctx, &codedeploy.GetOnPremisesInstanceInput{InstanceName: &name}))(t, "InvalidInstanceName")
	}
	description := func(n int) (*codedeploy.RegisterApplicationRevisionOutput, error) {
		return w.RegisterApplicationRevision(ctx, &codedeploy.RegisterApplicationRevisionInput{
			ApplicationName: &long, Revision: bundle("1.zip"), Description: aws.String(strings.Repeat("ü", n)),
		})
	}
	must(description(256))(t)
	refused(description(257))(t, "DescriptionTooLong")
	refused(w.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: &long, DeploymentGroupName: &long, Revision: bundle("1.zip"), Description: aws.String(strings.Repeat("d", 257)),
	}))(t, "DescriptionTooLong")
}

// service.md 15: V30, V31
func TestNotFound(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	ctx, none := t.Context(), aws.String("none")
	endsWithName := func(err error, want string) {
		t.Helper()
		fails(t, err, want+"Exception")
		if err != nil && !strings.HasSuffix(err.Error(), "found for name: none") {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := w.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: none})
	endsWithName(err, "ApplicationDoesNotExist")
	_, err = w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: none, DeploymentGroupName: aws.String("no group")})
	fails(t, err, "InvalidDeploymentGroupNameException")
	_, err = w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: none, DeploymentGroupName: aws.String("prod")})
	endsWithName(err, "ApplicationDoesNotExist")
	_, err = w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: aws.String("shop"), DeploymentGroupName: none})
	endsWithName(err, "DeploymentGroupDoesNotExist")
	_, err = w.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{ApplicationName: none, DeploymentGroupName: none, Revision: bundle("1.zip")})
	endsWithName(err, "ApplicationDoesNotExist")
	_, err = w.GetDeploymentConfig(ctx, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: none})
	endsWithName(err, "DeploymentConfigDoesNotExist")
	_, err = w.GetOnPremisesInstance(ctx, &codedeploy.GetOnPremisesInstanceInput{InstanceName: none})
	endsWithName(err, "InstanceNotRegistered")
}

// service.md 15: V35, V36, V37, V38
func TestUnknownWords(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	ctx, shop := t.Context(), aws.String("shop")
	refused(w.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("x"), ComputePlatform: "server"}))(t, "InvalidComputePlatform")
	refused(w.CreateDeploymentConfig(ctx, &codedeploy.CreateDeploymentConfigInput{
		DeploymentConfigName: aws.String("x"), ComputePlatform: "Mars", MinimumHealthyHosts: hosts(1),
	}))(t, "InvalidComputePlatform")
	for want, in := range map[string]codedeploy.ListApplicationRevisionsInput{
		"InvalidSortBy":              {SortBy: "name"},
		"InvalidSortOrder":           {SortOrder: "up"},
		"InvalidDeployedStateFilter": {Deployed: "yes"},
	} {
		in.ApplicationName = shop
		refused(w.ListApplicationRevisions(ctx, &in))(t, want)
	}
	refused(w.ListDeployments(ctx, &codedeploy.ListDeploymentsInput{IncludeOnlyStatuses: []types.DeploymentStatus{"Succeeded", "Done"}}))(t, "InvalidDeploymentStatus")
	now := time.Now()
	between := func(start, end time.Time) (*codedeploy.ListDeploymentsOutput, error) {
		return w.ListDeployments(ctx, &codedeploy.ListDeploymentsInput{CreateTimeRange: &types.TimeRange{Start: &start, End: &end}})
	}
	must(between(now, now))(t)
	refused(between(now.Add(time.Second), now))(t, "InvalidTimeRange")
}

// service.md 15: V49, V50, V51, V52, V53
func TestRevisionsThatAreNone(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	for _, platform := range types.ComputePlatform("").Values() {
		must(w.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("on-" + string(platform)), ComputePlatform: platform}))(t)
	}
	s3, git := bundle("1.zip").S3Location, &types.GitHubLocation{Repository: aws.String("me/shop"), CommitId: aws.String(strings.Repeat("c0ffee12", 5))}
	const server, lambda, ecs = "on-Server", "on-Lambda", "on-ECS"
	for _, tt := range []struct {
		name, application string
		revision          types.RevisionLocation
		valid             bool
	}{
		{"S3", server, *bundle("1.zip"), true},
		{"GitHub", server, types.RevisionLocation{RevisionType: "GitHub", GitHubLocation: git}, true},
		{"AppSpec", ecs, *appSpec("version: 0.0", ""), true},
		{"YAML", lambda, *inBucket("1.yml", "YAML"), true},
		{"the wrong member", server, types.RevisionLocation{RevisionType: "GitHub", S3Location: s3}, false},
		{"two members", server, types.RevisionLocation{RevisionType: "S3", S3Location: s3, GitHubLocation: git}, false},
		{"no member", server, types.RevisionLocation{RevisionType: "S3"}, false},
		{"no type", server, types.RevisionLocation{S3Location: s3}, false},
		{"an unknown type", server, types.RevisionLocation{RevisionType: "FTP", S3Location: s3}, false},
		{"no bundle type", server, *inBucket("1.zip", ""), false},
		{"an unknown bundle type", server, *inBucket("1.rar", "rar"), false},
		{"no key", server, *inBucket("", "zip"), false},
		{"a repository without its account", server, types.RevisionLocation{RevisionType: "GitHub", GitHubLocation: &types.GitHubLocation{
			Repository: aws.String("shop"), CommitId: git.CommitId}}, false},
		{"a branch", server, types.RevisionLocation{RevisionType: "GitHub", GitHubLocation: &types.GitHubLocation{
			Repository: git.Repository, CommitId: aws.String("main")}}, false},
		{"a wrong digest", lambda, *appSpec("version: 0.0", strings.Repeat("0", 64)), false},
		{"GitHub for a function", lambda, types.RevisionLocation{RevisionType: "GitHub", GitHubLocation: git}, false},
		{"GitHub for a container", ecs, types.RevisionLocation{RevisionType: "GitHub", GitHubLocation: git}, false},
		{"an AppSpec alone for hosts", server, *appSpec("version: 0.0", ""), false},
	} {
		_, err := w.RegisterApplicationRevision(ctx, &codedeploy.RegisterApplicationRevisionInput{ApplicationName: &tt.application, Revision: &tt.revision})
		if tt.valid && err != nil || !tt.valid && code(err) != "InvalidRevisionException" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// inBucket is a revision in S3 of any bundle type.
func inBucket(key string, kind types.BundleType) *types.RevisionLocation {
	r := bundle(key)
	r.S3Location.BundleType = kind
	return r
}

// appSpec is a revision that is its AppSpec; an empty part is left out.
func appSpec(content, digest string) *types.RevisionLocation {
	r := &types.RevisionLocation{RevisionType: types.RevisionLocationTypeAppSpecContent, AppSpecContent: &types.AppSpecContent{}}
	if content != "" {
		r.AppSpecContent.Content = &content
	}
	if digest != "" {
		r.AppSpecContent.Sha256 = &digest
	}
	return r
}

// hosts is a minimum of healthy hosts.
func hosts(n int32) *types.MinimumHealthyHosts {
	return &types.MinimumHealthyHosts{Type: types.MinimumHealthyHostsTypeHostCount, Value: n}
}
