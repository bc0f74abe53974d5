package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// service.md 15: A55, A56, A57, A61
func TestApplicationsComeAndGo(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	create := func() (*codedeploy.CreateApplicationOutput, error) {
		return w.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("shop")})
	}
	first := must(create())(t)
	if !uuid.MatchString(*first.ApplicationId) {
		t.Errorf("the id is %s", *first.ApplicationId)
	}
	info := must(w.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")}))(t).Application
	info.CreateTime = nil
	equal(t, "the application", *info, types.ApplicationInfo{
		ApplicationId: first.ApplicationId, ApplicationName: aws.String("shop"), ComputePlatform: types.ComputePlatformServer,
	})
	refused(create())(t, "ApplicationAlreadyExists")

	for range 2 { // the second time there is none
		must(w.DeleteApplication(ctx, &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")}))(t)
	}
	if second := must(create())(t); *second.ApplicationId == *first.ApplicationId {
		t.Error("a new application has the id of the deleted one")
	}
}

// Typed clients do not tell false from absent, the aws CLI does.
//
// service.md 15: A60
func TestLinkedToGitHubIsFalse(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the aws CLI is missing: pip install awscli")
	}
	w := start(t)
	w.application("shop")
	cmd := exec.CommandContext(t.Context(), program, "deploy", "get-application", "--application-name", "shop",
		"--query", "application.linkedToGitHub", "--output", "json")
	cmd.Env = append(os.Environ(), w.environ()...)
	out, err := cmd.CombinedOutput()
	ok(t, err)
	equal(t, "linkedToGitHub", strings.TrimSpace(string(out)), "false")
}

// service.md 15: A58, A59, A62
func TestRenameAndDeleteTakeEverythingAlong(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	w.application("taken")
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("1.zip"))
	read := func(name string) (application, group, deployment, revisions string) {
		t.Helper()
		a := must(w.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: &name}))(t).Application
		g := must(w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: &name, DeploymentGroupName: aws.String("prod")}))(t).DeploymentGroupInfo
		d := must(w.ListDeployments(ctx, &codedeploy.ListDeploymentsInput{ApplicationName: &name, DeploymentGroupName: aws.String("prod")}))(t).Deployments
		r := must(w.ListApplicationRevisions(ctx, &codedeploy.ListApplicationRevisionsInput{ApplicationName: &name}))(t).Revisions
		if len(d) != 1 || len(r) != 1 || *g.ApplicationName != name || *w.info(d[0]).ApplicationName != name {
			t.Fatalf("%s has the deployments %v and the revisions %v, its group says %s", name, d, r, *g.ApplicationName)
		}
		return *a.ApplicationId, *g.DeploymentGroupId, d[0], *r[0].S3Location.Key
	}
	rename := func(to string) (*codedeploy.UpdateApplicationOutput, error) {
		return w.UpdateApplication(ctx, &codedeploy.UpdateApplicationInput{ApplicationName: aws.String("shop"), NewApplicationName: &to})
	}
	refused(rename("taken"))(t, "ApplicationAlreadyExists")
	application, group, deployment, key := read("shop")
	must(rename("store"))(t)
	renamed, itsGroup, itsDeployment, itsKey := read("store")
	equal(t, "after the rename", []string{renamed, itsGroup, itsDeployment, itsKey}, []string{application, group, deployment, key})
	refused(rename("store"))(t, "ApplicationDoesNotExist")

	must(w.DeleteApplication(ctx, &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("store")}))(t)
	refused(w.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id}))(t, "DeploymentDoesNotExist")
	w.application("store")
	refused(w.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{
		ApplicationName: aws.String("store"), DeploymentGroupName: aws.String("prod")}))(t, "DeploymentGroupDoesNotExist")
	if left := must(w.ListApplicationRevisions(ctx, &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("store")}))(t).Revisions; len(left) > 0 {
		t.Errorf("a new application of the name has the revisions %v", left)
	}
}

// service.md 15: A63, A64, A76
func TestBatchesOfApplicationsAndRevisions(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, ctx := w.unchecked(), t.Context()
	w.application("shop")
	w.application("app-100")
	batch := func(names ...string) (*codedeploy.BatchGetApplicationsOutput, error) {
		return c.BatchGetApplications(ctx, &codedeploy.BatchGetApplicationsInput{ApplicationNames: names})
	}
	if got := must(batch("shop", "app-100"))(t).ApplicationsInfo; len(got) != 2 || *got[0].ApplicationName != "shop" {
		t.Errorf("the batch is %v", got)
	}
	refused(batch("shop", "none"))(t, "ApplicationDoesNotExist")
	refused(batch())(t, "ApplicationNameRequired")
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("app-", i)
	}
	refused(batch(many...))(t, "BatchLimitExceeded")

	revisions := func(list ...types.RevisionLocation) (*codedeploy.BatchGetApplicationRevisionsOutput, error) {
		return c.BatchGetApplicationRevisions(ctx, &codedeploy.BatchGetApplicationRevisionsInput{ApplicationName: aws.String("shop"), Revisions: list})
	}
	w.registerRevision("shop", bundle("1.zip"))
	known := must(revisions(*bundle("1.zip")))(t)
	if len(known.Revisions) != 1 || *known.ErrorMessage != "" || *known.ApplicationName != "shop" || known.Revisions[0].GenericRevisionInfo.RegisterTime == nil {
		t.Errorf("the batch is %v, %q", known.Revisions, *known.ErrorMessage)
	}
	partly := must(revisions(*bundle("1.zip"), *bundle("2.zip")))(t)
	if len(partly.Revisions) != 1 || !strings.Contains(*partly.ErrorMessage, "2.zip") {
		t.Errorf("with an unknown one the batch is %v, %q", partly.Revisions, *partly.ErrorMessage)
	}
	must(revisions(slices.Repeat([]types.RevisionLocation{*bundle("1.zip")}, 25)...))(t)
	refused(revisions(slices.Repeat([]types.RevisionLocation{*bundle("1.zip")}, 26)...))(t, "BatchLimitExceeded")
	refused(revisions())(t, "RevisionRequired")
}

// registerRevision registers a revision of which no bundle is anywhere.
func (w *world) registerRevision(application string, revision *types.RevisionLocation) {
	w.t.Helper()
	must(w.RegisterApplicationRevision(w.t.Context(), &codedeploy.RegisterApplicationRevisionInput{
		ApplicationName: &application, Revision: revision, Description: aws.String("by hand")}))(w.t)
}

// revision asks for a revision.
func (w *world) revision(application string, location *types.RevisionLocation) (*codedeploy.GetApplicationRevisionOutput, error) {
	return w.GetApplicationRevision(w.t.Context(), &codedeploy.GetApplicationRevisionInput{ApplicationName: &application, Revision: location})
}

// tagged is a revision in S3 with an ETag and a version; an empty one is left out.
func tagged(key, eTag, version string) *types.RevisionLocation {
	r := bundle(key)
	if eTag != "" {
		r.S3Location.ETag = &eTag
	}
	if version != "" {
		r.S3Location.Version = &version
	}
	return r
}

// The bucket of these revisions does not exist, and no request is made for one.
//
// service.md 15: A65, A66, A67, A68, A77
func TestRevisionsAreMatchedExactly(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	for _, eTag := range []string{`"abc"`, "abc"} {
		w.registerRevision("shop", tagged("1.zip", eTag, "v1"))
	}
	list := must(w.ListApplicationRevisions(t.Context(), &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("shop")}))(t).Revisions
	if len(list) != 1 {
		t.Errorf("one revision registered twice makes %v", list)
	}
	for _, eTag := range []string{`"abc"`, "abc"} {
		got := must(w.revision("shop", tagged("1.zip", eTag, "v1")))(t)
		if *got.Revision.S3Location.ETag != "abc" || got.RevisionInfo.DeploymentGroups == nil || *got.RevisionInfo.Description != "by hand" || got.RevisionInfo.FirstUsedTime != nil {
			t.Errorf("with the ETag %s: %v, %v", eTag, got.Revision.S3Location, got.RevisionInfo)
		}
	}
	for _, other := range []*types.RevisionLocation{
		bundle("1.zip"), tagged("1.zip", "abc", ""), tagged("1.zip", "", "v1"), tagged("1.zip", "abd", "v1"), tagged("1.zip", "abc", "v2"),
		tagged("2.zip", "abc", "v1"),
	} {
		refused(w.revision("shop", other))(t, "RevisionDoesNotExist")
	}
}

// service.md 15: A69, A70
func TestContentIsShownToWhoAsksForIt(t *testing.T) {
	t.Parallel()
	const content, id = "version: 0.0", "d-CONTENT01"
	sum := sha256.Sum256([]byte(content))
	digest := hex.EncodeToString(sum[:])
	stored := awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeAppSpecContent,
		AppSpecContent: &awsapi.AppSpecContent{Content: aws.String(content), Sha256: &digest}}
	w := start(t, seed(t, func(s *sqlstore.Store) { // no call can make a deployment of a function yet
		name, at, lambda := aws.String("fn"), awsapi.At(time.Now()), awsapi.ComputePlatformLambda
		ok(t, s.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
			ApplicationId: name, ApplicationName: name, CreateTime: at, ComputePlatform: lambda}}))
		ok(t, s.CreateGroup(t.Context(), store.Group{Info: awsapi.DeploymentGroupInfo{ApplicationName: name, DeploymentGroupName: name,
			DeploymentGroupId: name, DeploymentConfigName: aws.String("CodeDeployDefault.LambdaAllAtOnce"), ComputePlatform: lambda}}))
		ok(t, s.CreateDeployment(t.Context(), store.Deployment{GroupID: "fn", Status: deploy.Created, RevisionKey: store.RevisionKey(stored),
			Info: awsapi.DeploymentInfo{DeploymentId: aws.String(id), Revision: &stored, CreateTime: at, ComputePlatform: lambda}}))
	}))
	got := must(w.revision("fn", appSpec("", digest)))(t)
	equal(t, "the content by its digest", aws.ToString(got.Revision.AppSpecContent.Content), content)
	refused(w.revision("fn", appSpec("", strings.Repeat("0", 64))))(t, "RevisionDoesNotExist")

	list := must(w.ListApplicationRevisions(t.Context(), &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("fn")}))(t).Revisions
	equal(t, "the list", list, []types.RevisionLocation{*appSpec("", digest)})
	equal(t, "the deployment", *w.info(id).Revision.AppSpecContent, types.AppSpecContent{Sha256: &digest})
	batch := must(w.BatchGetDeployments(t.Context(), &codedeploy.BatchGetDeploymentsInput{DeploymentIds: []string{id}}))(t)
	equal(t, "the deployment in a batch", *batch.DeploymentsInfo[0].Revision.AppSpecContent, types.AppSpecContent{Sha256: &digest})
}

// Three revisions are registered, and the first one deployed with one that was not.
//
// service.md 15: A71, A72, A73, A74, A75
func TestUseOfRevisions(t *testing.T) {
	t.Parallel()
	w := start(t)
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	deployed := func(r *types.RevisionLocation) string {
		t.Helper()
		id := w.deploy("shop", "prod", r)
		h.run(inPlaceEvents, "")
		w.ends(id, types.DeploymentStatusSucceeded)
		return id
	}
	for _, key := range []string{"b/1.zip", "a/2.zip", "a/3.zip"} {
		w.registerRevision("shop", bundle(key))
	}
	used := func(key string) *types.GenericRevisionInfo {
		t.Helper()
		return must(w.revision("shop", bundle(key)))(t).RevisionInfo
	}
	deployed(bundle("b/1.zip"))
	first := used("b/1.zip")
	if first.FirstUsedTime == nil || !first.FirstUsedTime.Equal(*first.LastUsedTime) {
		t.Errorf("after one deployment: first used %v, last used %v", first.FirstUsedTime, first.LastUsedTime)
	}
	deployed(bundle("b/1.zip"))
	second := used("b/1.zip")
	if !second.FirstUsedTime.Equal(*first.FirstUsedTime) || !second.LastUsedTime.After(*first.LastUsedTime) {
		t.Errorf("after two deployments: first used %v, last used %v", second.FirstUsedTime, second.LastUsedTime)
	}
	id := deployed(bundle("c/4.zip"))
	if got := used("c/4.zip"); !strings.Contains(*got.Description, id) || !slices.Equal(got.DeploymentGroups, []string{"prod"}) {
		t.Errorf("the revision that was not registered: %s, of the groups %v", *got.Description, got.DeploymentGroups)
	}

	list := func(change func(*codedeploy.ListApplicationRevisionsInput)) (keys []string) {
		t.Helper()
		in := codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("shop"), SortBy: types.ApplicationRevisionSortByRegisterTime}
		change(&in)
		for _, r := range must(w.ListApplicationRevisions(t.Context(), &in))(t).Revisions {
			keys = append(keys, *r.S3Location.Key)
		}
		return keys
	}
	type in = codedeploy.ListApplicationRevisionsInput
	all := []string{"b/1.zip", "a/2.zip", "a/3.zip", "c/4.zip"}
	equal(t, "all", list(func(*in) {}), all)
	equal(t, "ignore", list(func(i *in) { i.Deployed = types.ListStateFilterActionIgnore }), all)
	equal(t, "include", list(func(i *in) { i.Deployed = types.ListStateFilterActionInclude }), []string{"c/4.zip"})
	equal(t, "exclude", list(func(i *in) { i.Deployed = types.ListStateFilterActionExclude }), []string{"b/1.zip", "a/2.zip", "a/3.zip"})
	equal(t, "newest first", list(func(i *in) { i.SortOrder = types.SortOrderDescending }), []string{"c/4.zip", "a/3.zip", "a/2.zip", "b/1.zip"})
	lastUsed := list(func(i *in) {
		i.SortBy, i.SortOrder = types.ApplicationRevisionSortByLastUsedTime, types.SortOrderDescending
	})
	equal(t, "last used first", lastUsed[:2], []string{"c/4.zip", "b/1.zip"})
	equal(t, "in a folder", list(func(i *in) { i.S3Bucket, i.S3KeyPrefix = aws.String("bundles"), aws.String("a/") }), []string{"a/2.zip", "a/3.zip"})
	refused(w.ListApplicationRevisions(t.Context(), &in{ApplicationName: aws.String("shop"), S3KeyPrefix: aws.String("a/")}))(t, "BucketNameFilterRequired")
}
