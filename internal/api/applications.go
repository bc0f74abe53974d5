package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// application loads an application, or tells the caller that there is none.
func (a *API) application(ctx context.Context, name string) (store.Application, error) {
	app, err := a.store.Application(ctx, name)
	return app, instead(err, store.ErrNotFound, applicationDoesNotExist(name), "load application "+name)
}

func (a *API) createApplication(ctx context.Context, in *awsapi.CreateApplicationInput) (*awsapi.CreateApplicationOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := oneOf(awsapi.InvalidComputePlatformException, "computePlatform", in.ComputePlatform); err != nil {
		return nil, err
	}
	if err := a.limits.checkResourceTags(in.Tags); err != nil {
		return nil, err
	}
	platform := in.ComputePlatform
	if platform == "" {
		platform = awsapi.ComputePlatformServer
	}
	app := store.Application{
		Info: awsapi.ApplicationInfo{
			ApplicationId:   new(awsjson.UUID()),
			ApplicationName: &name,
			CreateTime:      awsapi.At(time.Now()),
			LinkedToGitHub:  new(false),
			ComputePlatform: platform,
		},
		Tags: in.Tags,
	}
	if err := a.store.CreateApplication(ctx, app); err != nil {
		err = limited(err, awsapi.ApplicationLimitExceededException, "delete one first")
		return nil, instead(err, store.ErrExists, applicationAlreadyExists(name), "create application "+name)
	}
	return &awsapi.CreateApplicationOutput{ApplicationId: app.Info.ApplicationId}, nil
}

func (a *API) getApplication(ctx context.Context, in *awsapi.GetApplicationInput) (*awsapi.GetApplicationOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	app, err := a.application(ctx, name)
	if err != nil {
		return nil, err
	}
	return &awsapi.GetApplicationOutput{Application: &app.Info}, nil
}

func (a *API) batchGetApplications(ctx context.Context, in *awsapi.BatchGetApplicationsInput) (*awsapi.BatchGetApplicationsOutput, error) {
	if err := each(in.ApplicationNames, a.limits.BatchApplications, applicationName); err != nil {
		return nil, err
	}
	out := &awsapi.BatchGetApplicationsOutput{ApplicationsInfo: []awsapi.ApplicationInfo{}}
	for _, name := range in.ApplicationNames {
		app, err := a.application(ctx, name)
		if err != nil {
			return nil, err
		}
		out.ApplicationsInfo = append(out.ApplicationsInfo, app.Info)
	}
	return out, nil
}

func (a *API) listApplications(ctx context.Context, in *awsapi.ListApplicationsInput) (*awsapi.ListApplicationsOutput, error) {
	p, err := a.pages.open(awsapi.ListApplicationsInput{}, in.NextToken)
	if err != nil {
		return nil, err
	}
	names, err := a.store.Applications(ctx, p.after, p.limit())
	if err != nil {
		return nil, fmt.Errorf("list applications: %w", err)
	}
	out := new(awsapi.ListApplicationsOutput)
	out.Applications, out.NextToken = cut(p, names, itself)
	return out, nil
}

// updateApplication renames an application, the only change there is.
func (a *API) updateApplication(ctx context.Context, in *awsapi.UpdateApplicationInput) (*awsjson.Empty, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	newName, err := newApplicationName(in.NewApplicationName)
	if err != nil {
		return nil, err
	}
	return nil, untilCurrent(func() error { return a.renameApplication(ctx, name, newName) })
}

func (a *API) renameApplication(ctx context.Context, name, newName string) error {
	app, err := a.application(ctx, name)
	if err != nil {
		return err
	}
	app.Info.ApplicationName = &newName
	err = a.store.UpdateApplication(ctx, name, app)
	if isMissing(err) {
		return applicationDoesNotExist(name)
	}
	return instead(err, store.ErrExists, applicationAlreadyExists(newName), "rename application "+name)
}

// untilCurrent repeats a change of settings, which reads, changes and stores them, as long as another one was stored in
// between: two at once would undo one another's part. Each time somebody's change was done, so that it ends.
func untilCurrent(change func() error) error {
	for {
		if err := change(); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// deleteApplication succeeds when there is no such application (service.md 2.2).
func (a *API) deleteApplication(ctx context.Context, in *awsapi.DeleteApplicationInput) (*awsjson.Empty, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := a.store.DeleteApplication(ctx, name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("delete application %s: %w", name, err)
	}
	return nil, nil
}
