package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// registerApplicationRevision stores the address of a bundle; nobody looks whether the bundle is there (service.md 2.3).
func (a *API) registerApplicationRevision(ctx context.Context, in *awsapi.RegisterApplicationRevisionInput) (*awsjson.Empty, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	location, err := checkedRevision(in.Revision)
	if err != nil {
		return nil, err
	}
	app, err := a.application(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := deployable(location, app.Info.ComputePlatform); err != nil {
		return nil, err
	}
	err = a.store.RegisterRevision(ctx, name, store.Revision{
		Key:      store.RevisionKey(location),
		Location: location,
		Info:     awsapi.GenericRevisionInfo{Description: in.Description, RegisterTime: awsapi.At(time.Now())},
	})
	return nil, instead(err, store.ErrNotFound, applicationDoesNotExist(name), "register a revision of application "+name)
}

func (a *API) getApplicationRevision(ctx context.Context, in *awsapi.GetApplicationRevisionInput) (*awsapi.GetApplicationRevisionOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	location, err := checkedRevision(in.Revision)
	if err != nil {
		return nil, err
	}
	if _, err := a.application(ctx, name); err != nil {
		return nil, err
	}
	revision, err := a.store.Revision(ctx, name, store.RevisionKey(location))
	if err != nil {
		return nil, instead(err, store.ErrNotFound, revisionDoesNotExist(name, describe(location)), "load a revision of application "+name)
	}
	return &awsapi.GetApplicationRevisionOutput{
		ApplicationName: &name, Revision: &revision.Location, RevisionInfo: genericInfo(revision),
	}, nil
}

// batchGetApplicationRevisions tells of unknown revisions in errorMessage: its model has no error for them.
func (a *API) batchGetApplicationRevisions(ctx context.Context, in *awsapi.BatchGetApplicationRevisionsInput) (*awsapi.BatchGetApplicationRevisionsOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	locations, err := checkedRevisions(in.Revisions, a.limits.BatchRevisions)
	if err != nil {
		return nil, err
	}
	if _, err := a.application(ctx, name); err != nil {
		return nil, err
	}
	out := &awsapi.BatchGetApplicationRevisionsOutput{ApplicationName: &name, Revisions: []awsapi.RevisionInfo{}}
	var unknown []string
	for _, location := range locations {
		revision, err := a.store.Revision(ctx, name, store.RevisionKey(location))
		switch {
		case isMissing(err):
			unknown = append(unknown, describe(location))
		case err != nil:
			return nil, fmt.Errorf("load a revision of application %s: %w", name, err)
		default:
			out.Revisions = append(out.Revisions, awsapi.RevisionInfo{RevisionLocation: &revision.Location, GenericRevisionInfo: genericInfo(revision)})
		}
	}
	out.ErrorMessage = new(notFound("revisions of application "+name, unknown))
	return out, nil
}

// notFound is the errorMessage of a batch: "" when everything was found.
func notFound(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("There are no such %s: %s", what, strings.Join(names, ", "))
}

func (a *API) listApplicationRevisions(ctx context.Context, in *awsapi.ListApplicationRevisionsInput) (*awsapi.ListApplicationRevisionsOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := checkRevisionFilters(in); err != nil {
		return nil, err
	}
	filters := *in
	filters.NextToken = nil
	p, err := a.pages.open(filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	if _, err := a.application(ctx, name); err != nil {
		return nil, err
	}
	revisions, err := a.store.Revisions(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list revisions of application %s: %w", name, err)
	}
	sortRevisions(revisions, in.SortBy, in.SortOrder)
	key := func(r store.Revision) string { return r.Key }
	revisions = following(p, revisions, key)
	revisions = slices.DeleteFunc(revisions, func(r store.Revision) bool { return !listed(r, in) })

	out := new(awsapi.ListApplicationRevisionsOutput)
	revisions, out.NextToken = cut(p, revisions, key)
	out.Revisions = make([]awsapi.RevisionLocation, len(revisions))
	for i, r := range revisions {
		out.Revisions[i] = withoutContent(r.Location)
	}
	return out, nil
}

// checkRevisionFilters checks members in the order in which the operation lists its errors (service.md 2.1).
func checkRevisionFilters(in *awsapi.ListApplicationRevisionsInput) error {
	if err := oneOf(awsapi.InvalidSortByException, "sortBy", in.SortBy); err != nil {
		return err
	}
	if err := oneOf(awsapi.InvalidSortOrderException, "sortOrder", in.SortOrder); err != nil {
		return err
	}
	bucket, prefix := awsapi.Value(in.S3Bucket), awsapi.Value(in.S3KeyPrefix)
	switch {
	case bucket != "" && !bucketPattern.MatchString(bucket):
		return failure(awsapi.InvalidBucketNameFilterException, "s3Bucket %q is not the name of a bucket; %s.", bucket, bucketRule)
	case hasControl(prefix) || len(prefix) > maxObjectKey:
		return failure(awsapi.InvalidKeyPrefixFilterException, "s3KeyPrefix must have at most %d bytes and no control characters.", maxObjectKey)
	case prefix != "" && bucket == "":
		return failure(awsapi.BucketNameFilterRequiredException, "s3KeyPrefix needs s3Bucket: say in which bucket.")
	}
	return oneOf(awsapi.InvalidDeployedStateFilterException, "deployed", in.Deployed)
}

// listed reports whether the filters let a revision through. "Deployed" are the target revisions of groups.
func listed(r store.Revision, in *awsapi.ListApplicationRevisionsInput) bool {
	if bucket := awsapi.Value(in.S3Bucket); bucket != "" {
		s3 := r.Location.S3Location
		if s3 == nil || *s3.Bucket != bucket || !strings.HasPrefix(*s3.Key, awsapi.Value(in.S3KeyPrefix)) {
			return false
		}
	}
	deployed := len(r.Info.DeploymentGroups) > 0
	return in.Deployed != awsapi.ListStateFilterActionInclude && in.Deployed != awsapi.ListStateFilterActionExclude ||
		deployed == (in.Deployed == awsapi.ListStateFilterActionInclude)
}

// sortRevisions sorts by a time, revisions without it first; without a wish they stay in the order of registration.
func sortRevisions(revisions []store.Revision, by awsapi.ApplicationRevisionSortBy, order awsapi.SortOrder) {
	moment := func(r store.Revision) awsapi.Epoch {
		switch by {
		case awsapi.ApplicationRevisionSortByFirstUsedTime:
			return r.Info.FirstUsedTime
		case awsapi.ApplicationRevisionSortByLastUsedTime:
			return r.Info.LastUsedTime
		}
		return r.Info.RegisterTime
	}
	slices.SortStableFunc(revisions, func(x, y store.Revision) int {
		c := cmp.Or(moment(x).Compare(moment(y).Time), cmp.Compare(x.Key, y.Key))
		if order == awsapi.SortOrderDescending {
			return -c
		}
		return c
	})
}

func genericInfo(r store.Revision) *awsapi.GenericRevisionInfo {
	info := r.Info
	if info.DeploymentGroups == nil {
		info.DeploymentGroups = []string{}
	}
	return &info
}
