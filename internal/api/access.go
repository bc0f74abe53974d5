package api

import (
	"context"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// The table: on what the caller of an operation needs its action, and what else (service.md 13). It is asked before the
// input is validated (service.md 2.1), so names may be missing or malformed: a malformed one is a part of the ARN like any
// other, a missing one leaves a wildcard in its place.

func (c *access) createApplication(in *awsapi.CreateApplicationInput) {
	c.application(in.ApplicationName)
}
func (c *access) getApplication(in *awsapi.GetApplicationInput)          { c.application(in.ApplicationName) }
func (c *access) batchGetApplications(*awsapi.BatchGetApplicationsInput) { c.application(nil) }
func (c *access) listApplications(*awsapi.ListApplicationsInput)         { c.application(nil) }
func (c *access) deleteApplication(in *awsapi.DeleteApplicationInput) {
	c.application(in.ApplicationName)
}
func (c *access) updateApplication(in *awsapi.UpdateApplicationInput) {
	c.application(in.ApplicationName)
	if awsapi.Value(in.NewApplicationName) != "" {
		c.application(in.NewApplicationName)
	}
}

func (c *access) registerApplicationRevision(in *awsapi.RegisterApplicationRevisionInput) {
	c.application(in.ApplicationName)
}
func (c *access) getApplicationRevision(in *awsapi.GetApplicationRevisionInput) {
	c.application(in.ApplicationName)
}
func (c *access) batchGetApplicationRevisions(in *awsapi.BatchGetApplicationRevisionsInput) {
	c.application(in.ApplicationName)
}
func (c *access) listApplicationRevisions(*awsapi.ListApplicationRevisionsInput) { c.application(nil) }

func (c *access) createDeploymentConfig(in *awsapi.CreateDeploymentConfigInput) {
	c.config(in.DeploymentConfigName)
}
func (c *access) getDeploymentConfig(in *awsapi.GetDeploymentConfigInput) {
	c.config(in.DeploymentConfigName)
}
func (c *access) listDeploymentConfigs(*awsapi.ListDeploymentConfigsInput) { c.config(nil) }
func (c *access) deleteDeploymentConfig(in *awsapi.DeleteDeploymentConfigInput) {
	c.config(in.DeploymentConfigName)
}

func (c *access) createDeploymentGroup(in *awsapi.CreateDeploymentGroupInput) {
	c.group(in.ApplicationName, in.DeploymentGroupName)
}
func (c *access) getDeploymentGroup(in *awsapi.GetDeploymentGroupInput) {
	c.group(in.ApplicationName, in.DeploymentGroupName)
}
func (c *access) listDeploymentGroups(in *awsapi.ListDeploymentGroupsInput) {
	c.group(in.ApplicationName, nil)
}
func (c *access) deleteDeploymentGroup(in *awsapi.DeleteDeploymentGroupInput) {
	c.group(in.ApplicationName, in.DeploymentGroupName)
}
func (c *access) batchGetDeploymentGroups(in *awsapi.BatchGetDeploymentGroupsInput) {
	for _, name := range entries(in.DeploymentGroupNames, c.api.limits.BatchApplications) {
		c.group(in.ApplicationName, &name)
	}
}
func (c *access) updateDeploymentGroup(in *awsapi.UpdateDeploymentGroupInput) {
	c.group(in.ApplicationName, in.CurrentDeploymentGroupName)
	if awsapi.Value(in.NewDeploymentGroupName) != "" {
		c.group(in.ApplicationName, in.NewDeploymentGroupName)
	}
}

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
func (c *access) getDeployment(in *awsapi.GetDeploymentInput) { c.deployment(in.DeploymentId) }
func (c *access) listDeployments(in *awsapi.ListDeploymentsInput) {
	c.group(in.ApplicationName, in.DeploymentGroupName)
}
func (c *access) stopDeployment(in *awsapi.StopDeploymentInput) { c.deployment(in.DeploymentId) }
func (c *access) continueDeployment(in *awsapi.ContinueDeploymentInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) skipWaitTimeForInstanceTermination(*awsapi.SkipWaitTimeForInstanceTerminationInput) {
	c.instance(nil)
}
func (c *access) putLifecycleEventHookExecutionStatus(in *awsapi.PutLifecycleEventHookExecutionStatusInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) deleteResourcesByExternalID(*awsapi.DeleteResourcesByExternalIdInput) {
	c.everything()
}
func (c *access) batchGetDeployments(in *awsapi.BatchGetDeploymentsInput) {
	for _, id := range entries(in.DeploymentIds, c.api.limits.BatchDeployments) {
		c.deployment(&id)
	}
}

func (c *access) listDeploymentTargets(in *awsapi.ListDeploymentTargetsInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) getDeploymentTarget(in *awsapi.GetDeploymentTargetInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) batchGetDeploymentTargets(in *awsapi.BatchGetDeploymentTargetsInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) listDeploymentInstances(in *awsapi.ListDeploymentInstancesInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) getDeploymentInstance(in *awsapi.GetDeploymentInstanceInput) {
	c.deployment(in.DeploymentId)
}
func (c *access) batchGetDeploymentInstances(in *awsapi.BatchGetDeploymentInstancesInput) {
	c.deployment(in.DeploymentId)
}

func (c *access) registerOnPremisesInstance(in *awsapi.RegisterOnPremisesInstanceInput) {
	c.instance(in.InstanceName)
}
func (c *access) deregisterOnPremisesInstance(in *awsapi.DeregisterOnPremisesInstanceInput) {
	c.instance(in.InstanceName)
}
func (c *access) getOnPremisesInstance(in *awsapi.GetOnPremisesInstanceInput) {
	c.instance(in.InstanceName)
}
func (c *access) batchGetOnPremisesInstances(*awsapi.BatchGetOnPremisesInstancesInput) {
	c.everything()
}
func (c *access) listOnPremisesInstances(*awsapi.ListOnPremisesInstancesInput) { c.everything() }
func (c *access) addTagsToOnPremisesInstances(in *awsapi.AddTagsToOnPremisesInstancesInput) {
	c.instances(in.InstanceNames)
}
func (c *access) removeTagsFromOnPremisesInstances(in *awsapi.RemoveTagsFromOnPremisesInstancesInput) {
	c.instances(in.InstanceNames)
}

func (c *access) tagResource(in *awsapi.TagResourceInput)                 { c.named(in.ResourceArn) }
func (c *access) untagResource(in *awsapi.UntagResourceInput)             { c.named(in.ResourceArn) }
func (c *access) listTagsForResource(in *awsapi.ListTagsForResourceInput) { c.named(in.ResourceArn) }

func (c *access) listGitHubAccountTokenNames(*awsapi.ListGitHubAccountTokenNamesInput) {
	c.everything()
}
func (c *access) deleteGitHubAccountToken(*awsapi.DeleteGitHubAccountTokenInput) { c.everything() }

// access is one call whose caller is being asked about. After the first refusal it asks no more.
type access struct {
	ctx       context.Context
	api       *API
	operation string
	loaded    []store.Deployment // what was read to find out what the call is about
	err       error              // why the call is refused
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

// deployment is the group of a deployment. Of one that does not exist it is all groups; and who may not see a deployment
// hears what he would hear if it did not exist, not which group it belongs to.
func (c *access) deployment(id *string) {
	if c.err != nil {
		return
	}
	anywhere := c.api.arns.group(nil, nil)
	d, err := c.load(awsapi.Value(id))
	if isMissing(err) {
		c.needs(c.operation, anywhere)
		return
	}
	if err != nil {
		c.err = fmt.Errorf("find the group of deployment %s: %w", *id, err)
		return
	}
	c.loaded = append(c.loaded, d)
	c.err = c.ask(c.operation, c.api.arns.group(d.Info.ApplicationName, d.Info.DeploymentGroupName))
	if c.err != nil {
		if err := c.ask(c.operation, anywhere); err != nil {
			c.err = err
		}
	}
}

func (c *access) load(id string) (store.Deployment, error) {
	if !deploymentIDPattern.MatchString(id) {
		return store.Deployment{}, store.ErrNotFound
	}
	return c.api.store.Deployment(c.ctx, id)
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

type loadedKey struct{}

// context is the operation's. It takes along what was read here, because reading a deployment is most of what
// GetDeployment costs: nobody is to pay for it twice.
func (c *access) context() context.Context {
	if c.loaded == nil {
		return c.ctx
	}
	return context.WithValue(c.ctx, loadedKey{}, c.loaded)
}

// loadDeployment returns a deployment as it was when the caller's access to it was checked, or else loads it.
func (a *API) loadDeployment(ctx context.Context, id string) (store.Deployment, error) {
	loaded, _ := ctx.Value(loadedKey{}).([]store.Deployment)
	for _, d := range loaded {
		if *d.Info.DeploymentId == id {
			return d, nil
		}
	}
	return a.store.Deployment(ctx, id)
}
