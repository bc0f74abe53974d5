// Package planner compiles settings into frozen plans. It is pure: what it needs to know is in its Request.
//
// It reads settings in their wire shape (package awsapi), because that is how they are stored.
package planner

import (
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
)

// Times of service.md 4.5.
const (
	AcknowledgeTimeout = 5 * time.Minute
	CompleteTimeout    = 3600 * time.Second
	InPlaceLimit       = 8 * time.Hour
)

// Host is a candidate for a deployment: a registered host with what its group remembers of it.
type Host struct {
	Name        string
	Tags        []awsapi.Tag
	Healthy     bool   // its last attempt in this group succeeded
	RevisionKey string // of the last revision that succeeded on it in this group, "" if none
}

// Request is everything that a plan depends on.
type Request struct {
	Group       awsapi.DeploymentGroupInfo
	Config      awsapi.DeploymentConfigInfo
	Hosts       []Host // every registered host; the planner selects
	RevisionKey string // of the revision to deploy
	CurrentKey  string // of the group's last successful revision, "" if none

	IgnoreApplicationStopFailures bool
	UpdateOutdatedInstancesOnly   bool
	MaxTargets                    int // more make the deployment fail with OVER_MAX_INSTANCES; 0 is no limit
	// AutoRollback overrides the group's setting when it is set.
	AutoRollback *awsapi.AutoRollbackConfiguration
}

// Compile returns the plan of a deployment. A plan whose phase has no targets is legal: the deployment fails with
// NO_INSTANCES (service.md 4.1). An *UnsupportedError says which setting this platform cannot do yet.
func Compile(r Request) (deploy.Plan, error) {
	if err := supported(r.Group, r.Config); err != nil {
		return deploy.Plan{}, err
	}
	health, err := healthRule(r.Config)
	if err != nil {
		return deploy.Plan{}, err
	}
	targets := pick(r)
	upToDate := len(Select(r.Group, r.Hosts)) - len(targets)
	var excess deploy.Excess
	if r.MaxTargets > 0 && len(targets) > r.MaxTargets {
		excess = deploy.Excess{Selected: len(targets), Most: r.MaxTargets}
		targets = nil
	}
	return deploy.Plan{
		Phases: []deploy.Phase{{
			Name:    "in-place",
			Targets: targets,
			Steps:   inPlaceSteps(r.IgnoreApplicationStopFailures),
			Health:  health,
		}},
		Limit:    InPlaceLimit,
		Rollback: rollback(r),
		UpToDate: upToDate,
		Excess:   excess,
	}, nil
}

func inPlaceSteps(ignoreStopFailures bool) []deploy.Step {
	steps := make([]deploy.Step, len(lifecycle.InPlace))
	for i, event := range lifecycle.InPlace {
		info, _ := lifecycle.Lookup(event)
		steps[i] = deploy.Step{
			Event:         event,
			By:            info.Runner,
			Acknowledge:   AcknowledgeTimeout,
			Timeout:       CompleteTimeout,
			IgnoreFailure: info.Ignorable && ignoreStopFailures,
		}
	}
	return steps
}

func healthRule(c awsapi.DeploymentConfigInfo) (deploy.Health, error) {
	m := c.MinimumHealthyHosts
	if m == nil {
		return deploy.Health{}, fmt.Errorf("deployment config %s has no minimumHealthyHosts", awsapi.Value(c.DeploymentConfigName))
	}
	h := deploy.Health{Type: deploy.HealthType(m.Type), Value: int(awsapi.Value(m.Value))}
	switch h.Type {
	case deploy.HostCount, deploy.FleetPercent, deploy.OneAtATime:
		return h, nil
	}
	return deploy.Health{}, &UnsupportedError{"minimumHealthyHosts.type", string(m.Type)}
}

// rollback takes the deployment's own setting, or else the group's (service.md 6.1).
func rollback(r Request) deploy.Rollback {
	setting := r.AutoRollback
	if setting == nil {
		setting = r.Group.AutoRollbackConfiguration
	}
	var on deploy.Rollback
	if setting == nil || !awsapi.Value(setting.Enabled) {
		return on
	}
	for _, event := range setting.Events {
		switch event {
		case awsapi.AutoRollbackEventDeploymentFailure:
			on.OnFailure = true
		case awsapi.AutoRollbackEventDeploymentStopOnAlarm:
			on.OnAlarm = true
		case awsapi.AutoRollbackEventDeploymentStopOnRequest:
			on.OnStop = true
		}
	}
	return on
}
