// Package store holds the rows that Grapnel keeps and the interfaces through which the rest of the program reaches them.
//
// Settings (applications, groups, configs, revisions, hosts) are stored in their wire shape: they have no behaviour beyond
// what AWS defines, so a second set of structs would be pure copying. Running things (deployments, targets, Work) have
// types of their own, in package deploy.
//
// Every method is one transaction, durable when it returns. Times are UTC with microseconds. Lists are in byte order of
// their key, exclusive of after, at most limit long (0 = all).
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrInUse    = errors.New("in use")
	// ErrConflict says that what a decision or a change was based on has changed: load and decide again.
	ErrConflict = errors.New("changed in between")
	// ErrEnded says that a deployment or a Work has ended and takes no more facts.
	ErrEnded = errors.New("ended already")
	// ErrNoConfig says that there is no custom deployment config of that name.
	ErrNoConfig = errors.New("no such deployment config")
	// ErrNoToken says that there is no GitHub token of that name.
	ErrNoToken = errors.New("no such token")
)

// BusyError says that a deployment group has a live deployment.
type BusyError struct{ Deployment string }

// Error names the live deployment.
func (e *BusyError) Error() string {
	return fmt.Sprintf("deployment %s is still under way", e.Deployment)
}

// Quotas bound what callers create, over all servers that share the store; 0 is no bound (service.md 12).
type Quotas struct {
	Applications int
	Groups       int // of one application
	Configs      int // custom ones
	Deployments  int // live ones; rollbacks are never refused
	Targets      int // of all live deployments together
	GitHubTokens int
}

// QuotaError says that one more would be more than a quota allows.
type QuotaError struct {
	What string // what there are too many of, in the plural
	Most int
}

// Error names what there would be too many of.
func (e *QuotaError) Error() string { return fmt.Sprintf("there may be %d %s", e.Most, e.What) }

// Application is an application with what only the server knows of it.
type Application struct {
	Info    awsapi.ApplicationInfo // applicationId, applicationName, createTime, computePlatform, ...
	Tags    []awsapi.Tag
	Version int64 // how often it was changed; see UpdateApplication
}

// Applications keeps applications; their names are unique.
type Applications interface {
	CreateApplication(ctx context.Context, a Application) error // ErrExists, *QuotaError
	Application(ctx context.Context, name string) (Application, error)
	Applications(ctx context.Context, after string, limit int) ([]string, error)
	// UpdateApplication stores a under its (possibly new) name; groups, revisions and deployments follow. ErrNotFound,
	// ErrExists; ErrConflict when the application is no longer the one of a.Version, so that no change undoes another.
	UpdateApplication(ctx context.Context, name string, a Application) error
	// DeleteApplication removes the application with its groups, revisions and deployment history; ErrNotFound.
	DeleteApplication(ctx context.Context, name string) error
}

// Group is a deployment group. Info holds settings only: its targetRevision, lastSuccessfulDeployment and
// lastAttemptedDeployment are kept beside it, moved by the engine, and filled in when a group is read.
type Group struct {
	Info    awsapi.DeploymentGroupInfo
	Tags    []awsapi.Tag
	Version int64 // how often its settings were changed; see UpdateGroup
}

// ServiceTakenError says that another deployment group deploys to an ECS service already.
type ServiceTakenError struct{ Service, Application, Group string }

// Error names the group.
func (e *ServiceTakenError) Error() string {
	return fmt.Sprintf("ECS service %s belongs to deployment group %s of application %s", e.Service, e.Group, e.Application)
}

// Groups keeps deployment groups; their names are unique within an application, and each of their ECS services belongs to
// one group only: *ServiceTakenError (service.md 2.5).
type Groups interface {
	// CreateGroup fails with ErrExists, *QuotaError, ErrNotFound without the application, and ErrNoConfig without its custom config.
	CreateGroup(ctx context.Context, g Group) error
	Group(ctx context.Context, application, name string) (Group, error)
	Groups(ctx context.Context, application, after string, limit int) ([]string, error)
	// UpdateGroup fails with ErrNotFound, ErrNoConfig, ErrExists on a rename, and ErrConflict when the group is no longer the
	// one of g.Version.
	UpdateGroup(ctx context.Context, application, name string, g Group) error
	DeleteGroup(ctx context.Context, application, name string) error // with its deployment history; ErrNotFound
}

// Configs keeps custom deployment configs; the predefined ones are code (planner.Predefined).
type Configs interface {
	CreateConfig(ctx context.Context, c awsapi.DeploymentConfigInfo) error // ErrExists, *QuotaError
	Config(ctx context.Context, name string) (awsapi.DeploymentConfigInfo, error)
	Configs(ctx context.Context, after string, limit int) ([]string, error)
	DeleteConfig(ctx context.Context, name string) error // ErrInUse by a group or a live deployment; ErrNotFound
}

// Revision is a registered revision of an application. Key is its canonical form (see RevisionKey).
type Revision struct {
	Key      string
	Location awsapi.RevisionLocation
	Info     awsapi.GenericRevisionInfo // deploymentGroups is filled in when read: groups whose target revision it is
}

// Revisions keeps the revisions of applications.
type Revisions interface {
	// RegisterRevision stores r, or replaces the description of the one with the same key; times of use are kept.
	RegisterRevision(ctx context.Context, application string, r Revision) error // ErrNotFound without the application
	Revision(ctx context.Context, application, key string) (Revision, error)
	Revisions(ctx context.Context, application string) ([]Revision, error) // by registerTime
}

// Host is a registered on-premises instance (service.md 2.8, 9). A deregistered one keeps its record until its name is
// registered again.
type Host struct {
	Info     awsapi.InstanceInfo
	LastSeen time.Time // when its agent last polled; zero if never
	Agent    string    // the version it then sent, "" if none
}

// Hosts keeps on-premises instances.
type Hosts interface {
	RegisterHost(ctx context.Context, h Host) error // ErrExists for the name; *ARNInUseError
	Host(ctx context.Context, name string) (Host, error)
	// HostByARN finds the registered host whose iamUserArn or iamSessionArn is arn, compared whole; ErrNotFound.
	HostByARN(ctx context.Context, arn string) (Host, error)
	Hosts(ctx context.Context) ([]Host, error) // registered and deregistered, by name
	// DeregisterHost ends the registration, and with it fails the host's open Work: nobody else can report it. It returns the
	// deployments that this concerns; ErrNotFound when the host is not registered.
	DeregisterHost(ctx context.Context, name string, at time.Time) (deployments []string, err error)
	TagHosts(ctx context.Context, names []string, change TagChange) error  // *NotRegisteredError, *TagLimitError; all or nothing
	HostsSeen(ctx context.Context, seen []Presence) error                  // unknown names are ignored
	GroupHealth(ctx context.Context, group string) ([]TargetHealth, error) // by target id, for the group with this id
}

// ARNInUseError says that a registered host has the ARN already.
type ARNInUseError struct{ Host string }

// Error names the host.
func (e *ARNInUseError) Error() string {
	return fmt.Sprintf("host %s is registered with this ARN", e.Host)
}

// NotRegisteredError says which host is not registered.
type NotRegisteredError struct{ Host string }

// Error names the host.
func (e *NotRegisteredError) Error() string { return fmt.Sprintf("host %s is not registered", e.Host) }

// TagChange adds and removes (key, value) pairs; tags are a set of pairs (service.md 2.8). After it no host may have more
// than Limit tags, else *TagLimitError.
type TagChange struct {
	Add, Remove []awsapi.Tag
	Limit       int
}

// TagLimitError says which host would have too many tags.
type TagLimitError struct{ Host string }

// Error names the host.
func (e *TagLimitError) Error() string {
	return fmt.Sprintf("host %s would have too many tags", e.Host)
}

// Presence is one sighting of a host's agent.
type Presence struct {
	Host  string
	At    time.Time
	Agent string
}

// TargetHealth is what the group remembers of one of its targets from its last attempt (service.md 5.2).
type TargetHealth struct {
	Target      string
	Healthy     bool   // the last attempt succeeded
	RevisionKey string // of the last revision that succeeded on it, "" if none
}

// Deployment is one deployment with everything frozen at its creation.
type Deployment struct {
	// Info is the wire shape as frozen at creation (names, revision, previousRevision, description, creator, switches,
	// style, alarm and rollback settings). Members that move (status, times, overview, errorInformation, rollbackInfo)
	// are filled in when the deployment is read.
	Info        awsapi.DeploymentInfo
	GroupID     string
	RevisionKey string
	Plan        deploy.Plan
	Facts       deploy.Facts
	Status      deploy.Status
	Phase       int // index into Plan.Phases; moved by the engine
}

// TerminationWaitStarted reports whether the deployment has come to the wait before what it replaces is taken away: always
// its last phase.
func (d Deployment) TerminationWaitStarted() bool {
	return d.Phase < len(d.Plan.Phases) && d.Plan.Phases[d.Phase].Gate.Termination
}

// DeploymentFilter selects deployments; zero members select all.
type DeploymentFilter struct {
	Application, Group string
	Statuses           []deploy.Status
	From, To           time.Time // createTime, both inclusive
	Before             Listed    // only those listed after this one, which may have been deleted since
	Limit              int
}

// Listed is a deployment's place in the list: newest first, of two that were created at once the greater id.
type Listed struct {
	ID        string
	CreatedAt time.Time
}

// Deployments is how the API sees running things.
type Deployments interface {
	// CreateDeployment stores d with its targets as Created, registers its revision if it is unknown and stamps its use,
	// and makes it the group's last attempt. Facts.LastGood and previousRevision are set from the group's last success, in
	// the same transaction, whatever d says. *BusyError when the group has a live deployment; ErrNotFound when the group is
	// gone; ErrExists when the id, or a rollback of the same deployment, exists; ErrConflict when d restarts what is no
	// longer the group's target revision; *QuotaError.
	CreateDeployment(ctx context.Context, d Deployment) error
	// Deployment returns a deployment; what it points to is shared with other callers and must not be changed.
	Deployment(ctx context.Context, id string) (Deployment, error)
	ListDeployments(ctx context.Context, f DeploymentFilter) ([]Listed, error) // newest first
	// Targets returns the targets of a deployment in the order of its plan, with every Work ever issued for them.
	// ids restricts them; an unknown id is left out.
	Targets(ctx context.Context, deployment string, ids ...string) ([]Target, error)
	// Silent returns the targets of a deployment that have Pending host Work and whose agents have not polled since since:
	// at most limit, in the order of their names, with their LastSeen.
	Silent(ctx context.Context, deployment string, since time.Time, limit int) ([]deploy.Target, error)
	// StopDeployment stores the fact, once; ErrEnded when the deployment is terminal; ErrNotFound.
	StopDeployment(ctx context.Context, id string, fact deploy.Stop) error
	// ApprovePhase stores that the phase may begin, whatever its gate says, and so may those before it; ErrEnded when the
	// deployment is terminal; ErrNotFound.
	ApprovePhase(ctx context.Context, id string, phase int) error
}

// Target is a target with its history.
type Target struct {
	deploy.Target
	Work      []deploy.Work // in the order of issue
	UpdatedAt time.Time
	EndedAt   time.Time // zero while not terminal
}

// Rounds is how the engine sees deployments: load, decide, commit under a guard.
type Rounds interface {
	Live(ctx context.Context) ([]string, error) // ids of deployments that are not terminal, oldest first
	// Load returns what a decision may depend on. Its plan is shared with other callers and must not be changed.
	Load(ctx context.Context, deployment string) (deploy.State, error)
	// Commit stores a decision made of the loaded state, or nothing: ErrConflict when the deployment's version or the
	// status of a Work in Settle has moved since. It stamps start and completion times, and with a terminal status the
	// group's last success and the health of its targets.
	Commit(ctx context.Context, r Round) error
	// Reprieve moves every deadline of open host Work that lies before until to until: while no server ran, no host could
	// take or report it, and none may fail for that.
	Reprieve(ctx context.Context, until time.Time) error
}

// Round is one decision with the state that it was made of.
type Round struct {
	State    deploy.State
	Decision deploy.Decision
	At       time.Time
	// Rollback is the deployment that Decision.Rollback asks for, nil for none. It takes the place of the ended one in
	// the group, in the same transaction.
	Rollback *Deployment
}

// Command is a host Work with what its host is told.
type Command struct {
	deploy.Work
	Deployment string
	HandedAt   time.Time // zero until handed over
	Handovers  int
}

// Commands is how the host-command protocol sees Work. host is the name of a registered host.
type Commands interface {
	// HandOver returns the host's oldest Pending Work that was never handed over, or last before again, and stores that it
	// was handed over at at. ErrNotFound when there is none.
	HandOver(ctx context.Context, host string, at, again time.Time) (Command, error)
	// HandBack forgets when a Work was last handed over, because writing the reply failed: it may be handed over again at once.
	// Handovers stays: a caller that hung up after it had read the reply looks the same, and then two executions know of it.
	HandBack(ctx context.Context, work string, at time.Time) error
	Command(ctx context.Context, work string) (Command, error)
	// Acknowledge makes a Pending Work Running (noop: Succeeded) and returns it; first says that this call did. Of a Work
	// that is not Pending it changes nothing and returns it as it is. A Work past its Due is not touched: the engine fails it.
	Acknowledge(ctx context.Context, work string, noop bool, at time.Time) (c Command, first bool, err error)
	// Complete ends a Running (or Pending) Work, once; ErrEnded when it has ended before.
	Complete(ctx context.Context, work string, status deploy.WorkStatus, d deploy.Diagnostics, at time.Time) error
	// OpenBundles returns where the bundles of the deployments are in which the host has open Work, those in S3.
	OpenBundles(ctx context.Context, host string) ([]awsapi.S3Location, error)
}

// LogChunk is output of the scripts of one Work, as its agent sent it in one update.
type LogChunk struct {
	Work  string
	Seq   int64 // as the agent counts the chunks of a Work: greater with each
	Size  int64 // bytes by which it counts against LogLimits
	Lines []awsapi.LogLine

	// Filled in when it is read.
	Place         int64 // in the log of its deployment, counted from 1 without gaps
	Target, Event string
	Cut           bool // a limit was reached here: there are no lines, and nothing of this Work follows
}

// LogLimits bound what is kept, in bytes.
type LogLimits struct {
	Work, Deployment int64
}

// LogFilter selects a part of a deployment's log; zero members select all.
type LogFilter struct {
	Deployment    string // required
	After         int64  // a place
	Target, Event string
	Limit         int // chunks
}

// Logs keeps what scripts write. A deployment takes its log with it.
type Logs interface {
	// AppendLog stores chunks behind the logs of their deployments, in the given order, all or nothing. One whose Seq is not
	// greater than that of its Work's last was stored before and is left out; so is one whose Work is gone or cut. In the
	// place of the first one that exceeds a limit comes the mark that something is missing.
	AppendLog(ctx context.Context, chunks []LogChunk, limits LogLimits) error
	// LogChunks returns chunks in the order of their places. A reader who has seen a place has missed none before it.
	LogChunks(ctx context.Context, f LogFilter) ([]LogChunk, error)
}

// User is an identity of the IAM endpoint.
type User struct {
	Name      string
	Path      string // starts and ends with "/"
	ID        string
	CreatedAt time.Time
}

// AccessKey belongs to a user; the root key has User "". Secret is sealed (package seal): the store never sees it in clear.
type AccessKey struct {
	ID        string
	User      string
	Secret    []byte
	Active    bool
	CreatedAt time.Time
}

// Role is an identity that others take on for a while.
type Role struct {
	Name        string
	Path        string // starts and ends with "/"
	ID          string
	Trust       string // the policy that says who may take it on
	Description string
	MaxSession  time.Duration // whole seconds
	CreatedAt   time.Time
}

// RoleChange is what of a role to set; nil leaves it as it is.
type RoleChange struct {
	Trust, Description *string
	MaxSession         *time.Duration
}

// Owner is a user or a role: one of the two names is "".
type Owner struct{ User, Role string }

// Policy is an inline policy of its owner.
type Policy struct{ Name, Document string }

// Identities keeps users, their access keys, roles, and the inline policies of both.
type Identities interface {
	// IdentityVersion moves with every write through this Store that may change who somebody is or what they may do: of users,
	// keys, roles, policies and registrations of hosts. It has moved when the write returns, so what was read after it was
	// last seen, and while it stays, is what is stored, as far as this process writes.
	IdentityVersion() uint64

	CreateUser(ctx context.Context, u User) error // ErrExists
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context, after string, limit int) ([]User, error)
	DeleteUser(ctx context.Context, name string) error // ErrNotFound; ErrInUse while it has keys or policies

	// CreateAccessKey stores a key: ErrNotFound without its user, ErrExists, *QuotaError when the user would have more than
	// most keys (0 is no bound).
	CreateAccessKey(ctx context.Context, k AccessKey, most int) error
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	AccessKeys(ctx context.Context, user string) ([]AccessKey, error)
	SetAccessKeyActive(ctx context.Context, user, id string, active bool) error // ErrNotFound
	DeleteAccessKey(ctx context.Context, user, id string) error                 // ErrNotFound
	// ReplaceAccessKeys deletes every key of a user but the one to keep, and adds others, all or nothing. ErrNotFound when the
	// user has not the key to keep.
	ReplaceAccessKeys(ctx context.Context, user, keep string, add ...AccessKey) error

	CreateRole(ctx context.Context, r Role) error // ErrExists
	Role(ctx context.Context, name string) (Role, error)
	Roles(ctx context.Context, after string, limit int) ([]Role, error)
	UpdateRole(ctx context.Context, name string, change RoleChange) error // ErrNotFound
	DeleteRole(ctx context.Context, name string) error                    // ErrNotFound; ErrInUse while it has policies

	PutPolicy(ctx context.Context, of Owner, p Policy) error  // in place of one with its name; ErrNotFound without the owner
	Policies(ctx context.Context, of Owner) ([]Policy, error) // by name
	DeletePolicy(ctx context.Context, of Owner, name string) error
}

// Secrets keeps sealed secrets of the server itself, such as the specification-signing key.
type Secrets interface {
	Secret(ctx context.Context, name string) ([]byte, error)
	// AddSecret stores sealed unless the name exists, and returns what is stored then: of several servers that start at
	// once, one wins.
	AddSecret(ctx context.Context, name string, sealed []byte) ([]byte, error)
}

// Store is everything; only the server needs all of it.
type Store interface {
	Applications
	Groups
	Configs
	Revisions
	Hosts
	Deployments
	Rounds
	Commands
	Logs
	Identities
	Secrets
	JoinTokens
	GitHubTokens
	AuditLog
	Notices
	Ping(ctx context.Context) error
	Close() error
}
