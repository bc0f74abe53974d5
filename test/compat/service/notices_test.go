package service

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/notify/snstest"
	"grapnel/internal/server"
	"grapnel/test/harness"
)

func topic(name string) string { return "arn:aws:sns:" + region + ":" + account + ":" + name }

// tells is a trigger, named after its topic.
func tells(name string, events ...types.TriggerEventType) types.TriggerConfig {
	return types.TriggerConfig{TriggerName: &name, TriggerTargetArn: aws.String(topic(name)), TriggerEvents: events}
}

// telling names an SNS service.
func telling(url string) func(*server.Options) {
	return func(o *server.Options) {
		o.SNS = server.SNS{Endpoint: url, AccessKeyID: "AKIDTOPICS", SecretAccessKey: "secret"}
	}
}

// TestTopicsAreTried sends a message to each new topic before a group is stored.
// service.md 15: G115
func TestTopicsAreTried(t *testing.T) {
	t.Parallel()
	topics := snstest.Start(t)
	w := start(t, telling(topics.URL))
	w.application("shop")
	create := func(name string, triggers ...types.TriggerConfig) error {
		return w.newGroup("shop", name, func(in *settings) { in.TriggerConfigurations = triggers })
	}
	update := func(triggers ...types.TriggerConfig) error {
		return w.changeGroup("shop", "prod", func(in *settings) { in.TriggerConfigurations = triggers })
	}
	start := tells("start", types.TriggerEventTypeDeploymentStart)
	topics.Refuse(topic("deaf"))
	deaf := tells("deaf", types.TriggerEventTypeDeploymentStart)

	err := create("prod", start, deaf)
	fails(t, err, "InvalidTriggerConfigException")
	for _, why := range []string{topic("deaf"), "NotFound", "Topic does not exist"} {
		if !strings.Contains(err.Error(), why) {
			t.Errorf("the error %q does not say %q", err, why)
		}
	}
	_, err = w.GetDeploymentGroup(t.Context(), &codedeploy.GetDeploymentGroupInput{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"),
	})
	fails(t, err, "DeploymentGroupDoesNotExistException")
	ok(t, create("prod", start))
	tests := topics.Messages(topic("start"))
	if len(tests) != 2 || !strings.HasPrefix(tests[1].Subject, "TEST: ") || !strings.Contains(tests[1].Body, `"deploymentGroupName":"prod"`) {
		t.Errorf("the topic was told %+v, want a test with each attempt", tests)
	}

	fails(t, update(start, deaf), "InvalidTriggerConfigException")
	if got := w.shown("shop", "prod").TriggerConfigurations; len(got) != 1 {
		t.Errorf("after a refused change the group has the triggers %+v", got)
	}
	ok(t, update(tells("start", types.TriggerEventTypeDeploymentStop), tells("stop", types.TriggerEventTypeDeploymentStop)))
	if again, first := topics.Messages(topic("start")), topics.Messages(topic("stop")); len(again) != 2 || len(first) != 1 {
		t.Errorf("the old topic was told %+v, the new one %+v; want one more test, of the new one", again, first)
	}
	fails(t, create("other", tells("config")), "InvalidTriggerConfigException") // the format comes before the topic
	if got := topics.Messages(topic("config")); len(got) > 0 {
		t.Errorf("a trigger without events was tried: %+v", got)
	}
}

// TestTopicsHearOfDeployments: what a trigger is subscribed to, and nothing else, in the shape of service.md 6.3; a topic that
// takes nothing any more changes nothing for the deployment. (R242, R243, R245)
func TestTopicsHearOfDeployments(t *testing.T) {
	t.Parallel()
	topics := snstest.Start(t)
	w := start(t, telling(topics.URL))
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	ok(t, w.changeGroup("shop", "prod", func(in *settings) {
		in.AutoRollbackConfiguration = &types.AutoRollbackConfiguration{
			Enabled: true, Events: []types.AutoRollbackEvent{types.AutoRollbackEventDeploymentFailure},
		}
		in.TriggerConfigurations = []types.TriggerConfig{
			tells("all", types.TriggerEventType("").Values()...),
			tells("starts", types.TriggerEventTypeDeploymentStart),
			tells("deaf", types.TriggerEventTypeDeploymentStart, types.TriggerEventTypeInstanceStart),
		}
	}))
	topics.Refuse(topic("deaf"))
	good := w.deploy("shop", "prod", bundle("shop/1.zip"))
	h.run(inPlaceEvents, "")
	w.ends(good, types.DeploymentStatusSucceeded)
	bad := w.deploy("shop", "prod", bundle("shop/2.zip"))
	h.run(inPlaceEvents, "Install")
	w.ends(bad, types.DeploymentStatusFailed)
	h.run(inPlaceEvents, "")
	back := *w.info(bad).RollbackInfo.RollbackDeploymentId
	w.ends(back, types.DeploymentStatusSucceeded)

	heard := topics.Wait(t, topic("all"), 14)[1:] // the first is the test
	if diff := cmp.Diff([]string{
		"CREATED " + good, "IN_PROGRESS " + good + " web-1", "SUCCEEDED " + good + " web-1", "SUCCEEDED " + good,
		"CREATED " + bad, "IN_PROGRESS " + bad + " web-1", "FAILED " + bad + " web-1", "FAILED " + bad,
		"CREATED " + back, "IN_PROGRESS " + back + " web-1", "IN_PROGRESS " + back, "SUCCEEDED " + back + " web-1", "SUCCEEDED " + back,
	}, told(t, heard)); diff != "" {
		t.Errorf("the topic of all events (-want +got):\n%s", diff)
	}
	starts := topics.Wait(t, topic("starts"), 4)[1:]
	if diff := cmp.Diff([]string{"CREATED " + good, "CREATED " + bad, "CREATED " + back}, told(t, starts)); diff != "" {
		t.Errorf("the topic of starts (-want +got):\n%s", diff)
	}
	var failed struct {
		ErrorInformation, DeploymentOverview, RollbackInformation string // each JSON of its own
	}
	ok(t, json.Unmarshal([]byte(heard[7].Body), &failed))
	if got := heard[7].Subject; got != "FAILED: AWS CodeDeploy "+bad+" in us-east-1 to shop" {
		t.Errorf("subject %q", got)
	}
	if got := failed.DeploymentOverview; got != `{"Succeeded":0,"Failed":1,"Skipped":0,"InProgress":0,"Pending":0}` {
		t.Errorf("deploymentOverview %q", got)
	}
	if !strings.HasPrefix(failed.ErrorInformation, `{"ErrorCode":"HEALTH_CONSTRAINTS`) || !strings.Contains(failed.RollbackInformation, back) {
		t.Errorf("errorInformation %q, rollbackInformation %q", failed.ErrorInformation, failed.RollbackInformation)
	}
	if got := topics.Messages(topic("deaf")); len(got) != 1 {
		t.Errorf("the deaf topic took %+v", got)
	}
}

// told makes "STATUS DEPLOYMENT", with the host when it is about one, of messages.
func told(t *testing.T, messages []snstest.Message) []string {
	t.Helper()
	var all []string
	for _, m := range messages {
		var body struct{ DeploymentID, Status, InstanceStatus, InstanceID string }
		ok(t, json.Unmarshal([]byte(m.Body), &body))
		line := body.Status + body.InstanceStatus + " " + body.DeploymentID
		if _, host, found := strings.Cut(body.InstanceID, "instance/"); found {
			line += " " + host
		}
		all = append(all, line)
	}
	return all
}

// TestTriggersOfNobody: a server without SNS stores triggers, and says that they are in vain.
func TestTriggersOfNobody(t *testing.T) {
	t.Parallel()
	var log harness.Buffer
	dir := t.TempDir()
	quiet := func(o *server.Options) { o.DataDir, o.Log = dir, slog.New(slog.NewTextHandler(&log, nil)) }
	t.Run("first start", func(t *testing.T) {
		w := start(t, quiet)
		w.application("shop")
		ok(t, w.newGroup("shop", "prod", func(in *settings) {
			in.TriggerConfigurations = []types.TriggerConfig{tells("start", types.TriggerEventTypeDeploymentStart)}
		}))
		if got := w.shown("shop", "prod").TriggerConfigurations; len(got) != 1 {
			t.Errorf("the group has the triggers %+v", got)
		}
	})
	if got := log.String(); !strings.Contains(got, "has a new trigger") || strings.Contains(got, "groups have triggers") {
		t.Errorf("the log of the first start does not say that the trigger is in vain:\n%s", got)
	}
	t.Run("second start", func(t *testing.T) { start(t, quiet) })
	if got := log.String(); !strings.Contains(got, "groups have triggers") || !strings.Contains(got, "--sns-endpoint") {
		t.Errorf("the log of the second start does not say that triggers are in vain:\n%s", got)
	}
}

// TestNoticesThroughMoto: a subscriber of a topic hears of a deployment, through another's SNS.
func TestNoticesThroughMoto(t *testing.T) {
	t.Parallel()
	url, installed := harness.StartMoto(t)
	if !installed {
		t.Skip("moto_server is not installed: pip install 'moto[server]'")
	}
	var mu sync.Mutex
	var heard []string
	subscriber := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var m struct{ Type, Subject string }
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		mu.Lock()
		defer mu.Unlock()
		if m.Type == "Notification" {
			heard = append(heard, m.Subject)
		}
	}))
	t.Cleanup(subscriber.Close)
	topics := sns.New(sns.Options{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")})
	made := must(topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("deploys")}))(t)
	must(topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("http"), Endpoint: &subscriber.URL}))(t)

	w := start(t, telling(url))
	w.group("shop", "prod")
	trigger := tells("deploys", types.TriggerEventTypeDeploymentStart, types.TriggerEventTypeDeploymentFailure)
	trigger.TriggerTargetArn = made.TopicArn
	fails(t, w.changeGroup("shop", "prod", func(in *settings) {
		in.TriggerConfigurations = []types.TriggerConfig{tells("missing", types.TriggerEventTypeDeploymentStart)}
	}), "InvalidTriggerConfigException")
	ok(t, w.changeGroup("shop", "prod", func(in *settings) { in.TriggerConfigurations = []types.TriggerConfig{trigger} }))
	id := w.deploy("shop", "prod", bundle("shop/1.zip")) // without a host it fails
	w.ends(id, types.DeploymentStatusFailed)
	eventually(t, "the subscriber hears of the deployment", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) == 3
	})
	of := "AWS CodeDeploy " + id + " in us-east-1 to shop"
	if diff := cmp.Diff([]string{"TEST: AWS CodeDeploy trigger in us-east-1 to shop", "CREATED: " + of, "FAILED: " + of}, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}
