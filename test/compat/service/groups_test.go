package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/awsapi"
)

// settings are the members that create and update of a deployment group share.
type settings = codedeploy.CreateDeploymentGroupInput

// newGroup tries to make a group of an application.
func (w *world) newGroup(application, name string, change func(*settings)) error {
	in := &settings{ApplicationName: &application, DeploymentGroupName: &name, ServiceRoleArn: aws.String(role)}
	if change != nil {
		change(in)
	}
	_, err := w.CreateDeploymentGroup(w.t.Context(), in)
	return err
}

// changeGroup tries to give a group the settings.
func (w *world) changeGroup(application, name string, change func(*settings)) error {
	var s settings
	change(&s)
	_, err := w.UpdateDeploymentGroup(w.t.Context(), &codedeploy.UpdateDeploymentGroupInput{
		ApplicationName: &application, CurrentDeploymentGroupName: &name, ServiceRoleArn: s.ServiceRoleArn,
		DeploymentConfigName: s.DeploymentConfigName, Ec2TagFilters: s.Ec2TagFilters, Ec2TagSet: s.Ec2TagSet,
		OnPremisesInstanceTagFilters: s.OnPremisesInstanceTagFilters, OnPremisesTagSet: s.OnPremisesTagSet,
		AutoScalingGroups: s.AutoScalingGroups, TriggerConfigurations: s.TriggerConfigurations, AlarmConfiguration: s.AlarmConfiguration,
		AutoRollbackConfiguration: s.AutoRollbackConfiguration, DeploymentStyle: s.DeploymentStyle, LoadBalancerInfo: s.LoadBalancerInfo,
		BlueGreenDeploymentConfiguration: s.BlueGreenDeploymentConfiguration, EcsServices: s.EcsServices,
		OutdatedInstancesStrategy: s.OutdatedInstancesStrategy, TerminationHookEnabled: s.TerminationHookEnabled,
	})
	return err
}

// shown returns a group as GetDeploymentGroup shows it.
func (w *world) shown(application, name string) *types.DeploymentGroupInfo {
	w.t.Helper()
	return must(w.GetDeploymentGroup(w.t.Context(), &codedeploy.GetDeploymentGroupInput{
		ApplicationName: &application, DeploymentGroupName: &name,
	}))(w.t).DeploymentGroupInfo
}

// platform creates an application of a platform unless it exists.
func (w *world) platform(application string, platform types.ComputePlatform) {
	w.t.Helper()
	_, err := w.CreateApplication(w.t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: &application, ComputePlatform: platform})
	if code(err) != "ApplicationAlreadyExistsException" {
		ok(w.t, err)
	}
}

// blueGreen is the one style of ECS and Lambda.
func blueGreen() *types.DeploymentStyle {
	return &types.DeploymentStyle{DeploymentType: types.DeploymentTypeBlueGreen, DeploymentOption: types.DeploymentOptionWithTrafficControl}
}

func (w *world) lambdaGroup(application, name string) {
	w.t.Helper()
	w.platform(application, types.ComputePlatformLambda)
	ok(w.t, w.newGroup(application, name, func(in *settings) { in.DeploymentStyle = blueGreen() }))
}

// ecsSettings are those of a group of the service web/NAME.
func ecsSettings(name string) func(*settings) {
	return func(in *settings) {
		in.DeploymentStyle = blueGreen()
		in.EcsServices = []types.ECSService{{ClusterName: aws.String("web"), ServiceName: &name}}
		in.LoadBalancerInfo = pair(2, 1)
		in.BlueGreenDeploymentConfiguration = &types.BlueGreenDeploymentConfiguration{
			DeploymentReadyOption:                     &types.DeploymentReadyOption{ActionOnTimeout: types.DeploymentReadyActionContinueDeployment},
			TerminateBlueInstancesOnDeploymentSuccess: &types.BlueInstanceTerminationOption{Action: types.InstanceActionTerminate},
		}
	}
}

// pair is a target group pair of so many target groups and production listeners.
func pair(groups, listeners int) *types.LoadBalancerInfo {
	return &types.LoadBalancerInfo{TargetGroupPairInfoList: []types.TargetGroupPairInfo{{
		TargetGroups:     slices.Repeat([]types.TargetGroupInfo{{Name: aws.String("tg")}}, groups),
		ProdTrafficRoute: &types.TrafficRoute{ListenerArns: slices.Repeat([]string{"arn:aws:elasticloadbalancing:us-east-1:1:listener/app/a/b/c"}, listeners)},
	}}}
}

// ecsGroup creates a group of the service web/GROUP; a change may set more.
func (w *world) ecsGroup(application, name string, change func(*settings)) {
	w.t.Helper()
	w.platform(application, types.ComputePlatformEcs)
	ok(w.t, w.newGroup(application, name, func(in *settings) {
		ecsSettings(name)(in)
		if change != nil {
			change(in)
		}
	}))
}

// service.md 15: G93, G94, G95, G97, G105
func TestGroupDefaults(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	w.application("other")
	fails(t, w.newGroup("shop", "prod", func(in *settings) { in.ServiceRoleArn = aws.String("") }), "RoleRequiredException")
	for _, malformed := range []string{"CodeDeploy", "arn:aws:iam::123456789012:user/x", "arn:aws:iam::12:role/x"} {
		fails(t, w.newGroup("shop", "prod", func(in *settings) { in.ServiceRoleArn = &malformed }), "InvalidRoleException")
	}
	ok(t, w.newGroup("shop", "prod", nil))
	ok(t, w.newGroup("other", "prod", nil))
	fails(t, w.newGroup("shop", "prod", nil), "DeploymentGroupAlreadyExistsException")

	got := w.shown("shop", "prod")
	if got.DeploymentGroupId == nil || *got.DeploymentGroupId == *w.shown("other", "prod").DeploymentGroupId {
		t.Errorf("groups of two applications have the ids %v", got.DeploymentGroupId)
	}
	same(t, "defaults", *got, types.DeploymentGroupInfo{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"), DeploymentGroupId: got.DeploymentGroupId,
		ServiceRoleArn: aws.String(role), ComputePlatform: types.ComputePlatformServer,
		DeploymentConfigName:      aws.String("CodeDeployDefault.OneAtATime"),
		DeploymentStyle:           &types.DeploymentStyle{DeploymentType: types.DeploymentTypeInPlace, DeploymentOption: types.DeploymentOptionWithoutTrafficControl},
		AutoRollbackConfiguration: &types.AutoRollbackConfiguration{},
		OutdatedInstancesStrategy: types.OutdatedInstancesStrategyUpdate,
		Ec2TagFilters:             []types.EC2TagFilter{}, OnPremisesInstanceTagFilters: []types.TagFilter{},
		AutoScalingGroups: []types.AutoScalingGroup{}, TriggerConfigurations: []types.TriggerConfig{},
	})
}

// Settings are refused alike when a group is made and when it is changed.
//
// service.md 15: V39, V40, V41, V42, V43, V44, V45, V46, V47, V48, G96, G108, G109, G110, G114
func TestGroupSettings(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	ok(t, w.newGroup("shop", "prod", func(in *settings) {
		in.DeploymentStyle = &types.DeploymentStyle{DeploymentOption: types.DeploymentOptionWithoutTrafficControl}
	}))
	same(t, "the absent part of a style", w.shown("shop", "prod").DeploymentStyle.DeploymentType, types.DeploymentTypeInPlace)
	for _, tt := range refusedSettings() {
		for what, err := range map[string]error{
			"create": w.newGroup("shop", "new", tt.change), "update": w.changeGroup("shop", "prod", tt.change),
		} {
			if got := strings.TrimSuffix(code(err), "Exception"); got != tt.want {
				t.Errorf("%s: %s gave %q, want %q: %v", tt.name, what, got, tt.want, err)
			}
		}
	}
	_, err := w.GetDeploymentGroup(t.Context(), &codedeploy.GetDeploymentGroupInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("new")})
	fails(t, err, "DeploymentGroupDoesNotExistException")
}

type refusedSetting struct {
	name   string
	change func(*settings)
	want   string // the error's name without Exception
}

func refusedSettings() []refusedSetting {
	alarms := func(enabled bool, names ...string) func(*settings) {
		return func(in *settings) {
			in.AlarmConfiguration = &types.AlarmConfiguration{Enabled: enabled}
			for _, n := range names {
				in.AlarmConfiguration.Alarms = append(in.AlarmConfiguration.Alarms, types.Alarm{Name: &n})
			}
		}
	}
	rollback := func(events ...types.AutoRollbackEvent) func(*settings) {
		return func(in *settings) {
			in.AutoRollbackConfiguration = &types.AutoRollbackConfiguration{Enabled: true, Events: events}
		}
	}
	triggers := func(n int, topic string, events ...types.TriggerEventType) func(*settings) {
		return func(in *settings) {
			for i := range n {
				name := string(rune('a' + i))
				in.TriggerConfigurations = append(in.TriggerConfigurations, types.TriggerConfig{TriggerName: &name, TriggerTargetArn: &topic, TriggerEvents: events})
			}
		}
	}
	const topic = "arn:aws:sns:us-east-1:123456789012:deployments"
	ec2 := []types.EC2TagFilter{{Key: aws.String("a"), Value: aws.String("b"), Type: types.EC2TagFilterTypeKeyAndValue}}
	onPremises := []types.TagFilter{{Key: aws.String("a"), Value: aws.String("b"), Type: types.TagFilterTypeKeyAndValue}}
	ec2Set := func(n int) *types.EC2TagSet {
		return &types.EC2TagSet{Ec2TagSetList: slices.Repeat([][]types.EC2TagFilter{ec2}, n)}
	}
	onPremisesSet := func(n int) *types.OnPremisesTagSet {
		return &types.OnPremisesTagSet{OnPremisesTagSetList: slices.Repeat([][]types.TagFilter{onPremises}, n)}
	}
	green := func(autoScalingGroups ...string) func(*settings) {
		return func(in *settings) {
			in.DeploymentStyle, in.AutoScalingGroups = blueGreen(), autoScalingGroups
			in.LoadBalancerInfo = &types.LoadBalancerInfo{TargetGroupInfoList: []types.TargetGroupInfo{{Name: aws.String("tg")}}}
			in.BlueGreenDeploymentConfiguration = &types.BlueGreenDeploymentConfiguration{
				GreenFleetProvisioningOption: &types.GreenFleetProvisioningOption{Action: types.GreenFleetProvisioningActionCopyAutoScalingGroup},
			}
		}
	}
	return []refusedSetting{
		{"V39", alarms(true, strings.Split("abcdefghijk", "")...), "AlarmsLimitExceeded"},
		{"V40 twice", alarms(true, "a", "a"), "InvalidAlarmConfig"},
		{"V40 empty", alarms(true, ""), "InvalidAlarmConfig"},
		{"V40 long", alarms(true, strings.Repeat("a", 256)), "InvalidAlarmConfig"},
		{"V41", alarms(true), "InvalidAlarmConfig"},
		{"V42 without events", rollback(), "InvalidAutoRollbackConfig"},
		{"V42 unknown event", rollback("RAIN"), "InvalidAutoRollbackConfig"},
		{"V43", triggers(11, topic, types.TriggerEventTypeDeploymentStart), "TriggerTargetsLimitExceeded"},
		{"V44 queue", triggers(1, "arn:aws:sqs:us-east-1:123456789012:q", types.TriggerEventTypeDeploymentStart), "InvalidTriggerConfig"},
		{"V44 unknown event", triggers(1, topic, "Rain"), "InvalidTriggerConfig"},
		{"V45", func(in *settings) { in.Ec2TagFilters, in.Ec2TagSet = ec2, ec2Set(1) }, "InvalidEC2TagCombination"},
		{"V46", func(in *settings) {
			in.OnPremisesInstanceTagFilters, in.OnPremisesTagSet = onPremises, onPremisesSet(1)
		}, "InvalidOnPremisesTagCombination"},
		{"V47 EC2", func(in *settings) { in.Ec2TagSet = ec2Set(4) }, "TagSetListLimitExceeded"},
		{"V47 on-premises", func(in *settings) { in.OnPremisesTagSet = onPremisesSet(4) }, "TagSetListLimitExceeded"},
		{"V48 EC2", func(in *settings) {
			in.Ec2TagFilters = []types.EC2TagFilter{{Key: aws.String("a"), Type: types.EC2TagFilterTypeKeyAndValue}}
		}, "InvalidEC2Tag"},
		{"V48 on-premises", func(in *settings) {
			in.OnPremisesInstanceTagFilters = []types.TagFilter{{Key: aws.String("a"), Type: types.TagFilterTypeKeyAndValue}}
		}, "InvalidTag"},
		{"G96", func(in *settings) { in.DeploymentConfigName = aws.String("none") }, "DeploymentConfigDoesNotExist"},
		{"config of another platform", func(in *settings) { in.DeploymentConfigName = aws.String("CodeDeployDefault.LambdaAllAtOnce") }, "InvalidDeploymentConfigName"},
		{"G108", func(in *settings) { in.EcsServices = []types.ECSService{{ServiceName: aws.String("shop")}} }, "InvalidECSService"},
		{"G109", func(in *settings) {
			in.DeploymentStyle = &types.DeploymentStyle{DeploymentType: types.DeploymentTypeInPlace, DeploymentOption: types.DeploymentOptionWithTrafficControl}
		}, "InvalidLoadBalancerInfo"},
		{"blue/green without traffic control", func(in *settings) {
			in.DeploymentStyle = &types.DeploymentStyle{DeploymentType: types.DeploymentTypeBlueGreen, DeploymentOption: types.DeploymentOptionWithoutTrafficControl}
		}, "InvalidDeploymentStyle"},
		{"G110 none", green(), "InvalidBlueGreenDeploymentConfiguration"},
		{"G110 two", green("blue", "cyan"), "InvalidBlueGreenDeploymentConfiguration"},
		{"blue/green on-premises", func(in *settings) {
			green("blue")(in)
			in.OnPremisesInstanceTagFilters = onPremises
		}, "InvalidOnPremisesTagCombination"},
		{"G114", func(in *settings) {
			in.BlueGreenDeploymentConfiguration = &types.BlueGreenDeploymentConfiguration{
				TerminateBlueInstancesOnDeploymentSuccess: &types.BlueInstanceTerminationOption{TerminationWaitTimeInMinutes: 2881},
			}
		}, "InvalidBlueGreenDeploymentConfiguration"},
		{"Auto Scaling group twice", func(in *settings) { in.AutoScalingGroups = []string{"a", "a"} }, "InvalidAutoScalingGroup"},
	}
}

// service.md 15: G107, G111, G112, G113, G116
func TestGroupsOfOtherPlatforms(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.ecsGroup("box", "shop", nil)
	w.lambdaGroup("fn", "prod")
	refused := func(change func(*settings), want string) {
		t.Helper()
		fails(t, w.newGroup("box", "new", func(in *settings) {
			ecsSettings("pay")(in)
			change(in)
		}), want)
	}
	refused(func(in *settings) { in.AutoScalingGroups = []string{} }, "InvalidAutoScalingGroupException")
	refused(func(in *settings) { in.AutoScalingGroups = []string{"asg"} }, "InvalidAutoScalingGroupException")
	refused(func(in *settings) { in.LoadBalancerInfo = pair(1, 1) }, "InvalidTargetGroupPairException")
	refused(func(in *settings) { in.LoadBalancerInfo = pair(2, 2) }, "InvalidTargetGroupPairException")
	refused(func(in *settings) { in.EcsServices = nil }, "InvalidECSServiceException")
	refused(func(in *settings) { in.BlueGreenDeploymentConfiguration.DeploymentReadyOption = nil }, "InvalidBlueGreenDeploymentConfigurationException")
	refused(func(in *settings) {
		in.BlueGreenDeploymentConfiguration.GreenFleetProvisioningOption = &types.GreenFleetProvisioningOption{
			Action: types.GreenFleetProvisioningActionDiscoverExisting,
		}
	}, "InvalidBlueGreenDeploymentConfigurationException")
	inPlace := func(in *settings) {
		in.DeploymentStyle = &types.DeploymentStyle{DeploymentType: types.DeploymentTypeInPlace, DeploymentOption: types.DeploymentOptionWithTrafficControl}
	}
	refused(inPlace, "InvalidDeploymentStyleException")
	fails(t, w.newGroup("fn", "new", inPlace), "InvalidDeploymentStyleException")
	for want, change := range map[string]func(*settings){
		"InvalidEC2TagException":           func(in *settings) { in.Ec2TagFilters = []types.EC2TagFilter{{Key: aws.String("a")}} },
		"InvalidTagException":              func(in *settings) { in.OnPremisesInstanceTagFilters = []types.TagFilter{{Key: aws.String("a")}} },
		"InvalidAutoScalingGroupException": func(in *settings) { in.AutoScalingGroups = []string{"asg"} },
		"InvalidLoadBalancerInfoException": func(in *settings) { in.LoadBalancerInfo = pair(2, 1) },
		"InvalidECSServiceException":       func(in *settings) { in.EcsServices = []types.ECSService{{ServiceName: aws.String("s")}} },
	} {
		fails(t, w.changeGroup("fn", "prod", change), want)
	}
	fails(t, w.newGroup("fn", "new", nil), "InvalidDeploymentStyleException")

	w.platform("box2", types.ComputePlatformEcs)
	taken := w.newGroup("box2", "other", ecsSettings("shop"))
	fails(t, taken, "ECSServiceMappingLimitExceededException")
	w.ecsGroup("box2", "other", nil)
	byARN := func(in *settings) {
		in.EcsServices = []types.ECSService{{
			ClusterName: aws.String("arn:aws:ecs:us-east-1:123456789012:cluster/web"), ServiceName: aws.String("arn:aws:ecs:us-east-1:123456789012:service/web/shop"),
		}}
	}
	fails(t, w.changeGroup("box2", "other", byARN), "ECSServiceMappingLimitExceededException")
	_, err := w.DeleteDeploymentGroup(t.Context(), &codedeploy.DeleteDeploymentGroupInput{ApplicationName: aws.String("box"), DeploymentGroupName: aws.String("shop")})
	ok(t, err)
	ok(t, w.changeGroup("box2", "other", byARN))

	// A typed client shows an absent number as 0, too; "aws ecs deploy" reads the members themselves.
	var got awsapi.GetDeploymentGroupOutput
	w.raw("GetDeploymentGroup", map[string]string{"applicationName": "box2", "deploymentGroupName": "other"}, &got)
	waits := got.DeploymentGroupInfo.BlueGreenDeploymentConfiguration
	if waits.DeploymentReadyOption.WaitTimeInMinutes == nil || waits.TerminateBlueInstancesOnDeploymentSuccess.TerminationWaitTimeInMinutes == nil {
		t.Errorf("G116: a wait is no number: %+v", waits)
	}
}

// service.md 15: G98, W22
func TestUpdateChangesWhatIsGiven(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	ok(t, w.newGroup("shop", "prod", func(in *settings) {
		in.AutoScalingGroups = []string{"blue", "cyan"}
		in.Ec2TagFilters = []types.EC2TagFilter{{Key: aws.String("a"), Type: types.EC2TagFilterTypeKeyOnly}}
	}))
	before := w.shown("shop", "prod")
	same(t, "W22", before.AutoScalingGroups, []types.AutoScalingGroup{{Name: aws.String("blue")}, {Name: aws.String("cyan")}})
	ok(t, w.changeGroup("shop", "prod", func(in *settings) {}))
	same(t, "after an update without settings", w.shown("shop", "prod"), before)

	ok(t, w.changeGroup("shop", "prod", func(in *settings) { in.AutoScalingGroups = []string{} }))
	want := *before
	want.AutoScalingGroups = []types.AutoScalingGroup{}
	same(t, "after an empty list", *w.shown("shop", "prod"), want)

	set := &types.EC2TagSet{Ec2TagSetList: [][]types.EC2TagFilter{before.Ec2TagFilters}}
	ok(t, w.changeGroup("shop", "prod", func(in *settings) { in.Ec2TagFilters, in.Ec2TagSet = []types.EC2TagFilter{}, set }))
	want.Ec2TagFilters, want.Ec2TagSet = []types.EC2TagFilter{}, set
	same(t, "the style of tags that was left may come along, empty", *w.shown("shop", "prod"), want)
	ok(t, w.changeGroup("shop", "prod", func(in *settings) {
		in.Ec2TagFilters, in.Ec2TagSet = before.Ec2TagFilters, &types.EC2TagSet{}
	}))
	want.Ec2TagFilters, want.Ec2TagSet = before.Ec2TagFilters, nil
	same(t, "and back", *w.shown("shop", "prod"), want)
}

// service.md 15: G102, G103, G104, G105, G106, G117
func TestGroupsRememberTheirDeployments(t *testing.T) {
	t.Parallel()
	w, h := shop(t)
	ok(t, w.newGroup("shop", "test", nil))
	unused := w.shown("shop", "prod")
	if unused.LastAttemptedDeployment != nil || unused.LastSuccessfulDeployment != nil || unused.TargetRevision != nil {
		t.Errorf("G105: a group that was never deployed to remembers %v, %v, %v",
			unused.LastAttemptedDeployment, unused.LastSuccessfulDeployment, unused.TargetRevision)
	}
	first := w.deploy("shop", "prod", bundle("shop/1.zip"))
	h.run(inPlaceEvents, "")
	w.ends(first, types.DeploymentStatusSucceeded)
	same(t, "G105", remembered(w.shown("shop", "prod")), []string{first, first, "shop/1.zip"})

	second := w.deploy("shop", "prod", bundle("shop/2.zip"))
	h.run(inPlaceEvents, "AfterInstall")
	w.ends(second, types.DeploymentStatusFailed)
	same(t, "G106", remembered(w.shown("shop", "prod")), []string{second, first, "shop/1.zip"})

	rename := func(to string) error {
		_, err := w.UpdateDeploymentGroup(t.Context(), &codedeploy.UpdateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("prod"), NewDeploymentGroupName: &to,
		})
		return err
	}
	fails(t, rename("test"), "DeploymentGroupAlreadyExistsException")
	before := w.shown("shop", "prod")
	ok(t, rename("live"))
	before.DeploymentGroupName = aws.String("live")
	same(t, "G103", w.shown("shop", "live"), before)
	same(t, "G103: deployments", w.list(codedeploy.ListDeploymentsInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("live")}), []string{second, first})
	same(t, "G103: name in a deployment", *w.info(first).DeploymentGroupName, "live")

	deleted := must(w.DeleteDeploymentGroup(t.Context(), &codedeploy.DeleteDeploymentGroupInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("live")}))(t)
	same(t, "hooks left", deleted.HooksNotCleanedUp, []types.AutoScalingGroup{})
	ok(t, w.newGroup("shop", "live", nil))
	if again := w.shown("shop", "live"); *again.DeploymentGroupId == *before.DeploymentGroupId || again.LastAttemptedDeployment != nil {
		t.Errorf("G104: a group made again has the id %s, and of the deleted one %v", *again.DeploymentGroupId, again.LastAttemptedDeployment)
	}

	listed := must(w.ListDeploymentGroups(t.Context(), &codedeploy.ListDeploymentGroupsInput{ApplicationName: aws.String("shop")}))(t)
	same(t, "list", listed.DeploymentGroups, []string{"live", "test"})
	batch := must(w.BatchGetDeploymentGroups(t.Context(), &codedeploy.BatchGetDeploymentGroupsInput{
		ApplicationName: aws.String("shop"), DeploymentGroupNames: []string{"none", "test", "gone"},
	}))(t)
	if len(batch.DeploymentGroupsInfo) != 1 || *batch.DeploymentGroupsInfo[0].DeploymentGroupName != "test" ||
		!strings.Contains(*batch.ErrorMessage, "none") || !strings.Contains(*batch.ErrorMessage, "gone") {
		t.Errorf("G117: got %d groups and %q", len(batch.DeploymentGroupsInfo), *batch.ErrorMessage)
	}
	batch = must(w.BatchGetDeploymentGroups(t.Context(), &codedeploy.BatchGetDeploymentGroupsInput{
		ApplicationName: aws.String("shop"), DeploymentGroupNames: []string{"live", "test"},
	}))(t)
	if len(batch.DeploymentGroupsInfo) != 2 || *batch.ErrorMessage != "" {
		t.Errorf("G117: got %d groups and %q", len(batch.DeploymentGroupsInfo), *batch.ErrorMessage)
	}
}

// remembered returns the last deployments that were tried and that succeeded, and the key of the target revision.
func remembered(g *types.DeploymentGroupInfo) []string {
	return []string{*g.LastAttemptedDeployment.DeploymentId, *g.LastSuccessfulDeployment.DeploymentId, *g.TargetRevision.S3Location.Key}
}

// service.md 15: G118
func TestUpdateDoesNotTouchADeploymentUnderWay(t *testing.T) {
	t.Parallel()
	w, h := shop(t)
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	before := w.info(id)
	ok(t, w.changeGroup("shop", "prod", func(in *settings) {
		in.DeploymentConfigName = aws.String("CodeDeployDefault.AllAtOnce")
		in.OnPremisesInstanceTagFilters = []types.TagFilter{}
		in.AutoRollbackConfiguration = &types.AutoRollbackConfiguration{Enabled: true, Events: []types.AutoRollbackEvent{types.AutoRollbackEventDeploymentFailure}}
	}))
	h.run(inPlaceEvents, "") // although the group has no host any more
	w.ends(id, types.DeploymentStatusSucceeded)
	after := w.info(id)
	same(t, "config", after.DeploymentConfigName, before.DeploymentConfigName)
	same(t, "rollback", after.AutoRollbackConfiguration, before.AutoRollbackConfiguration)
}
