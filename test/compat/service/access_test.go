package service

//lint:file-ignore SA1019 the older calls are called on purpose: clients make them

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"grapnel/internal/awsapi"
	"grapnel/internal/sigv4"
)

// ours begins the ARN of everything of CodeDeploy on the server.
const ours = "arn:aws:codedeploy:" + region + ":" + account + ":"

// person is a user with one inline policy.
type person struct {
	*codedeploy.Client
	t    *testing.T
	iam  *iam.Client
	name string
}

// person makes a user without rights.
func (w *world) person(name string) person {
	w.t.Helper()
	api := w.iam()
	must(api.CreateUser(w.t.Context(), &iam.CreateUserInput{UserName: &name}))(w.t)
	key := must(api.CreateAccessKey(w.t.Context(), &iam.CreateAccessKeyInput{UserName: &name}))(w.t).AccessKey
	creds := sigv4.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
	return person{Client: w.as(creds), t: w.t, iam: api, name: name}
}

// statement is one of a policy. A resource is what follows the account in its ARN.
type statement struct{ effect, action, resource string }

func allow(action, resource string) statement { return statement{"Allow", action, resource} }
func deny(action, resource string) statement  { return statement{"Deny", action, resource} }

// may replaces the person's policy.
func (p person) may(statements ...statement) {
	p.t.Helper()
	var list []map[string]string
	for _, s := range statements {
		list = append(list, map[string]string{"Effect": s.effect, "Action": "codedeploy:" + s.action, "Resource": ours + s.resource})
	}
	document, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	ok(p.t, err)
	must(p.iam.PutUserPolicy(p.t.Context(), &iam.PutUserPolicyInput{
		UserName: &p.name, PolicyName: aws.String("rights"), PolicyDocument: aws.String(string(document)),
	}))(p.t)
}

// denied runs a call and reports whether the server denied it.
func denied[Out any](_ Out, err error) bool { return code(err) == "AccessDeniedException" }

// need is a call with the pairs of an action and a resource that its caller needs, and no more.
type need struct {
	call func(*codedeploy.Client) error
	of   []string
}

// calls is a call that needs its own action on resources, or "ACTION RESOURCE".
func calls[In, Out any](operation func(*codedeploy.Client, context.Context, *In, ...func(*codedeploy.Options)) (*Out, error), in *In, of ...string) need {
	return need{of: of, call: func(c *codedeploy.Client) error {
		_, err := operation(c, context.Background(), in)
		return err
	}}
}

// Everybody needs for each call exactly what service.md 13 says: with nothing else it goes through, and each of it denied
// it does not. Where the resource is the wildcard, a right on some names is not enough.
//
// service.md 15: K261
func TestRightsOfEveryOperation(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	p := w.person("deployer")
	of := needs(id)
	for _, operation := range awsapi.Operations {
		n, listed := of[operation.Name]
		if !listed {
			t.Errorf("%s is not tried", operation.Name)
			continue
		}
		var all []statement
		for _, pair := range n.of {
			action, resource, also := strings.Cut(pair, " ")
			if !also {
				action, resource = operation.Name, pair
			}
			all = append(all, allow(action, resource))
		}
		p.may(all...)
		if err := n.call(p.Client); code(err) == "AccessDeniedException" {
			t.Errorf("%s with all that it needs: %v", operation.Name, err)
		}
		for i, s := range all {
			p.may(allow("*", "*"), deny(s.action, s.resource))
			if stem, wild := strings.CutSuffix(s.resource, "*"); wild {
				p.may(append(slices.Delete(slices.Clone(all), i, i+1), allow("*", stem+"shop*"))...)
			}
			if err := n.call(p.Client); code(err) != "AccessDeniedException" {
				t.Errorf("%s without %s on %s: %v", operation.Name, s.action, s.resource, err)
			}
		}
	}
}

// needs is section 13 for an application shop with a group prod, and its deployment with this id.
func needs(id string) map[string]need {
	type c = codedeploy.Client
	str := aws.String
	shop, prod, names := str("shop"), str("prod"), []string{"prod", "test"}
	const application, group, config, host = "application:shop", "deploymentgroup:shop/prod", "deploymentconfig:half", "instance/web-1"
	hosts, tags := []string{"web-1", "web-2"}, []types.Tag{tag("app", "shop")}
	arn := str(ours + group)
	return map[string]need{
		"CreateApplication":    calls((*c).CreateApplication, &codedeploy.CreateApplicationInput{ApplicationName: shop}, application),
		"GetApplication":       calls((*c).GetApplication, &codedeploy.GetApplicationInput{ApplicationName: shop}, application),
		"BatchGetApplications": calls((*c).BatchGetApplications, &codedeploy.BatchGetApplicationsInput{ApplicationNames: []string{"shop"}}, "application:*"),
		"ListApplications":     calls((*c).ListApplications, &codedeploy.ListApplicationsInput{}, "application:*"),
		"UpdateApplication": calls((*c).UpdateApplication,
			&codedeploy.UpdateApplicationInput{ApplicationName: str("old"), NewApplicationName: str("new")}, "application:old", "application:new"),
		"DeleteApplication": calls((*c).DeleteApplication, &codedeploy.DeleteApplicationInput{ApplicationName: str("old")}, "application:old"),

		"RegisterApplicationRevision": calls((*c).RegisterApplicationRevision,
			&codedeploy.RegisterApplicationRevisionInput{ApplicationName: shop, Revision: bundle("1.zip")}, application),
		"GetApplicationRevision": calls((*c).GetApplicationRevision,
			&codedeploy.GetApplicationRevisionInput{ApplicationName: shop, Revision: bundle("1.zip")}, application),
		"BatchGetApplicationRevisions": calls((*c).BatchGetApplicationRevisions,
			&codedeploy.BatchGetApplicationRevisionsInput{ApplicationName: shop, Revisions: []types.RevisionLocation{*bundle("1.zip")}}, application),
		"ListApplicationRevisions": calls((*c).ListApplicationRevisions, &codedeploy.ListApplicationRevisionsInput{ApplicationName: shop}, "application:*"),

		"CreateDeploymentConfig": calls((*c).CreateDeploymentConfig, &codedeploy.CreateDeploymentConfigInput{DeploymentConfigName: str("half")}, config),
		"GetDeploymentConfig":    calls((*c).GetDeploymentConfig, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: str("half")}, config),
		"ListDeploymentConfigs":  calls((*c).ListDeploymentConfigs, &codedeploy.ListDeploymentConfigsInput{}, "deploymentconfig:*"),
		"DeleteDeploymentConfig": calls((*c).DeleteDeploymentConfig, &codedeploy.DeleteDeploymentConfigInput{DeploymentConfigName: str("half")}, config),

		"CreateDeploymentGroup": calls((*c).CreateDeploymentGroup,
			&codedeploy.CreateDeploymentGroupInput{ApplicationName: shop, DeploymentGroupName: prod, ServiceRoleArn: str(role)}, group),
		"GetDeploymentGroup": calls((*c).GetDeploymentGroup, &codedeploy.GetDeploymentGroupInput{ApplicationName: shop, DeploymentGroupName: prod}, group),
		"BatchGetDeploymentGroups": calls((*c).BatchGetDeploymentGroups,
			&codedeploy.BatchGetDeploymentGroupsInput{ApplicationName: shop, DeploymentGroupNames: names}, group, "deploymentgroup:shop/test"),
		"ListDeploymentGroups": calls((*c).ListDeploymentGroups, &codedeploy.ListDeploymentGroupsInput{ApplicationName: shop}, "deploymentgroup:shop/*"),
		"UpdateDeploymentGroup": calls((*c).UpdateDeploymentGroup, &codedeploy.UpdateDeploymentGroupInput{
			ApplicationName: shop, CurrentDeploymentGroupName: str("old"), NewDeploymentGroupName: str("new"),
		}, "deploymentgroup:shop/old", "deploymentgroup:shop/new"),
		"DeleteDeploymentGroup": calls((*c).DeleteDeploymentGroup,
			&codedeploy.DeleteDeploymentGroupInput{ApplicationName: shop, DeploymentGroupName: str("old")}, "deploymentgroup:shop/old"),

		"CreateDeployment": calls((*c).CreateDeployment,
			&codedeploy.CreateDeploymentInput{ApplicationName: shop, DeploymentGroupName: prod, Revision: bundle("1.zip")},
			group, "GetDeploymentConfig deploymentconfig:CodeDeployDefault.OneAtATime", "*ApplicationRevision "+application),
		"GetDeployment":       calls((*c).GetDeployment, &codedeploy.GetDeploymentInput{DeploymentId: &id}, group),
		"BatchGetDeployments": calls((*c).BatchGetDeployments, &codedeploy.BatchGetDeploymentsInput{DeploymentIds: []string{id}}, group),
		"ListDeployments":     calls((*c).ListDeployments, &codedeploy.ListDeploymentsInput{}, "deploymentgroup:*"),
		"StopDeployment":      calls((*c).StopDeployment, &codedeploy.StopDeploymentInput{DeploymentId: &id}, group),
		"ContinueDeployment":  calls((*c).ContinueDeployment, &codedeploy.ContinueDeploymentInput{DeploymentId: &id}, group),
		"SkipWaitTimeForInstanceTermination": calls((*c).SkipWaitTimeForInstanceTermination,
			&codedeploy.SkipWaitTimeForInstanceTerminationInput{DeploymentId: &id}, "instance/*"),
		"PutLifecycleEventHookExecutionStatus": calls((*c).PutLifecycleEventHookExecutionStatus,
			&codedeploy.PutLifecycleEventHookExecutionStatusInput{DeploymentId: &id}, group),
		"DeleteResourcesByExternalId": calls((*c).DeleteResourcesByExternalId, &codedeploy.DeleteResourcesByExternalIdInput{}, "*"),

		"ListDeploymentTargets": calls((*c).ListDeploymentTargets, &codedeploy.ListDeploymentTargetsInput{DeploymentId: &id}, group),
		"GetDeploymentTarget":   calls((*c).GetDeploymentTarget, &codedeploy.GetDeploymentTargetInput{DeploymentId: &id, TargetId: str("web-1")}, group),
		"BatchGetDeploymentTargets": calls((*c).BatchGetDeploymentTargets,
			&codedeploy.BatchGetDeploymentTargetsInput{DeploymentId: &id, TargetIds: hosts}, group),
		"ListDeploymentInstances": calls((*c).ListDeploymentInstances, &codedeploy.ListDeploymentInstancesInput{DeploymentId: &id}, group),
		"GetDeploymentInstance":   calls((*c).GetDeploymentInstance, &codedeploy.GetDeploymentInstanceInput{DeploymentId: &id, InstanceId: str("web-1")}, group),
		"BatchGetDeploymentInstances": calls((*c).BatchGetDeploymentInstances,
			&codedeploy.BatchGetDeploymentInstancesInput{DeploymentId: &id, InstanceIds: hosts}, group),

		"RegisterOnPremisesInstance":   calls((*c).RegisterOnPremisesInstance, &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: str("web-1")}, host),
		"DeregisterOnPremisesInstance": calls((*c).DeregisterOnPremisesInstance, &codedeploy.DeregisterOnPremisesInstanceInput{InstanceName: str("web-1")}, host),
		"GetOnPremisesInstance":        calls((*c).GetOnPremisesInstance, &codedeploy.GetOnPremisesInstanceInput{InstanceName: str("web-1")}, host),
		"BatchGetOnPremisesInstances":  calls((*c).BatchGetOnPremisesInstances, &codedeploy.BatchGetOnPremisesInstancesInput{InstanceNames: hosts}, "*"),
		"ListOnPremisesInstances":      calls((*c).ListOnPremisesInstances, &codedeploy.ListOnPremisesInstancesInput{}, "*"),
		"AddTagsToOnPremisesInstances": calls((*c).AddTagsToOnPremisesInstances,
			&codedeploy.AddTagsToOnPremisesInstancesInput{InstanceNames: hosts, Tags: tags}, host, "instance/web-2"),
		"RemoveTagsFromOnPremisesInstances": calls((*c).RemoveTagsFromOnPremisesInstances,
			&codedeploy.RemoveTagsFromOnPremisesInstancesInput{InstanceNames: hosts, Tags: tags}, host, "instance/web-2"),

		"TagResource":         calls((*c).TagResource, &codedeploy.TagResourceInput{ResourceArn: arn, Tags: tags}, group),
		"UntagResource":       calls((*c).UntagResource, &codedeploy.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"app"}}, group),
		"ListTagsForResource": calls((*c).ListTagsForResource, &codedeploy.ListTagsForResourceInput{ResourceArn: arn}, group),

		"ListGitHubAccountTokenNames": calls((*c).ListGitHubAccountTokenNames, &codedeploy.ListGitHubAccountTokenNamesInput{}, "*"),
		"DeleteGitHubAccountToken":    calls((*c).DeleteGitHubAccountToken, &codedeploy.DeleteGitHubAccountTokenInput{TokenName: str("me")}, "*"),
	}
}

// service.md 15: K262
func TestSeparatorsInResourcesAreLiteral(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	p := w.person("deployer")
	p.may(allow("*", "application/shop"), allow("*", "deploymentgroup/shop/prod"), allow("*", "deploymentgroup:shop:prod"), allow("*", "instance:web-1"))
	ctx := t.Context()
	if !denied(p.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")})) {
		t.Error("application/shop opens application:shop")
	}
	if !denied(p.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod")})) {
		t.Error("deploymentgroup/shop/prod or deploymentgroup:shop:prod opens deploymentgroup:shop/prod")
	}
	if !denied(p.GetOnPremisesInstance(ctx, &codedeploy.GetOnPremisesInstanceInput{InstanceName: aws.String("web-1")})) {
		t.Error("instance:web-1 opens instance/web-1")
	}
}

// service.md 15: K263
func TestRenameNeedsRightsOnBothNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	p := w.person("deployer")
	group := codedeploy.UpdateDeploymentGroupInput{
		ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("prod"), NewDeploymentGroupName: aws.String("live"),
	}
	application := codedeploy.UpdateApplicationInput{ApplicationName: aws.String("shop"), NewApplicationName: aws.String("store")}
	for _, name := range []string{"prod", "live"} {
		p.may(allow("UpdateDeploymentGroup", "deploymentgroup:shop/"+name))
		if !denied(p.UpdateDeploymentGroup(t.Context(), &group)) {
			t.Errorf("a right on %s alone renames the group", name)
		}
	}
	for _, name := range []string{"shop", "store"} {
		p.may(allow("UpdateApplication", "application:"+name))
		if !denied(p.UpdateApplication(t.Context(), &application)) {
			t.Errorf("a right on %s alone renames the application", name)
		}
	}
	p.may(allow("UpdateDeploymentGroup", "deploymentgroup:shop/prod"), allow("UpdateDeploymentGroup", "deploymentgroup:shop/live"),
		allow("UpdateApplication", "application:shop"), allow("UpdateApplication", "application:store"))
	must(p.UpdateDeploymentGroup(t.Context(), &group))(t)
	must(p.UpdateApplication(t.Context(), &application))(t)
}

// service.md 15: K264, K265
func TestDeployingNeedsRightsOnWhatItUses(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	p := w.person("deployer")
	var (
		create   = allow("CreateDeployment", "deploymentgroup:shop/prod")
		update   = allow("UpdateDeploymentGroup", "deploymentgroup:shop/prod")
		groups   = allow("GetDeploymentConfig", "deploymentconfig:CodeDeployDefault.OneAtATime")
		atOnce   = allow("GetDeploymentConfig", "deploymentconfig:CodeDeployDefault.AllAtOnce")
		register = allow("RegisterApplicationRevision", "application:shop")
		get      = allow("GetApplicationRevision", "application:shop")
		plain    = codedeploy.CreateDeploymentInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"), Revision: bundle("1.zip")}
	)
	withConfig, withAlarms := plain, plain
	withConfig.DeploymentConfigName = aws.String("CodeDeployDefault.AllAtOnce")
	withAlarms.OverrideAlarmConfiguration = &types.AlarmConfiguration{}
	for _, tt := range []struct {
		name    string
		in      codedeploy.CreateDeploymentInput
		rights  []statement
		allowed bool
	}{
		{"no right on the config of the group", plain, []statement{create, register, atOnce}, false},
		{"no right on the revision", plain, []statement{create, groups}, false},
		{"no right on the group", plain, []statement{groups, register}, false},
		{"all of them", plain, []statement{create, groups, register}, true},
		{"the right to use what is registered", plain, []statement{create, groups, get}, true},
		{"no right on the config that is named", withConfig, []statement{create, groups, register}, false},
		{"the config that is named", withConfig, []statement{create, atOnce, register}, true},
		{"alarms without the right to change the group", withAlarms, []statement{create, groups, register}, false},
		{"alarms", withAlarms, []statement{create, update, groups, register}, true},
	} {
		p.may(tt.rights...)
		out, err := p.CreateDeployment(t.Context(), &tt.in)
		if denied(out, err) == tt.allowed || tt.allowed && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			w.ends(*out.DeploymentId, types.DeploymentStatusFailed) // there are no hosts
		}
	}
}

// What the scripts of a deployment write is for those who may see the deployment. Who may not hears nothing of it, not even
// whether it exists, also in the middle of its log.
func TestLogsNeedARightOnTheDeployment(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.group("shop", "prod")
	deployment := w.deploy("shop", "prod", bundle("1.zip"))
	ann := w.user("ann", "")
	may := func(policy string) {
		t.Helper()
		must(w.iam().PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("rights"),
			PolicyDocument: aws.String(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "grapnel:*", "Resource": "*"}, ` + policy + `]}`)}))(t)
	}
	read := func(id string, after int64) error {
		return w.grapnel(ann, "GetDeploymentLog", awsapi.GetDeploymentLogInput{DeploymentId: &id, After: after}, nil)
	}
	may(`{"Effect": "Allow", "Action": "codedeploy:*", "Resource": "` + ours + `deploymentgroup:books/*"}`)
	for _, after := range []int64{0, 1} {
		refuses(t, read(deployment, after), "AccessDeniedException")
		refuses(t, read("d-NONE00000", after), "AccessDeniedException")
	}
	if seen, unseen := read(deployment, 0).Error(), read("d-NONE00000", 0).Error(); strings.ReplaceAll(seen, deployment, "d-NONE00000") != unseen {
		t.Errorf("%s\nis told of a deployment that there is, and of one that there is not:\n%s", seen, unseen)
	}
	may(`{"Effect": "Allow", "Action": "codedeploy:GetDeployment", "Resource": "` + ours + `deploymentgroup:shop/prod"}`)
	ok(t, read(deployment, 0))
	may(`{"Effect": "Allow", "Action": "codedeploy:Get*", "Resource": "*"}`)
	ok(t, read(deployment, 0))
	refuses(t, read("d-NONE00000", 0), "DeploymentDoesNotExistException")
}
