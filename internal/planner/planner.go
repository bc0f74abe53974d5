// Package planner compiles settings into frozen plans. It is pure: what it needs to know is in its Request.
//
// It reads settings in their wire shape (package awsapi), because that is how they are stored.
package planner

import (
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
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
	// AutoRollback overrides the group's setting when it is set.
	AutoRollback *awsapi.AutoRollbackConfiguration
}

// Compile returns the plan of a deployment. A plan whose phase has no targets is legal: the deployment fails with
// NO_INSTANCES (service.md 4.1). An error says which setting this platform cannot do yet.
func Compile(r Request) (deploy.Plan, error) { panic("to be written") }

// Select returns the hosts that the group's on-premises tag filters match (service.md 4.1), by name.
func Select(g awsapi.DeploymentGroupInfo, hosts []Host) []Host { panic("to be written") }

// Predefined returns the deployment configs that exist without being created, by name (service.md 5.1).
func Predefined() []awsapi.DeploymentConfigInfo { panic("to be written") }
