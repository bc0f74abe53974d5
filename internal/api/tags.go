package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// checkResourceTags checks the tags of an application or a deployment group.
func (l Limits) checkResourceTags(tags []awsapi.Tag) error {
	if len(tags) > l.ResourceTags {
		return failure(awsapi.InvalidTagsToAddException, "A resource may have %d tags; remove some first.", l.ResourceTags)
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		key, value := awsapi.Value(tag.Key), awsapi.Value(tag.Value)
		switch {
		case !lengthWithin(key, 1, maxTagKey):
			return failure(awsapi.InvalidTagsToAddException, "Tag key %q must have 1 to %d characters.", key, maxTagKey)
		case !lengthWithin(value, 0, maxTagValue):
			return failure(awsapi.InvalidTagsToAddException, "The value of tag %q may have %d characters.", key, maxTagValue)
		case seen[key]:
			return failure(awsapi.InvalidTagsToAddException, "Tag key %q is given twice; a resource has one value per key.", key)
		}
		seen[key] = true
	}
	return nil
}

func (a *API) tagResource(ctx context.Context, in *awsapi.TagResourceInput) (*awsapi.TagResourceOutput, error) {
	resource, err := a.taggable(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, missing(awsapi.TagRequiredException, "Tags")
	}
	if err := a.limits.checkResourceTags(in.Tags); err != nil {
		return nil, err
	}
	return &awsapi.TagResourceOutput{}, a.retag(ctx, resource, func(tags []awsapi.Tag) ([]awsapi.Tag, error) {
		for _, tag := range in.Tags {
			tags = slices.DeleteFunc(tags, func(t awsapi.Tag) bool { return *t.Key == *tag.Key })
			tags = append(tags, awsapi.Tag{Key: tag.Key, Value: new(awsapi.Value(tag.Value))})
		}
		return tags, a.limits.checkResourceTags(tags)
	})
}

func (a *API) untagResource(ctx context.Context, in *awsapi.UntagResourceInput) (*awsapi.UntagResourceOutput, error) {
	resource, err := a.taggable(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, missing(awsapi.TagRequiredException, "TagKeys")
	}
	return &awsapi.UntagResourceOutput{}, a.retag(ctx, resource, func(tags []awsapi.Tag) ([]awsapi.Tag, error) {
		return slices.DeleteFunc(tags, func(t awsapi.Tag) bool { return slices.Contains(in.TagKeys, *t.Key) }), nil
	})
}

// listTagsForResource lists tags in the order in which they were added.
func (a *API) listTagsForResource(ctx context.Context, in *awsapi.ListTagsForResourceInput) (*awsapi.ListTagsForResourceOutput, error) {
	resource, err := a.taggable(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	p, err := a.pages.open(awsapi.ListTagsForResourceInput{ResourceArn: in.ResourceArn}, in.NextToken)
	if err != nil {
		return nil, err
	}
	tags, err := a.resourceTags(ctx, resource)
	if refused := (*awsjson.Error)(nil); errors.As(err, &refused) {
		// The model gives this operation no error for a missing resource: to it, an ARN without one is invalid.
		return nil, failure(awsapi.InvalidArnException, "%s", refused.Message)
	}
	if err != nil {
		return nil, err
	}
	key := func(t awsapi.Tag) string { return awsapi.Value(t.Key) }
	out := new(awsapi.ListTagsForResourceOutput)
	out.Tags, out.NextToken = cut(p, following(p, tags, key), key)
	return out, nil
}

// resource is what an ARN names: an application, or one of its groups.
type resource struct{ application, group string }

// maxARN is the length of the longest ARN in characters (service.md 12).
const maxARN = 1011

// taggable reads the ARN of a resource that has tags. Of the kinds that AWS may or may not tag, this server tags none.
func (a *API) taggable(arn *string) (resource, error) {
	if awsapi.Value(arn) == "" {
		return resource{}, missing(awsapi.ResourceArnRequiredException, "ResourceArn")
	}
	kind, name, ok := a.arns.resource(*arn)
	if !ok || len(*arn) > maxARN {
		return resource{}, failure(awsapi.InvalidArnException, "%q is not an ARN of this server; one looks like %sapplication:NAME or %sdeploymentgroup:APPLICATION/GROUP.",
			*arn, a.arns.prefix(), a.arns.prefix())
	}
	application, group, hasGroup := strings.Cut(name, "/")
	switch {
	case kind == "application" && !hasGroup, kind == "deploymentgroup" && group != "":
		return resource{application, group}, nil
	case kind == "application", kind == "deploymentgroup":
		return resource{}, failure(awsapi.InvalidArnException, "%q names no %s.", *arn, kind)
	}
	return resource{}, failure(awsapi.ArnNotSupportedException, "Applications and deployment groups have tags; %q names neither.", *arn)
}

func (a *API) resourceTags(ctx context.Context, r resource) ([]awsapi.Tag, error) {
	if r.group == "" {
		app, err := a.application(ctx, r.application)
		return app.Tags, err
	}
	group, err := a.group(ctx, r.application, r.group)
	return group.Tags, err
}

// retag loads the tags of a resource, changes them and stores them.
func (a *API) retag(ctx context.Context, r resource, change func([]awsapi.Tag) ([]awsapi.Tag, error)) error {
	return untilCurrent(func() error { return a.retagOnce(ctx, r, change) })
}

func (a *API) retagOnce(ctx context.Context, r resource, change func([]awsapi.Tag) ([]awsapi.Tag, error)) error {
	if r.group == "" {
		app, err := a.application(ctx, r.application)
		if err != nil {
			return err
		}
		if app.Tags, err = change(app.Tags); err != nil {
			return err
		}
		err = a.store.UpdateApplication(ctx, r.application, app)
		return instead(err, store.ErrNotFound, applicationDoesNotExist(r.application), "tag application "+r.application)
	}
	group, err := a.group(ctx, r.application, r.group)
	if err != nil {
		return err
	}
	if group.Tags, err = change(group.Tags); err != nil {
		return err
	}
	err = a.store.UpdateGroup(ctx, r.application, r.group, group)
	return instead(err, store.ErrNotFound, groupDoesNotExist(r.application, r.group), "tag deployment group "+r.group)
}
