package service

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/api"
	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/server"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// neverRaised are the errors of the model that no call of this server ends with, and why.
var neverRaised = map[string]string{
	"DeploymentAlreadyStartedException":                "no operation declares a use for it",
	"InvalidInstanceIdException":                       "no operation declares a use for it",
	"InvalidTargetException":                           "no operation declares a use for it",
	"IamUserArnRequiredException":                      "of a time before sessions; IamArnRequired took its place",
	"LifecycleHookLimitExceededException":              "hooks of Auto Scaling groups are not there yet",
	"InvalidAutoScalingGroupProcessToSuspendException": "Auto Scaling groups are not there yet",
	"ThrottlingException":                              "provoking it takes more calls than a test should make",
	"ResourceValidationException":                      "of an operation of our own, which botocore does not know",
	"OperationNotSupportedException":                   "tokens of GitHub are supported",
	"InvalidExternalIdException":                       "any text may be an external id",
}

// errorsScript makes calls that fail, without botocore's own checks, and prints the exception class of each, as
// client.exceptions has it. Its argument is the id of an in-place deployment that is under way.
const errorsScript = `
import boto3, botocore.config, json, sys
from botocore import xform_name
c = boto3.client("codedeploy", config=botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1}))
role = "arn:aws:iam::123456789012:role/CodeDeploy"
arn = "arn:aws:codedeploy:us-east-1:123456789012:"
s3 = {"revisionType": "S3", "s3Location": {"bucket": "bundles", "key": "k", "bundleType": "zip"}}
done, created, busy, blue, ecs = "d-DONE00000", "d-CREATED00", "d-READY0000", "d-READY0000", "d-TERMINATE"

def group(app="shop", **more):
    return {"applicationName": app, "deploymentGroupName": "new", "serviceRoleArn": role, **more}
def style(kind, option="WITH_TRAFFIC_CONTROL"):
    return {"deploymentType": kind, "deploymentOption": option}
def deployment(**more):
    return {"applicationName": "shop", "deploymentGroupName": "prod", "revision": s3, **more}
def of_ecs(**more):
    content = {"revisionType": "AppSpecContent", "appSpecContent": {"content": "version: 0.0"}}
    return {"applicationName": "ECS", "deploymentGroupName": ecs, "revision": content, **more}
def host(**more):
    return {"instanceName": "web-9", **more}
def tags(*names, tags=None):
    return {"instanceNames": names, "tags": tags if tags is not None else [{"Key": "k", "Value": "v"}]}
def config(**more):
    return {"deploymentConfigName": "new", **more}
hosts = {"type": "HOST_COUNT", "value": 1}
pair = {"targetGroups": [{"name": "a"}], "prodTrafficRoute": {"listenerArns": ["l"]}}
waits = {"deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
         "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE"}}
def on_ecs(service, pair):
    return group("ECS", deploymentStyle=style("BLUE_GREEN"), blueGreenDeploymentConfiguration=waits,
                 ecsServices=[{"clusterName": "c", "serviceName": service}], loadBalancerInfo={"targetGroupPairInfoList": [pair]})
whole = {"targetGroups": [{"name": "a"}, {"name": "b"}], "prodTrafficRoute": {"listenerArns": ["l"]}}
names = ["n%d" % i for i in range(101)]
many = [{"name": n} for n in names[:11]]
tag = {"Key": "k", "Value": "v", "Type": "KEY_AND_VALUE"}
topic = "arn:aws:sns:us-east-1:123456789012:t"
def trigger(n):
    return {"triggerName": n, "triggerTargetArn": topic, "triggerEvents": ["DeploymentStart"]}

calls = {
    "AlarmsLimitExceeded": ("CreateDeploymentGroup", group(alarmConfiguration={"alarms": many})),
    "ApplicationAlreadyExists": ("CreateApplication", {"applicationName": "shop"}),
    "ApplicationDoesNotExist": ("GetApplication", {"applicationName": "none"}),
    "ApplicationLimitExceeded": ("CreateApplication", {"applicationName": "more"}),
    "ApplicationNameRequired": ("GetApplication", {}),
    "ArnNotSupported": ("TagResource", {"ResourceArn": arn + "instance/web-1", "Tags": [{"Key": "k"}]}),
    "BatchLimitExceeded": ("BatchGetApplications", {"applicationNames": names}),
    "BucketNameFilterRequired": ("ListApplicationRevisions", {"applicationName": "shop", "s3KeyPrefix": "p"}),
    "DeploymentAlreadyCompleted": ("StopDeployment", {"deploymentId": done}),
    "DeploymentConfigAlreadyExists": ("CreateDeploymentConfig", {"deploymentConfigName": "mine", "minimumHealthyHosts": hosts}),
    "DeploymentConfigDoesNotExist": ("GetDeploymentConfig", {"deploymentConfigName": "none"}),
    "DeploymentConfigInUse": ("DeleteDeploymentConfig", {"deploymentConfigName": "mine"}),
    "DeploymentConfigLimitExceeded": ("CreateDeploymentConfig", config(minimumHealthyHosts=hosts)),
    "DeploymentConfigNameRequired": ("GetDeploymentConfig", {}),
    "DeploymentDoesNotExist": ("GetDeployment", {"deploymentId": "d-NONE00000"}),
    "DeploymentGroupAlreadyExists": ("CreateDeploymentGroup", {**group(), "deploymentGroupName": "prod"}),
    "DeploymentGroupDoesNotExist": ("GetDeploymentGroup", {"applicationName": "shop", "deploymentGroupName": "none"}),
    "DeploymentGroupLimitExceeded": ("CreateDeploymentGroup", group()),
    "DeploymentGroupNameRequired": ("GetDeploymentGroup", {"applicationName": "shop"}),
    "DeploymentIdRequired": ("GetDeployment", {}),
    "DeploymentIsNotInReadyState": ("ContinueDeployment", {"deploymentId": ecs, "deploymentWaitType": "READY_WAIT"}),
    "DeploymentLimitExceeded": ("CreateDeployment", deployment()),
    "DeploymentNotStarted": ("ListDeploymentTargets", {"deploymentId": created}),
    "DeploymentTargetDoesNotExist": ("GetDeploymentTarget", {"deploymentId": done, "targetId": "web-9"}),
    "DeploymentTargetIdRequired": ("GetDeploymentTarget", {"deploymentId": done}),
    "DeploymentTargetListSizeExceeded": ("BatchGetDeploymentTargets", {"deploymentId": done, "targetIds": names}),
    "DescriptionTooLong": ("RegisterApplicationRevision", {"applicationName": "shop", "revision": s3, "description": "d" * 257}),
    "ECSServiceMappingLimitExceeded": ("CreateDeploymentGroup", on_ecs("taken", whole)),
    "GitHubAccountTokenDoesNotExist": ("DeleteGitHubAccountToken", {"tokenName": "none"}),
    "GitHubAccountTokenNameRequired": ("DeleteGitHubAccountToken", {}),
    "IamArnRequired": ("RegisterOnPremisesInstance", host()),
    "IamSessionArnAlreadyRegistered": ("RegisterOnPremisesInstance", host(iamSessionArn="arn:aws:sts::123456789012:assumed-role/Hosts/web-2")),
    "IamUserArnAlreadyRegistered": ("RegisterOnPremisesInstance", host(iamUserArn="arn:aws:iam::123456789012:user/AWS/CodeDeploy/web-1")),
    "InstanceDoesNotExist": ("GetDeploymentInstance", {"deploymentId": done, "instanceId": "web-9"}),
    "InstanceIdRequired": ("GetDeploymentInstance", {"deploymentId": done}),
    "InstanceLimitExceeded": ("AddTagsToOnPremisesInstances", tags(*names)),
    "InstanceNameAlreadyRegistered": ("RegisterOnPremisesInstance", {"instanceName": "web-1", "iamUserArn": "arn:aws:iam::123456789012:user/u"}),
    "InstanceNameRequired": ("GetOnPremisesInstance", {}),
    "InstanceNotRegistered": ("GetOnPremisesInstance", {"instanceName": "none"}),
    "InvalidAlarmConfig": ("CreateDeploymentGroup", group(alarmConfiguration={"enabled": True})),
    "InvalidApplicationName": ("GetApplication", {"applicationName": "a b"}),
    "InvalidArn": ("TagResource", {"ResourceArn": "arn:aws:s3:::b", "Tags": [{"Key": "k"}]}),
    "InvalidAutoRollbackConfig": ("CreateDeploymentGroup", group(autoRollbackConfiguration={"enabled": True})),
    "InvalidAutoScalingGroup": ("CreateDeploymentGroup", {**on_ecs("free", whole), "autoScalingGroups": []}),
    "InvalidBlueGreenDeploymentConfiguration": ("CreateDeploymentGroup", group(blueGreenDeploymentConfiguration={
        "terminateBlueInstancesOnDeploymentSuccess": {"terminationWaitTimeInMinutes": 9999}})),
    "InvalidBucketNameFilter": ("ListApplicationRevisions", {"applicationName": "shop", "s3Bucket": "B!"}),
    "InvalidComputePlatform": ("CreateApplication", {"applicationName": "more", "computePlatform": "Tin"}),
    "InvalidDeployedStateFilter": ("ListApplicationRevisions", {"applicationName": "shop", "deployed": "maybe"}),
    "InvalidDeploymentConfigName": ("GetDeploymentConfig", {"deploymentConfigName": "a b"}),
    "InvalidDeploymentGroupName": ("GetDeploymentGroup", {"applicationName": "shop", "deploymentGroupName": "a b"}),
    "InvalidDeploymentId": ("GetDeployment", {"deploymentId": "d-1"}),
    "InvalidDeploymentInstanceType": ("ListDeploymentTargets", {"deploymentId": done, "targetFilters": {"ServerInstanceLabel": ["Blue"]}}),
    "InvalidDeploymentStatus": ("ListDeployments", {"includeOnlyStatuses": ["Done"]}),
    "InvalidDeploymentStyle": ("CreateDeploymentGroup", group(deploymentStyle=style("SIDEWAYS"))),
    "InvalidDeploymentTargetId": ("GetDeploymentTarget", {"deploymentId": done, "targetId": "a b"}),
    "InvalidDeploymentWaitType": ("ContinueDeployment", {"deploymentId": ecs, "deploymentWaitType": "LUNCH"}),
    "InvalidEC2Tag": ("CreateDeploymentGroup", group(ec2TagFilters=[{"Type": "KEY_ONLY"}])),
    "InvalidEC2TagCombination": ("CreateDeploymentGroup", group(ec2TagFilters=[tag], ec2TagSet={"ec2TagSetList": [[tag]]})),
    "InvalidECSService": ("CreateDeploymentGroup", group(ecsServices=[{"serviceName": "s"}])),
    "InvalidFileExistsBehavior": ("CreateDeployment", deployment(fileExistsBehavior="EAT")),
    "InvalidGitHubAccountToken": ("CreateDeployment", {**deployment(), "deploymentGroupName": "custom", "revision": {
        "revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "a" * 40}}}),
    "InvalidGitHubAccountTokenName": ("DeleteGitHubAccountToken", {"tokenName": "\t"}),
    "InvalidIamSessionArn": ("RegisterOnPremisesInstance", host(iamSessionArn="arn")),
    "InvalidIamUserArn": ("RegisterOnPremisesInstance", host(iamUserArn="arn")),
    "InvalidIgnoreApplicationStopFailuresValue": ("CreateDeployment", of_ecs(ignoreApplicationStopFailures=True)),
    "InvalidInput": ("CreateDeploymentGroup", group(outdatedInstancesStrategy="HOPE")),
    "InvalidInstanceName": ("GetOnPremisesInstance", {"instanceName": "i-web"}),
    "InvalidInstanceStatus": ("ListDeploymentTargets", {"deploymentId": done, "targetFilters": {"TargetStatus": ["Done"]}}),
    "InvalidInstanceType": ("ListDeploymentTargets", {"deploymentId": done, "targetFilters": {"ServerInstanceLabel": ["Red"]}}),
    "InvalidKeyPrefixFilter": ("ListApplicationRevisions", {"applicationName": "shop", "s3Bucket": "bucket", "s3KeyPrefix": "\n"}),
    "InvalidLifecycleEventHookExecutionId": ("PutLifecycleEventHookExecutionStatus", {
        "deploymentId": ecs, "lifecycleEventHookExecutionId": "none", "status": "Succeeded"}),
    "InvalidLifecycleEventHookExecutionStatus": ("PutLifecycleEventHookExecutionStatus", {
        "deploymentId": ecs, "lifecycleEventHookExecutionId": "none", "status": "Pending"}),
    "InvalidLoadBalancerInfo": ("CreateDeploymentGroup", group(deploymentStyle=style("IN_PLACE"))),
    "InvalidMinimumHealthyHostValue": ("CreateDeploymentConfig", config()),
    "InvalidNextToken": ("ListApplications", {"nextToken": "none"}),
    "InvalidOnPremisesTagCombination": ("CreateDeploymentGroup", group(
        onPremisesInstanceTagFilters=[tag], onPremisesTagSet={"onPremisesTagSetList": [[tag]]})),
    "InvalidOperation": ("DeleteDeploymentConfig", {"deploymentConfigName": "CodeDeployDefault.OneAtATime"}),
    "InvalidRegistrationStatus": ("ListOnPremisesInstances", {"registrationStatus": "Maybe"}),
    "InvalidRevision": ("RegisterApplicationRevision", {"applicationName": "shop", "revision": {"revisionType": "S3"}}),
    "InvalidRole": ("CreateDeploymentGroup", {**group(), "serviceRoleArn": "me"}),
    "InvalidSortBy": ("ListApplicationRevisions", {"applicationName": "shop", "sortBy": "size"}),
    "InvalidSortOrder": ("ListApplicationRevisions", {"applicationName": "shop", "sortOrder": "sideways"}),
    "InvalidTag": ("AddTagsToOnPremisesInstances", tags("web-1", tags=[{"Value": "v"}])),
    "InvalidTagFilter": ("ListOnPremisesInstances", {"tagFilters": [{}]}),
    "InvalidTagsToAdd": ("CreateApplication", {"applicationName": "more", "tags": [{"Value": "v"}]}),
    "InvalidTargetFilterName": ("ListDeploymentTargets", {"deploymentId": done, "targetFilters": {"Colour": ["Red"]}}),
    "InvalidTargetGroupPair": ("CreateDeploymentGroup", on_ecs("free", pair)),
    "InvalidTargetInstances": ("CreateDeployment", deployment(targetInstances={"tagFilters": [tag]})),
    "InvalidTimeRange": ("ListDeployments", {"createTimeRange": {"start": 2000000000, "end": 1000000000}}),
    "InvalidTrafficRoutingConfiguration": ("CreateDeploymentConfig", config(computePlatform="ECS")),
    "InvalidTriggerConfig": ("CreateDeploymentGroup", group(triggerConfigurations=[{"triggerName": "t"}])),
    "InvalidUpdateOutdatedInstancesOnlyValue": ("CreateDeployment", of_ecs(updateOutdatedInstancesOnly=True)),
    "InvalidZonalDeploymentConfiguration": ("CreateDeploymentConfig", config(
        minimumHealthyHosts=hosts, zonalConfig={"monitorDurationInSeconds": -1})),
    "LifecycleEventAlreadyCompleted": ("PutLifecycleEventHookExecutionStatus", {
        "deploymentId": "d-HOOK00000", "lifecycleEventHookExecutionId": "reported", "status": "Succeeded"}),
    "MultipleIamArnsProvided": ("RegisterOnPremisesInstance", host(
        iamUserArn="arn:aws:iam::123456789012:user/u", iamSessionArn="arn:aws:sts::123456789012:assumed-role/r/s-9")),
    "ResourceArnRequired": ("ListTagsForResource", {}),
    "RevisionDoesNotExist": ("GetApplicationRevision", {"applicationName": "shop", "revision": s3}),
    "RevisionRequired": ("RegisterApplicationRevision", {"applicationName": "shop"}),
    "RoleRequired": ("CreateDeploymentGroup", {"applicationName": "shop", "deploymentGroupName": "new"}),
    "TagLimitExceeded": ("AddTagsToOnPremisesInstances", tags("web-1", tags=[{"Key": n} for n in names[:11]])),
    "TagRequired": ("AddTagsToOnPremisesInstances", tags("web-1", tags=[])),
    "TagSetListLimitExceeded": ("CreateDeploymentGroup", group(ec2TagSet={"ec2TagSetList": [[tag]] * 4})),
    "TriggerTargetsLimitExceeded": ("CreateDeploymentGroup", group(triggerConfigurations=[trigger(n) for n in names[:11]])),
    "UnsupportedActionForDeploymentType": ("ContinueDeployment", {"deploymentId": sys.argv[1]}),
}
raised = {}
for name, (operation, arguments) in calls.items():
    try:
        getattr(c, xform_name(operation))(**arguments)
    except Exception as e:
        known = getattr(c.exceptions, name + "Exception")
        raised[name + "Exception"] = "" if type(e) is known else "%s: %s" % (operation, e)
    else:
        raised[name + "Exception"] = operation + " succeeded"
print(json.dumps(raised))
`

// service.md 15: W7
func TestErrorClassesOfBotocore(t *testing.T) {
	t.Parallel()
	if exec.Command("python3", "-c", "import boto3").Run() != nil {
		t.Skip("boto3 is missing; install it with: pip install boto3")
	}
	w := start(t,
		resting(t, "d-DONE00000", awsapi.ComputePlatformServer, deploy.Succeeded, "web-1"),
		resting(t, "d-CREATED00", awsapi.ComputePlatformServer, deploy.Created, "web-1"),
		seedLive(t, append(waiting(), live{"d-HOOK00000", awsapi.ComputePlatformECS, []deploy.Phase{
			phase(deploy.Gate{}, hook(lifecycle.AfterInstall, "reported")), phase(terminationWait)}})...),
		seed(t, func(s *sqlstore.Store) {
			ok(t, s.PutGitHubToken(t.Context(), store.GitHubToken{Name: "acme", Sealed: []byte("under a key that was lost")}, ""))
		}),
		func(o *server.Options) { o.Limits = api.Limits{Applications: 5, Groups: 3, Configs: 1} },
	)
	var raised map[string]string
	ok(t, json.Unmarshal([]byte(w.command("python3", "-c", errorsScript, w.failing())), &raised))
	for _, op := range awsapi.Operations {
		for _, name := range op.Errors {
			if _, made := raised[name]; !made && neverRaised[name] == "" {
				t.Errorf("no call here ends with %s, which %s declares", name, op.Name)
			}
		}
	}
	for name, wrong := range raised {
		if wrong != "" {
			t.Errorf("want %s, but %s", name, wrong)
		}
	}
}

// failing makes what the calls of errorsScript run into. It returns the id of an in-place deployment that is under way.
func (w *world) failing() string {
	t, ctx := w.t, w.t.Context()
	w.settled()
	w.host("web-1", tag("app", "shop"))
	ok(t, w.register("web-2", "", hostSession+"web-2"))
	w.group("shop", "prod")
	must(w.CreateDeploymentConfig(ctx, &codedeploy.CreateDeploymentConfigInput{
		DeploymentConfigName: aws.String("mine"), MinimumHealthyHosts: &types.MinimumHealthyHosts{Type: types.MinimumHealthyHostsTypeHostCount, Value: 1}}))(t)
	for _, name := range []string{"custom", "third"} {
		must(w.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), DeploymentGroupName: &name, ServiceRoleArn: aws.String(role), DeploymentConfigName: aws.String("mine")}))(t)
	}
	must(w.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("ECS"), DeploymentGroupName: aws.String("serving"), ServiceRoleArn: aws.String(role),
		DeploymentStyle: &types.DeploymentStyle{DeploymentType: types.DeploymentTypeBlueGreen, DeploymentOption: types.DeploymentOptionWithTrafficControl},
		BlueGreenDeploymentConfiguration: &types.BlueGreenDeploymentConfiguration{
			DeploymentReadyOption:                     &types.DeploymentReadyOption{ActionOnTimeout: types.DeploymentReadyActionContinueDeployment},
			TerminateBlueInstancesOnDeploymentSuccess: &types.BlueInstanceTerminationOption{Action: types.InstanceActionTerminate},
		},
		EcsServices: []types.ECSService{{ClusterName: aws.String("c"), ServiceName: aws.String("taken")}},
		LoadBalancerInfo: &types.LoadBalancerInfo{TargetGroupPairInfoList: []types.TargetGroupPairInfo{{
			TargetGroups:     []types.TargetGroupInfo{{Name: aws.String("a")}, {Name: aws.String("b")}},
			ProdTrafficRoute: &types.TrafficRoute{ListenerArns: []string{"l"}},
		}}},
	}))(t)
	ok(t, w.putToken("acme", "", "shop"))
	eventually(t, "the hook may report", func() bool { return w.report("d-HOOK00000", "reported", types.LifecycleEventStatusSucceeded) == nil })
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	eventually(t, "the deployment has started", func() bool { return w.info(id).Status == types.DeploymentStatusInProgress })
	return id
}
