package service

//lint:file-ignore SA1019 the older calls are called on purpose: clients make them

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/server"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// many is how many things of every kind there are: two full pages and a bit.
const many = 205

const (
	manyTargets = "d-PAGE00000" // the deployment with many targets
	manyGroups  = "app000"      // the application with many groups and revisions
)

// seedMany fills the store with more of everything than goes into a page.
func seedMany(t *testing.T) func(*server.Options) {
	return func(o *server.Options) {
		seed(t, func(s *sqlstore.Store) {
			together(t, func(i int) error { return s.CreateApplication(t.Context(), manyApplication(i)) })
			together(t, func(i int) error { return s.CreateGroup(t.Context(), manyGroup(i)) })
			together(t, func(i int) error { return s.CreateDeployment(t.Context(), manyDeployment(i)) })
			together(t, func(i int) error { return s.RegisterRevision(t.Context(), manyGroups, manyRevision(i)) })
			together(t, func(i int) error { return s.RegisterHost(t.Context(), manyHost(i)) })
			together(t, func(i int) error {
				name := fmt.Sprintf("config%03d", i)
				return s.CreateConfig(t.Context(), awsapi.DeploymentConfigInfo{DeploymentConfigName: &name})
			})
		})(o)
		db, err := sql.Open("sqlite", filepath.Join(o.DataDir, "grapnel.db"))
		ok(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), `UPDATE deployments SET live = FALSE, status = 'Succeeded'`) // the engine leaves them alone
		ok(t, err)
	}
}

// together makes many writes at once, so that they share commits.
func together(t *testing.T, write func(i int) error) {
	t.Helper()
	var writes sync.WaitGroup
	for i := range many {
		writes.Go(func() {
			if err := write(i); err != nil {
				t.Error(err)
			}
		})
	}
	writes.Wait()
}

func manyApplication(i int) store.Application {
	name := fmt.Sprintf("app%03d", i)
	return store.Application{Info: awsapi.ApplicationInfo{
		ApplicationId: &name, ApplicationName: &name, CreateTime: awsapi.At(time.Now()), ComputePlatform: awsapi.ComputePlatformServer}}
}

func manyGroup(i int) store.Group {
	name := fmt.Sprintf("group%03d", i)
	return store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: aws.String(manyGroups), DeploymentGroupId: &name, DeploymentGroupName: &name,
		DeploymentConfigName: aws.String("CodeDeployDefault.OneAtATime"), ComputePlatform: awsapi.ComputePlatformServer}}
}

// manyDeployment is the deployment of a group; that of the first one has many targets. Several have one time of creation.
func manyDeployment(i int) store.Deployment {
	var targets []string
	for n := range many {
		if i == 0 {
			targets = append(targets, fmt.Sprintf("web-%03d", n))
		}
	}
	return store.Deployment{
		GroupID: *manyGroup(i).Info.DeploymentGroupId, Status: deploy.Created,
		Plan: deploy.Plan{Phases: []deploy.Phase{{Name: "all", Targets: targets}}},
		Info: awsapi.DeploymentInfo{
			DeploymentId: aws.String(fmt.Sprintf("d-PAGE%05d", i)), ComputePlatform: awsapi.ComputePlatformServer,
			CreateTime: awsapi.At(time.Unix(1409764576+int64(i/3), 0)),
		},
	}
}

func manyRevision(i int) store.Revision {
	location := awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeS3, S3Location: &awsapi.S3Location{
		Bucket: aws.String("bundles"), Key: aws.String(fmt.Sprintf("%03d.zip", i)), BundleType: awsapi.BundleTypeZip}}
	return store.Revision{
		Key: store.RevisionKey(location), Location: location, Info: awsapi.GenericRevisionInfo{RegisterTime: awsapi.At(time.Unix(1409764576, 0))}}
}

func manyHost(i int) store.Host {
	name := fmt.Sprintf("web-%03d", i)
	return store.Host{Info: awsapi.InstanceInfo{InstanceName: &name, IamUserArn: aws.String(hostUser + name), RegisterTime: awsapi.At(time.Now())}}
}

// lister is a list operation: it returns a page and the token of the next one. Narrow asks for a part of the list, by a
// filter.
type lister struct {
	pages  int // that the whole list has
	filter bool
	list   func(ctx context.Context, token *string, narrow bool) ([]string, *string, error)
}

// listers are the list operations by name.
func (w *world) listers() map[string]lister {
	return map[string]lister{
		"ListApplications": {3, false, func(ctx context.Context, token *string, _ bool) ([]string, *string, error) {
			out, err := w.ListApplications(ctx, &codedeploy.ListApplicationsInput{NextToken: token})
			return page(out, err, func() ([]string, *string) { return out.Applications, out.NextToken })
		}},
		"ListApplicationRevisions": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String(manyGroups), NextToken: token}
			if narrow {
				in.SortBy = types.ApplicationRevisionSortByRegisterTime
			}
			out, err := w.ListApplicationRevisions(ctx, in)
			return page(out, err, func() (keys []string, _ *string) {
				for _, r := range out.Revisions {
					keys = append(keys, *r.S3Location.Key)
				}
				return keys, out.NextToken
			})
		}},
		"ListDeploymentConfigs": {3, false, func(ctx context.Context, token *string, _ bool) ([]string, *string, error) {
			out, err := w.ListDeploymentConfigs(ctx, &codedeploy.ListDeploymentConfigsInput{NextToken: token})
			return page(out, err, func() ([]string, *string) { return out.DeploymentConfigsList, out.NextToken })
		}},
		"ListDeploymentGroups": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListDeploymentGroupsInput{ApplicationName: aws.String(manyGroups), NextToken: token}
			if narrow {
				in.ApplicationName = aws.String("app001")
			}
			out, err := w.ListDeploymentGroups(ctx, in)
			return page(out, err, func() ([]string, *string) { return out.DeploymentGroups, out.NextToken })
		}},
		"ListDeploymentInstances": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListDeploymentInstancesInput{DeploymentId: aws.String(manyTargets), NextToken: token}
			if narrow {
				in.InstanceStatusFilter = []types.InstanceStatus{types.InstanceStatusPending}
			}
			out, err := w.ListDeploymentInstances(ctx, in)
			return page(out, err, func() ([]string, *string) { return out.InstancesList, out.NextToken })
		}},
		"ListDeployments": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListDeploymentsInput{NextToken: token}
			if narrow {
				in.IncludeOnlyStatuses = []types.DeploymentStatus{types.DeploymentStatusSucceeded}
			}
			out, err := w.ListDeployments(ctx, in)
			return page(out, err, func() ([]string, *string) { return out.Deployments, out.NextToken })
		}},
		"ListDeploymentTargets": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListDeploymentTargetsInput{DeploymentId: aws.String(manyTargets), NextToken: token}
			if narrow {
				in.TargetFilters = map[string][]string{"TargetStatus": {"Pending"}}
			}
			out, err := w.ListDeploymentTargets(ctx, in)
			return page(out, err, func() ([]string, *string) { return out.TargetIds, out.NextToken })
		}},
		"ListGitHubAccountTokenNames": {1, false, func(ctx context.Context, token *string, _ bool) ([]string, *string, error) {
			out, err := w.ListGitHubAccountTokenNames(ctx, &codedeploy.ListGitHubAccountTokenNamesInput{NextToken: token})
			return page(out, err, func() ([]string, *string) { return out.TokenNameList, out.NextToken })
		}},
		"ListOnPremisesInstances": {3, true, func(ctx context.Context, token *string, narrow bool) ([]string, *string, error) {
			in := &codedeploy.ListOnPremisesInstancesInput{NextToken: token}
			if narrow {
				in.RegistrationStatus = types.RegistrationStatusRegistered
			}
			out, err := w.ListOnPremisesInstances(ctx, in)
			return page(out, err, func() ([]string, *string) { return out.InstanceNames, out.NextToken })
		}},
	}
}

// page returns what a call listed, unless it failed.
func page[Out any](_ *Out, err error, listed func() ([]string, *string)) ([]string, *string, error) {
	if err != nil {
		return nil, nil, err
	}
	entries, next := listed()
	return entries, next, nil
}

// service.md 15: W16, W17, W18, W19
func TestPages(t *testing.T) {
	t.Parallel()
	w, ctx := start(t, seedMany(t)), t.Context()
	listers := w.listers()
	tokens := map[string]string{} // of the second page
	for name, l := range listers {
		var all []string
		var token *string
		pages := 0
		for pages == 0 || token != nil {
			entries, next, err := l.list(ctx, token, false)
			ok(t, err)
			if pages++; pages == 2 {
				tokens[name] = *token
			}
			all, token = append(all, entries...), next // W16: a token that is "" would not end this
		}
		entries := len(all)
		slices.Sort(all)
		if all = slices.Compact(all); pages != l.pages || l.pages > 1 && (entries < many || entries != len(all)) {
			t.Errorf("W17: %s has %d pages with %d entries, %d different ones", name, pages, entries, len(all))
		}
	}
	for name, l := range listers {
		refused := func(what, token string, narrow bool) {
			t.Helper()
			if _, _, err := l.list(ctx, &token, narrow); code(err) != "InvalidNextTokenException" {
				t.Errorf("%s with a token that is %s: %v", name, what, err)
			}
		}
		for _, garbage := range []string{"", "garbage", "!", strings.Repeat("A", 80)} {
			refused("garbage (W18)", garbage, false)
		}
		for of, token := range tokens {
			if of != name {
				refused("of "+of+" (W19)", token, false)
				continue
			}
			refused("changed (W18)", token[:10]+flipped(token[10])+token[11:], false)
			if l.filter {
				refused("of another filter (W19)", token, true)
			}
		}
	}
}

// flipped is another letter.
func flipped(letter byte) string {
	if letter == 'A' {
		return "B"
	}
	return "A"
}
