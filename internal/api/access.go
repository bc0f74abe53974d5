package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// access is one call whose caller is being asked about. After the first refusal it asks no more.
type access struct {
	ctx       context.Context
	api       *API
	operation string
	loaded    map[string]store.Deployment // by id; for the operation, which finds them with deploymentSeen
	err       error                       // why the call is refused
}

// needs asks whether the caller may perform an action on a resource.
func (c *access) needs(action, resource string) {
	if c.err == nil {
		c.err = c.ask(action, resource)
	}
}

// needsEither asks whether the caller may perform one of two actions on a resource.
func (c *access) needsEither(action, other, resource string) {
	if c.err == nil && c.ask(action, resource) != nil {
		c.err = c.ask(other, resource)
	}
}

func (c *access) ask(action, resource string) error {
	return c.api.authorize(c.ctx, "codedeploy:"+action, resource)
}

func (c *access) application(name *string) { c.needs(c.operation, c.api.arns.application(name)) }
func (c *access) group(application, name *string) {
	c.needs(c.operation, c.api.arns.group(application, name))
}
func (c *access) config(name *string)   { c.needs(c.operation, c.api.arns.config(name)) }
func (c *access) instance(name *string) { c.needs(c.operation, c.api.arns.instance(name)) }
func (c *access) everything()           { c.needs(c.operation, c.api.arns.prefix()+"*") }

// host is somebody who will be a host, and may do nothing else then.
func (c *access) host(arn *string) {
	if c.err == nil && awsapi.Value(arn) != "" {
		c.err = c.api.allowHost(c.ctx, *arn)
	}
}

func (c *access) instances(names []string) {
	for _, name := range entries(names, c.api.limits.TaggedHosts) {
		c.instance(&name)
	}
}

// named is a resource of which the call gives the ARN.
func (c *access) named(arn *string) {
	if awsapi.Value(arn) == "" {
		c.everything()
		return
	}
	c.needs(c.operation, *arn)
}

// deployment is the group of a deployment. Who may not see a deployment hears the same as of one that does not exist, and
// not which group it belongs to.
func (c *access) deployment(id *string) {
	if c.err != nil {
		return
	}
	d, err := c.load(awsapi.Value(id))
	switch {
	case isMissing(err):
		c.err = c.unseen(id)
		return
	case err != nil:
		c.err = fmt.Errorf("find the group of deployment %s: %w", *id, err)
		return
	}
	group := c.api.arns.group(d.Info.ApplicationName, d.Info.DeploymentGroupName)
	c.err = c.ask(c.operation, group)
	store.AuditOf(c.ctx).Note("codedeploy:"+c.operation, *id) // which of the group's deployments
	if c.err != nil && c.ask("GetDeployment", group) != nil {
		// Who is denied this group alone may see all others: to him it is no secret.
		c.err = cmp.Or(c.unseen(id), c.err)
	}
}

// unseen asks about a deployment of which the caller cannot know the group: whether the action is allowed on all groups.
func (c *access) unseen(id *string) error {
	err := c.ask(c.operation, c.api.arns.group(nil, nil))
	if refused := (*awsjson.Error)(nil); errors.As(err, &refused) {
		return failure(refused.Name, "%s. The resource stands for the group of deployment %s, if there is one: a right on that group is enough.",
			refused.Message, awsapi.Value(id))
	}
	return err
}

// MayRead returns nil if the caller, who is in the context, may get the deployment, for services that show more of it.
func (a *API) MayRead(ctx context.Context, deployment string) error {
	caller := access{ctx: ctx, api: a, operation: "GetDeployment"}
	caller.deployment(&deployment)
	return caller.err
}

func (c *access) load(id string) (store.Deployment, error) {
	if !deploymentIDPattern.MatchString(id) {
		return store.Deployment{}, store.ErrNotFound
	}
	d, err := c.api.store.Deployment(c.ctx, id)
	if err == nil {
		if c.loaded == nil {
			c.loaded = map[string]store.Deployment{}
		}
		c.loaded[id] = d
	}
	return d, err
}

// loadedKey is where the context of an operation has access.loaded.
type loadedKey struct{}

// deploymentSeen returns a deployment as it was when the caller was asked about, so that an operation works on what its
// caller was allowed, or else as it is now.
func (a *API) deploymentSeen(ctx context.Context, id string) (store.Deployment, error) {
	loaded, _ := ctx.Value(loadedKey{}).(map[string]store.Deployment)
	if d, ok := loaded[id]; ok {
		return d, nil
	}
	return a.store.Deployment(ctx, id)
}

// createDeployment needs more than the right on the group: for what the call overrides, uses and may register.
func (c *access) createDeployment(in *awsapi.CreateDeploymentInput) {
	c.group(in.ApplicationName, in.DeploymentGroupName)
	if in.OverrideAlarmConfiguration != nil {
		c.needs("UpdateDeploymentGroup", c.api.arns.group(in.ApplicationName, in.DeploymentGroupName))
	}
	if config := c.configOf(in); config != nil {
		c.needs("GetDeploymentConfig", c.api.arns.config(config))
	}
	c.needsEither("RegisterApplicationRevision", "GetApplicationRevision", c.api.arns.application(in.ApplicationName))
}

// configOf names the config that a deployment is to have: that of the call, or else its group's. It is nil when there is
// no such group: the operation says so to everyone who may deploy to a group of this name.
func (c *access) configOf(in *awsapi.CreateDeploymentInput) *string {
	if in.DeploymentConfigName != nil || c.err != nil {
		return in.DeploymentConfigName
	}
	group, err := c.api.store.Group(c.ctx, awsapi.Value(in.ApplicationName), awsapi.Value(in.DeploymentGroupName))
	if err != nil && !isMissing(err) {
		c.err = fmt.Errorf("find the config of deployment group %s: %w", awsapi.Value(in.DeploymentGroupName), err)
	}
	return group.Info.DeploymentConfigName
}

// entries are those of a batch that count. Of an empty one it is a missing name; of one that is too long, as many as may
// be: the operation refuses it.
func entries(names []string, limit int) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names[:min(len(names), limit)]
}
