// Package lifecycle names the lifecycle events of a deployment, their order, who runs each, and which revision's
// scripts an event takes: one table per platform, read by the planner, by the agent and by the linter.
package lifecycle

// Event is the name of one lifecycle event, spelt as AWS spells it (service.md 4.2).
type Event string

// The lifecycle events of the Server platform.
const (
	BeforeBlockTraffic Event = "BeforeBlockTraffic"
	BlockTraffic       Event = "BlockTraffic"
	AfterBlockTraffic  Event = "AfterBlockTraffic"
	ApplicationStop    Event = "ApplicationStop"
	DownloadBundle     Event = "DownloadBundle"
	BeforeInstall      Event = "BeforeInstall"
	Install            Event = "Install"
	AfterInstall       Event = "AfterInstall"
	ApplicationStart   Event = "ApplicationStart"
	ValidateService    Event = "ValidateService"
	BeforeAllowTraffic Event = "BeforeAllowTraffic"
	AllowTraffic       Event = "AllowTraffic"
	AfterAllowTraffic  Event = "AfterAllowTraffic"
)

// Runner tells whose hands run an event.
type Runner int

// The three kinds of hands (architecture: "three kinds of hands").
const (
	Host   Runner = iota // an agent on a host
	Server               // the engine's own hands
	Hook                 // answered from outside
)

// Scripts tells which revision's AppSpec supplies the scripts of an event (agent.md 9.1, service.md 4.2).
type Scripts int

// Where scripts come from.
const (
	NoScripts    Scripts = iota // the event runs none
	LastRevision                // the last successfully installed revision
	NewRevision                 // the revision being deployed
)

// Info describes one event of a platform.
type Info struct {
	Event   Event
	Runner  Runner
	Scripts Scripts
	// Ignorable events are those whose failure ignoreApplicationStopFailures covers (service.md 4.4).
	Ignorable bool
}

// ServerEvents is every event of the Server platform in the order of an in-place deployment behind a load balancer.
var ServerEvents = []Info{
	{BeforeBlockTraffic, Host, LastRevision, true},
	{BlockTraffic, Server, NoScripts, false},
	{AfterBlockTraffic, Host, LastRevision, true},
	{ApplicationStop, Host, LastRevision, true},
	{DownloadBundle, Host, NoScripts, false},
	{BeforeInstall, Host, NewRevision, false},
	{Install, Host, NoScripts, false},
	{AfterInstall, Host, NewRevision, false},
	{ApplicationStart, Host, NewRevision, false},
	{ValidateService, Host, NewRevision, false},
	{BeforeAllowTraffic, Host, NewRevision, false},
	{AllowTraffic, Server, NoScripts, false},
	{AfterAllowTraffic, Host, NewRevision, false},
}

// InPlace is the order of an in-place deployment without a load balancer (service.md 4.2).
var InPlace = []Event{ApplicationStop, DownloadBundle, BeforeInstall, Install, AfterInstall, ApplicationStart, ValidateService}

// Lookup returns what is known of an event, and false for a custom one.
func Lookup(e Event) (Info, bool) {
	for _, i := range ServerEvents {
		if i.Event == e {
			return i, true
		}
	}
	return Info{}, false
}
