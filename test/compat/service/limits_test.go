package service

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/api"
	"grapnel/internal/awsapi"
	"grapnel/internal/server"
)

func limits(l api.Limits) func(*server.Options) {
	return func(o *server.Options) { o.Limits = l }
}

// Every limit that counts what there is, with the error of service.md 2.9, and room again after a deletion.
func TestLimits(t *testing.T) {
	t.Parallel()
	w, ctx := start(t, limits(api.Limits{
		Applications: 2, Groups: 1, Configs: 1, Deployments: 1, HostTags: 2, ResourceTags: 2, TaggedHosts: 1,
	})), t.Context()
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	w.group("blog", "prod")
	application := func(name string) error {
		_, err := w.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: &name})
		return err
	}
	group := func(application string) error {
		_, err := w.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
			ApplicationName: &application, DeploymentGroupName: aws.String("more"), ServiceRoleArn: aws.String(role)})
		return err
	}
	config := func(name string) error {
		_, err := w.CreateDeploymentConfig(ctx, &codedeploy.CreateDeploymentConfigInput{DeploymentConfigName: &name,
			MinimumHealthyHosts: &types.MinimumHealthyHosts{Type: types.MinimumHealthyHostsTypeHostCount, Value: 1}})
		return err
	}
	fails(t, application("more"), "ApplicationLimitExceededException")
	fails(t, application("shop"), "ApplicationAlreadyExistsException")
	fails(t, group("shop"), "DeploymentGroupLimitExceededException")
	ok(t, config("mine"))
	fails(t, config("more"), "DeploymentConfigLimitExceededException")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	_, err := w.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("blog"), DeploymentGroupName: aws.String("prod"), Revision: bundle("blog/1.zip")})
	fails(t, err, "DeploymentLimitExceededException")
	fails(t, w.tagging([]string{"web-1"}, tag("a", ""), tag("b", "")), "TagLimitExceededException")
	joining := make([]awsapi.Tag, 3)
	for i, key := range []string{"a", "b", "c"} {
		joining[i].Key = &key
	}
	w.token(awsapi.CreateJoinTokenInput{Tags: joining[:2]})
	refuses(t, w.grapnel(w.root, "CreateJoinToken", awsapi.CreateJoinTokenInput{Tags: joining}, nil), "TagLimitExceededException")
	fails(t, w.tagging([]string{"web-1", "web-2"}, tag("a", "")), "InstanceLimitExceededException")
	_, err = w.TagResource(ctx, &codedeploy.TagResourceInput{
		ResourceArn: aws.String("arn:aws:codedeploy:us-east-1:" + account + ":application:shop"), Tags: []types.Tag{tag("a", ""), tag("b", ""), tag("c", "")}})
	fails(t, err, "InvalidTagsToAddException")

	_, err = w.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: &id})
	ok(t, err)
	w.ends(id, types.DeploymentStatusStopped)
	w.deploy("blog", "prod", bundle("blog/1.zip"))
	_, err = w.DeleteApplication(ctx, &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")})
	ok(t, err)
	ok(t, application("more"))
	ok(t, group("more"))
}

// More hosts than a deployment may have: it fails and says so, and none of them is touched.
func TestTooManyInstances(t *testing.T) {
	t.Parallel()
	w := start(t, limits(api.Limits{Instances: 2, InstancesBusy: 3}))
	for i := range 3 {
		w.host(fmt.Sprintf("web-%d", i), tag("app", "shop"))
	}
	w.host("blog-0", tag("app", "blog"))
	w.host("blog-1", tag("app", "blog"))
	w.host("wiki-0", tag("app", "wiki"))
	w.host("wiki-1", tag("app", "wiki"))
	for _, name := range []string{"shop", "blog", "wiki"} {
		w.group(name, "prod")
	}
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	w.ends(id, types.DeploymentStatusFailed)
	equal(t, "why", string(w.info(id).ErrorInformation.Code), "OVER_MAX_INSTANCES")
	equal(t, "targets", w.targets(id), []string{})
	w.deploy("blog", "prod", bundle("blog/1.zip"))
	_, err := w.CreateDeployment(t.Context(), &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("wiki"), DeploymentGroupName: aws.String("prod"), Revision: bundle("wiki/1.zip")})
	fails(t, err, "DeploymentLimitExceededException") // four instances in deployments under way
}

// Changes of one group at once: none undoes another's part.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	w, ctx := start(t), t.Context()
	w.group("shop", "prod")
	arn := "arn:aws:codedeploy:us-east-1:" + account + ":deploymentgroup:shop/prod"
	var changes sync.WaitGroup
	var keys []string
	for i := range 16 {
		key := fmt.Sprintf("key%02d", i)
		keys = append(keys, key)
		changes.Go(func() {
			if _, err := w.TagResource(ctx, &codedeploy.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{tag(key, "")}}); err != nil {
				t.Error(err)
			}
		})
	}
	changes.Go(func() {
		_, err := w.UpdateDeploymentGroup(ctx, &codedeploy.UpdateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("prod"),
			DeploymentConfigName: aws.String("CodeDeployDefault.AllAtOnce")})
		if err != nil {
			t.Error(err)
		}
	})
	changes.Wait()
	var got []string
	for _, tag := range must(w.ListTagsForResource(ctx, &codedeploy.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags {
		got = append(got, *tag.Key)
	}
	slices.Sort(got)
	equal(t, "tags", got, keys)
	group := must(w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod")}))(t).DeploymentGroupInfo
	equal(t, "config", *group.DeploymentConfigName, "CodeDeployDefault.AllAtOnce")
}

// Tags of a resource in pages, where there may be more of them than fit into one.
func TestPagesOfTags(t *testing.T) {
	t.Parallel()
	w, ctx := start(t, limits(api.Limits{ResourceTags: 200})), t.Context()
	w.group("shop", "prod")
	arns := []string{"arn:aws:codedeploy:us-east-1:" + account + ":application:shop", "arn:aws:codedeploy:us-east-1:" + account + ":deploymentgroup:shop/prod"}
	var tags []types.Tag
	for i := range 150 {
		tags = append(tags, tag(fmt.Sprintf("key%03d", i), "v"))
	}
	_, err := w.TagResource(ctx, &codedeploy.TagResourceInput{ResourceArn: &arns[0], Tags: tags})
	ok(t, err)
	first := must(w.ListTagsForResource(ctx, &codedeploy.ListTagsForResourceInput{ResourceArn: &arns[0]}))(t)
	second := must(w.ListTagsForResource(ctx, &codedeploy.ListTagsForResourceInput{ResourceArn: &arns[0], NextToken: first.NextToken}))(t)
	if n := len(first.Tags) + len(second.Tags); n != 150 || second.NextToken != nil {
		t.Errorf("two pages have %d tags, and the second says that more follow: %v", n, second.NextToken)
	}
	_, err = w.ListTagsForResource(ctx, &codedeploy.ListTagsForResourceInput{ResourceArn: &arns[1], NextToken: first.NextToken})
	fails(t, err, "InvalidNextTokenException")
}
