// Package deploy is the core: one pure function, Decide, that looks at everything stored about one deployment and says
// what is wanted now. It makes no ids, reads no clock, ranges over no map into its output, logs nothing and starts no
// goroutine; the linter holds it to that.
//
//	                  Created ──────────────┬──────────────► Failed (no targets, constraints impossible)
//	                     │ Decide           │ Stop
//	                     ▼                  ▼
//	gate opens ┌───► InProgress ────────► Stopped   (running Work has ended)
//	(Continue) │         │  │
//	           └─ Ready ◄┘  ├──► Succeeded   every phase done, health kept
//	                        └──► Failed      health budget spent, nothing succeeded, or the whole run took too long
//
// A target:  Pending → InProgress → Succeeded | Failed;  Pending → Skipped when it is never attempted.
//
//	Ready between two phases that it takes part in; Ready → Skipped when the second is never attempted.
//
// A Work:    Pending → Running → Succeeded | Failed        (acknowledged, then completed or past its Due)
//
//	Pending → Succeeded                           (acknowledged as a no-op)
//	Pending → Failed                              (not acknowledged before its Due)
//	Pending → Skipped                             (the deployment was stopped before anyone took it)
package deploy

import (
	"fmt"
	"time"

	"grapnel/internal/lifecycle"
)

// Status is the status of a deployment, in AWS's words (service.md 3.2).
type Status string

// Deployment statuses.
const (
	Created    Status = "Created"
	InProgress Status = "InProgress"
	Ready      Status = "Ready"
	Succeeded  Status = "Succeeded"
	Failed     Status = "Failed"
	Stopped    Status = "Stopped"
)

// Terminal reports whether a deployment in this status has ended for good.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Stopped }

// TargetStatus is the status of a target, in AWS's words (service.md 3.3).
type TargetStatus string

// Target statuses.
const (
	TargetPending    TargetStatus = "Pending"
	TargetInProgress TargetStatus = "InProgress"
	TargetReady      TargetStatus = "Ready"
	TargetSucceeded  TargetStatus = "Succeeded"
	TargetFailed     TargetStatus = "Failed"
	TargetSkipped    TargetStatus = "Skipped"
)

// Terminal reports whether a target in this status has ended for good.
func (s TargetStatus) Terminal() bool {
	return s == TargetSucceeded || s == TargetFailed || s == TargetSkipped
}

// WorkStatus is the status of a Work; on the wire it is the status of a lifecycle event (service.md 3.4).
type WorkStatus string

// Work statuses.
const (
	WorkPending   WorkStatus = "Pending"   // issued, not acknowledged
	WorkRunning   WorkStatus = "Running"   // acknowledged
	WorkSucceeded WorkStatus = "Succeeded" // completed, or acknowledged as a no-op
	WorkFailed    WorkStatus = "Failed"    // completed as failed, or past its Due
	WorkSkipped   WorkStatus = "Skipped"   // withdrawn before it was acknowledged
)

// Open reports whether the Work has not ended.
func (s WorkStatus) Open() bool { return s == WorkPending || s == WorkRunning }

// Plan is the frozen program of one deployment: what a deployment does never depends on settings that change later.
type Plan struct {
	Phases   []Phase       `json:"phases"`
	Limit    time.Duration `json:"limit"` // the whole run; past it the deployment fails with TIMEOUT (service.md 4.5)
	Rollback Rollback      `json:"rollback"`
	// UpToDate is how many hosts were left out because they run the revision already (updateOutdatedInstancesOnly).
	UpToDate int `json:"upToDate,omitzero"`
	// Excess is set when more targets were selected than a deployment may have: then the plan has none of them.
	Excess Excess `json:"excess,omitzero"`
}

// Excess tells that a deployment would have too many targets.
type Excess struct {
	Selected int `json:"selected"`
	Most     int `json:"most"`
}

// Rollback tells which ends of a deployment ask for an automatic rollback (service.md 6.1).
type Rollback struct {
	OnFailure bool `json:"onFailure,omitzero"`
	OnAlarm   bool `json:"onAlarm,omitzero"`
	OnStop    bool `json:"onStop,omitzero"`
}

// Phase is a set of targets that each take the same steps under one health rule.
type Phase struct {
	Name    string   `json:"name"`
	Targets []string `json:"targets"` // target ids in the order in which they are picked
	Steps   []Step   `json:"steps"`
	Health  Health   `json:"health"`
	Gate    Gate     `json:"gate,omitzero"`
}

// Gate is what must hold before a phase starts, counted from the end of the phase before it.
type Gate struct {
	Delay    time.Duration `json:"delay,omitzero"`
	Approval bool          `json:"approval,omitzero"` // an operator's Continue; Delay is then how long to wait for it
	// Termination says that Delay is the wait before what the deployment replaces is taken away. An operator may cut it
	// short; the delays between shifts of traffic or zones run their time.
	Termination bool `json:"termination,omitzero"`
}

// Step is one lifecycle event of a phase.
type Step struct {
	Event         lifecycle.Event  `json:"event"`
	By            lifecycle.Runner `json:"by"`
	Op            string           `json:"op,omitzero"`            // for By Server: which Op
	Input         string           `json:"input,omitzero"`         // for By Server and Hook: its input
	Acknowledge   time.Duration    `json:"acknowledge"`            // from issue to acknowledgement
	Timeout       time.Duration    `json:"timeout"`                // from acknowledgement to completion
	IgnoreFailure bool             `json:"ignoreFailure,omitzero"` // the target goes on to the next step all the same
	// Execution is the id under which the outcome of a step By Hook is reported. Only the hook is told, so it must be one that
	// nobody can guess. Its phase has one target.
	Execution string `json:"execution,omitzero"`
}

// HealthType is the kind of a health rule.
type HealthType string

// Health rules (service.md 5.2).
const (
	HostCount    HealthType = "HOST_COUNT"       // at least Value targets stay in service
	FleetPercent HealthType = "FLEET_PERCENT"    // at least ceil(Value percent) targets stay in service
	OneAtATime   HealthType = "MOST_CONCURRENCY" // one target at a time, the last may fail
)

// Health is the rule that gives a phase its health budget.
type Health struct {
	Type  HealthType `json:"type"`
	Value int        `json:"value"`
}

// State is everything stored about one deployment that a decision may depend on.
type State struct {
	ID         string
	Version    int64 // moved by the engine and by operators' facts; guards the commit
	Plan       Plan
	Status     Status
	Phase      int       // index into Plan.Phases
	PhaseSince time.Time // when the phase before it ended (or the deployment was created)
	CreatedAt  time.Time
	Targets    []Target
	Work       []Work // Work that no earlier decision has settled, at most one per target
	Facts      Facts
}

// Facts are observations that operators and the outside world stored about the deployment.
type Facts struct {
	Stop *Stop `json:"stop,omitzero"`
	// Approved is the number of phases that an operator has let begin (ContinueDeployment): the gate of Plan.Phases[i] is
	// open when Approved > i, so that a continue stores State.Phase + 1.
	Approved int `json:"approved,omitzero"`
	// Alarms names the alarms that were seen active.
	Alarms []string `json:"alarms,omitzero"`
	// RollbackOf is the id of the deployment that this one rolls back, "" for others.
	RollbackOf string `json:"rollbackOf,omitzero"`
	// LastGood names the deployment whose revision a rollback would restore, "" when there is none.
	LastGood string `json:"lastGood,omitzero"`
}

// Stop is the fact that an operator asked for the deployment to stop.
type Stop struct {
	At time.Time `json:"at"`
	// Rollback overrides the plan's Rollback.OnStop when it is set (service.md 4.4).
	Rollback *bool `json:"rollback,omitzero"`
}

// Target is one host (or service, or function) that the deployment changes.
type Target struct {
	ID       string
	Status   TargetStatus
	Step     int // index of the step that comes next, or is under way
	Failure  *Failure
	LastSeen time.Time // when its agent last polled; zero if never
}

// Failure is why a target failed: kept with the target so that a deployment's message can name it.
type Failure struct {
	Event       lifecycle.Event `json:"event"`
	Diagnostics Diagnostics     `json:"diagnostics"`
	At          time.Time       `json:"at,omitzero"` // when the event ended; the earliest is named first in a message
	// AgentIssue says that the agent never took or never finished the Work, as opposed to a script that failed.
	AgentIssue bool `json:"agentIssue,omitzero"`
}

// Work is one step for one target, handed out.
type Work struct {
	ID       string
	Target   string
	Phase    int
	Step     int
	Event    lifecycle.Event
	By       lifecycle.Runner
	Status   WorkStatus
	IssuedAt time.Time
	AckedAt  time.Time // zero until acknowledged
	EndedAt  time.Time // zero while open
	Due      time.Time // the next deadline: for the acknowledgement, then for the completion
	Timeout  time.Duration
	Diagnostics
}

// Diagnostics is what whoever ran a Work says about it (agent.md 4.7, service.md 3.4).
type Diagnostics struct {
	ErrorCode  string `json:"errorCode,omitzero"` // Success, ScriptMissing, ...; "" while nothing was reported
	ScriptName string `json:"scriptName,omitzero"`
	Message    string `json:"message,omitzero"`
	LogTail    string `json:"logTail,omitzero"`
}

// WorkID derives the id of a Work. The same step of the same target always has the same id, so that two engines that
// reach the same decision cannot issue it twice.
func WorkID(deployment string, phase, step int, target string) string {
	return fmt.Sprintf("%s.%d.%d.%s", deployment, phase, step, target)
}

// Decision is what Decide wants done: data, to be committed before anybody acts on it.
type Decision struct {
	Status  Status         // the new status; "" when it stays
	Why     Why            // of a new terminal status other than Succeeded
	Phase   int            // the phase from now on
	Targets []TargetChange // in the order of the plan
	Issue   []Work         // to be handed out
	Settle  []Settle       // Work whose consequences this decision has drawn
	// Rollback asks for a new deployment that restores Facts.LastGood; RollbackMessage says why there is one, or why
	// there is none although the plan asks for it.
	Rollback        bool
	RollbackMessage string
	// Wake is the next moment at which the answer could change by time alone; zero when only a fact can change it.
	Wake time.Time
}

// Empty reports whether the decision changes nothing that is stored.
func (d Decision) Empty(s State) bool {
	return d.Status == "" && d.Phase == s.Phase && len(d.Targets) == 0 && len(d.Issue) == 0 && len(d.Settle) == 0 &&
		!d.Rollback && d.RollbackMessage == ""
}

// Why is an error code of service.md 3.5 with its message.
type Why struct {
	Code    string `json:"code,omitzero"`
	Message string `json:"message,omitzero"`
}

// TargetChange moves a target.
type TargetChange struct {
	ID      string
	Status  TargetStatus
	Step    int
	Failure *Failure
}

// Settle says that a decision has drawn the consequences of a Work. Saw guards the commit: if the Work is no longer in
// the status that Decide saw, the whole commit is refused and decided anew.
type Settle struct {
	ID          string
	Saw         WorkStatus
	Status      WorkStatus // the terminal status it ends with; equal to Saw when it had ended already
	Diagnostics            // set when Status differs from Saw
}
