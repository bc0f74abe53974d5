package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// message is what a topic is sent.
type message struct{ Subject, Body string }

// maxSubject is the longest subject that SNS takes, in bytes.
const maxSubject = 100

// place is where the server says that it is.
type place struct{ region, account string }

// subject is that of service.md 6.3; an application with a long name loses its end.
func (p place) subject(status, deployment, application string) string {
	s := fmt.Sprintf("%s: AWS CodeDeploy %s in %s to %s", status, deployment, p.region, application)
	return s[:min(len(s), maxSubject)]
}

// deploymentMessage is the message about a deployment, whose members are text: what has parts is JSON within a string
// (service.md 6.3).
type deploymentMessage struct {
	Region              string  `json:"region"`
	AccountID           string  `json:"accountId"`
	EventTriggerName    string  `json:"eventTriggerName"`
	ApplicationName     string  `json:"applicationName"`
	DeploymentID        string  `json:"deploymentId"`
	DeploymentGroupName string  `json:"deploymentGroupName"`
	CreateTime          *string `json:"createTime"`
	CompleteTime        *string `json:"completeTime"`
	DeploymentOverview  string  `json:"deploymentOverview,omitzero"`
	Status              string  `json:"status"`
	ErrorInformation    string  `json:"errorInformation,omitzero"`
	RollbackInformation string  `json:"rollbackInformation,omitzero"`
}

// ofDeployment puts a notice about a deployment into words. d may have moved on since: what a deployment has only in the end
// is left out of what was before.
func (p place) ofDeployment(n store.Notice, d store.Deployment) message {
	i, status := d.Info, deploy.Status(n.Status)
	m := deploymentMessage{
		Region: p.region, AccountID: p.account, EventTriggerName: n.Trigger, ApplicationName: awsapi.Value(i.ApplicationName),
		DeploymentID: n.Deployment, DeploymentGroupName: awsapi.Value(i.DeploymentGroupName),
		CreateTime: text(i.CreateTime.Time), Status: upperSnake(n.Status),
	}
	if status.Terminal() {
		m.CompleteTime = text(i.CompleteTime.Time)
		m.DeploymentOverview = overview(awsapi.Value(i.DeploymentOverview))
		if e := i.ErrorInformation; e != nil {
			m.ErrorInformation = within(struct{ ErrorCode, ErrorMessage string }{string(e.Code), awsapi.Value(e.Message)})
		}
	}
	if status == deploy.Failed || d.Facts.RollbackOf != "" {
		m.RollbackInformation = rollback(awsapi.Value(i.RollbackInfo))
	}
	return message{p.subject(m.Status, n.Deployment, m.ApplicationName), within(m)}
}

func overview(o awsapi.DeploymentOverview) string {
	return within(struct{ Succeeded, Failed, Skipped, InProgress, Pending int64 }{
		awsapi.Value(o.Succeeded), awsapi.Value(o.Failed), awsapi.Value(o.Skipped), awsapi.Value(o.InProgress), awsapi.Value(o.Pending),
	})
}

func rollback(r awsapi.RollbackInfo) string {
	return within(struct {
		RollbackMessage                string `json:",omitzero"`
		RollbackTriggeringDeploymentID string `json:"RollbackTriggeringDeploymentId,omitzero"`
	}{awsapi.Value(r.RollbackMessage), awsapi.Value(r.RollbackTriggeringDeploymentId)})
}

// instanceMessage is the message about a host.
type instanceMessage struct {
	Region           string  `json:"region"`
	AccountID        string  `json:"accountId"`
	EventTriggerName string  `json:"eventTriggerName"`
	DeploymentID     string  `json:"deploymentId"`
	InstanceID       string  `json:"instanceId"` // an ARN
	LastUpdatedAt    *string `json:"lastUpdatedAt"`
	InstanceStatus   string  `json:"instanceStatus"`
	LifecycleEvents  string  `json:"lifecycleEvents"`
}

// lifecycleEvent is an event within an instanceMessage.
type lifecycleEvent struct {
	LifecycleEvent       string
	LifecycleEventStatus string
	StartTime, EndTime   *string
}

// ofTarget puts a notice about a host into words, as the host was at the time of the notice.
func (p place) ofTarget(n store.Notice, d store.Deployment, t store.Target) message {
	m := instanceMessage{
		Region: p.region, AccountID: p.account, EventTriggerName: n.Trigger, DeploymentID: n.Deployment,
		InstanceID: awsapi.TargetARN(p.region, p.account, n.Target), LastUpdatedAt: text(n.At), InstanceStatus: upperSnake(n.Status),
	}
	t = asOf(n, t)
	events := []lifecycleEvent{}
	for i, phase := range d.Plan.Phases {
		if !slices.Contains(phase.Targets, n.Target) {
			continue
		}
		for _, v := range deploy.Events(d.Plan, i, t.Target, t.Work, t.EndedAt) {
			events = append(events, lifecycleEvent{string(v.Event), string(v.Status), text(v.StartedAt), text(v.EndedAt)})
		}
	}
	m.LifecycleEvents = within(events)
	return message{p.subject(m.InstanceStatus, n.Deployment, awsapi.Value(d.Info.ApplicationName)), within(m)}
}

// asOf takes back what the host has done since the notice.
func asOf(n store.Notice, t store.Target) store.Target {
	t.Status = deploy.TargetStatus(n.Status)
	if !t.Status.Terminal() {
		t.EndedAt = time.Time{}
	}
	var work []deploy.Work
	for _, w := range t.Work {
		if w.IssuedAt.After(n.At) {
			continue
		}
		if w.AckedAt.After(n.At) {
			w.AckedAt = time.Time{}
		}
		if w.EndedAt.After(n.At) {
			w.EndedAt, w.Diagnostics = time.Time{}, deploy.Diagnostics{}
		}
		if w.EndedAt.IsZero() {
			w.Status = deploy.WorkPending
			if !w.AckedAt.IsZero() {
				w.Status = deploy.WorkRunning
			}
		}
		work = append(work, w)
	}
	t.Work = work
	return t
}

// trial is the message that shows that a topic takes messages. Nothing is known of what AWS sends here.
func (p place) trial(group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) message {
	application, name := awsapi.Value(group.ApplicationName), awsapi.Value(group.DeploymentGroupName)
	m := struct {
		Region              string `json:"region"`
		AccountID           string `json:"accountId"`
		EventTriggerName    string `json:"eventTriggerName"`
		ApplicationName     string `json:"applicationName"`
		DeploymentGroupName string `json:"deploymentGroupName"`
		Message             string `json:"message"`
	}{p.region, p.account, awsapi.Value(trigger.TriggerName), application, name,
		"This topic is told of the deployments of this deployment group from now on."}
	return message{p.subject("TEST", "trigger", application), within(m)}
}

// within is a value as JSON.
func within(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers have a JSON
	}
	return string(data)
}

// text is a time as the service writes it here: Fri Oct 14 08:46:18 UTC 2022. It is nil for the zero time.
func text(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format("Mon Jan 02 15:04:05 MST 2006"))
}

// upperSnake makes IN_PROGRESS of InProgress.
func upperSnake(status string) string {
	var b strings.Builder
	for i, r := range status {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
