package service

import (
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

const (
	hostUser    = "arn:aws:iam::" + account + ":user/AWS/CodeDeploy/"
	hostSession = "arn:aws:sts::" + account + ":assumed-role/Hosts/"
)

// register registers an on-premises instance by an IAM user, or by a session of a role; "" for the one it has not.
func (w *world) register(name, user, session string) error {
	in := &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: &name}
	if user != "" {
		in.IamUserArn = &user
	}
	if session != "" {
		in.IamSessionArn = &session
	}
	_, err := w.RegisterOnPremisesInstance(w.t.Context(), in)
	return err
}

// deregister ends the registration of an on-premises instance.
func (w *world) deregister(name string) error {
	_, err := w.DeregisterOnPremisesInstance(w.t.Context(), &codedeploy.DeregisterOnPremisesInstanceInput{InstanceName: &name})
	return err
}

// instance returns an on-premises instance.
func (w *world) instance(name string) *types.InstanceInfo {
	w.t.Helper()
	return must(w.GetOnPremisesInstance(w.t.Context(), &codedeploy.GetOnPremisesInstanceInput{InstanceName: &name}))(w.t).InstanceInfo
}

// tagging adds tags to on-premises instances.
func (w *world) tagging(names []string, tags ...types.Tag) error {
	_, err := w.AddTagsToOnPremisesInstances(w.t.Context(), &codedeploy.AddTagsToOnPremisesInstancesInput{InstanceNames: names, Tags: tags})
	return err
}

// untagging removes tags from on-premises instances.
func (w *world) untagging(names []string, tags ...types.Tag) error {
	_, err := w.RemoveTagsFromOnPremisesInstances(w.t.Context(), &codedeploy.RemoveTagsFromOnPremisesInstancesInput{InstanceNames: names, Tags: tags})
	return err
}

// tagsOf lists the tags of an on-premises instance as KEY=VALUE.
func (w *world) tagsOf(name string) []string {
	w.t.Helper()
	tags := []string{}
	for _, t := range w.instance(name).Tags {
		tags = append(tags, aws.ToString(t.Key)+"="+aws.ToString(t.Value))
	}
	return tags
}

// instances lists the names of on-premises instances.
func (w *world) instances(status types.RegistrationStatus, filters ...types.TagFilter) []string {
	w.t.Helper()
	return must(w.ListOnPremisesInstances(w.t.Context(), &codedeploy.ListOnPremisesInstancesInput{
		RegistrationStatus: status, TagFilters: filters}))(w.t).InstanceNames
}

// service.md 15: P158, P159, P160, P161, P162, P163, P164, P171, P173
func TestRegistration(t *testing.T) {
	t.Parallel()
	w := start(t)
	fails(t, w.register("web-1", "", ""), "IamArnRequiredException")                                         // P158
	fails(t, w.register("web-1", hostUser+"web-1", hostSession+"web-1"), "MultipleIamArnsProvidedException") // P158
	fails(t, w.register("web-1", "arn:aws:iam::1:user/web-1", ""), "InvalidIamUserArnException")
	fails(t, w.register("web-1", "", hostUser+"web-1"), "InvalidIamSessionArnException")
	fails(t, w.register("i-web", hostUser+"web-1", ""), "InvalidInstanceNameException") // P161
	ok(t, w.register("web-1", hostUser+"web-1", ""))
	ok(t, w.register("web-2", "", hostSession+"web-2"))
	fails(t, w.register("web-1", hostUser+"other", ""), "InstanceNameAlreadyRegisteredException")     // P159
	fails(t, w.register("web-3", hostUser+"web-1", ""), "IamUserArnAlreadyRegisteredException")       // P160
	fails(t, w.register("web-3", "", hostSession+"web-2"), "IamSessionArnAlreadyRegisteredException") // P160
	_, err := w.GetOnPremisesInstance(t.Context(), &codedeploy.GetOnPremisesInstanceInput{InstanceName: aws.String("web-3")})
	fails(t, err, "InstanceNotRegisteredException")

	first := w.instance("web-1")
	if !regexp.MustCompile(`^arn:aws:codedeploy:us-east-1:123456789012:instance/web-1_[A-Za-z0-9]{10}$`).MatchString(*first.InstanceArn) {
		t.Errorf("P171: %s", *first.InstanceArn)
	}
	if first.RegisterTime == nil || first.DeregisterTime != nil {
		t.Errorf("a registered host was registered at %v and deregistered at %v", first.RegisterTime, first.DeregisterTime)
	}
	ok(t, w.deregister("web-1"))
	ok(t, w.deregister("none")) // P173
	gone := w.instance("web-1")
	if gone.DeregisterTime == nil || !gone.RegisterTime.Equal(*first.RegisterTime) {
		t.Errorf("P163: registered at %v, then at %v; deregistered at %v", first.RegisterTime, gone.RegisterTime, gone.DeregisterTime)
	}
	equal(t, "P164: both", w.instances(""), []string{"web-1", "web-2"})
	equal(t, "P164: registered", w.instances(types.RegistrationStatusRegistered), []string{"web-2"})
	equal(t, "P164: deregistered", w.instances(types.RegistrationStatusDeregistered), []string{"web-1"})
	_, err = w.ListOnPremisesInstances(t.Context(), &codedeploy.ListOnPremisesInstancesInput{RegistrationStatus: "Maybe"})
	fails(t, err, "InvalidRegistrationStatusException")

	ok(t, w.register("web-3", hostUser+"web-1", "")) // P162: its ARN
	ok(t, w.register("web-1", hostUser+"other", "")) // P162: its name
	if again := w.instance("web-1"); again.DeregisterTime != nil {
		t.Errorf("P162: registered again, and deregistered at %v", again.DeregisterTime)
	}
	batch := must(w.BatchGetOnPremisesInstances(t.Context(), &codedeploy.BatchGetOnPremisesInstancesInput{InstanceNames: []string{"none", "web-2"}}))(t)
	if len(batch.InstanceInfos) != 1 || *batch.InstanceInfos[0].IamSessionArn != hostSession+"web-2" {
		t.Errorf("batch with an unknown name: %+v", batch.InstanceInfos)
	}
}

// service.md 15: P165, P166, P167, P168, P169, P172
func TestTagsOfHosts(t *testing.T) {
	t.Parallel()
	w := start(t)
	both := []string{"web-1", "web-2"}
	for _, name := range both {
		ok(t, w.register(name, hostUser+name, ""))
	}
	if tags := w.instance("web-1").Tags; tags == nil { // the SDK leaves an absent list nil
		t.Error("P172: tags are absent")
	}
	ok(t, w.tagging(both[:1], types.Tag{Key: aws.String("alone")})) // P166
	ok(t, w.tagging(both, tag("env", "a"), tag("env", "b")))        // P168
	ok(t, w.tagging(both, tag("env", "a")))
	ok(t, w.untagging(both, tag("env", "c")))                                                       // P169
	ok(t, w.untagging(both[1:], tag("env", "b")))                                                   // P169
	fails(t, w.tagging([]string{"web-1", "none"}, tag("k", "v")), "InstanceNotRegisteredException") // P168
	equal(t, "web-1", w.tagsOf("web-1"), []string{"alone=", "env=a", "env=b"})
	equal(t, "web-2", w.tagsOf("web-2"), []string{"env=a"})

	filter := func(key, value string) types.TagFilter {
		return types.TagFilter{Key: &key, Value: &value, Type: types.TagFilterTypeKeyAndValue}
	}
	equal(t, "P165", w.instances("", filter("env", "b"), filter("env", "a")), both)
	equal(t, "P165: one", w.instances("", filter("env", "b")), both[:1])
	equal(t, "P166: by its key", w.instances("", types.TagFilter{Key: aws.String("alone"), Type: types.TagFilterTypeKeyOnly}), both[:1])
	_, err := w.ListOnPremisesInstances(t.Context(), &codedeploy.ListOnPremisesInstancesInput{TagFilters: []types.TagFilter{{}}})
	fails(t, err, "InvalidTagFilterException")

	var seven []types.Tag
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		seven = append(seven, tag(key, "v"))
	}
	ok(t, w.tagging(both[:1], seven...))
	fails(t, w.tagging(both, tag("one", "more")), "TagLimitExceededException") // P167
	equal(t, "P167: web-2, of a refused call", w.tagsOf("web-2"), []string{"env=a"})
	ok(t, w.untagging(both[:1], tag("alone", "")))
	ok(t, w.tagging(both[:1], tag("one", "more")))

	fails(t, w.tagging(both, []types.Tag{}...), "TagRequiredException")
	fails(t, w.tagging(both, tag("", "v")), "InvalidTagException")
	fails(t, w.tagging([]string{}, tag("k", "v")), "InstanceNameRequiredException")
}

// service.md 15: P170
func TestDeregisteredHostsAreNoTargets(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.host("web-1", tag("app", "shop"))
	w.host("web-2", tag("app", "shop"))
	ok(t, w.deregister("web-1"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	eventually(t, "the deployment has started", func() bool { return w.info(id).Status == types.DeploymentStatusInProgress })
	equal(t, "P170", w.targets(id), []string{"web-2"})
	equal(t, "P170: its tags are kept", w.tagsOf("web-1"), []string{"app=shop"})
	fails(t, w.tagging([]string{"web-1"}, tag("k", "v")), "InstanceNotRegisteredException")
}
