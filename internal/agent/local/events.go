package local

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"grapnel/internal/lifecycle"
)

const (
	downloadBundle = string(lifecycle.DownloadBundle)
	installEvent   = string(lifecycle.Install)
)

// defaultEvents are those of a run without --events (agent.md 1.2). ValidateService comes before the events of a load
// balancer here, other than with a service.
var defaultEvents = []string{
	string(lifecycle.BeforeBlockTraffic), string(lifecycle.AfterBlockTraffic), string(lifecycle.ApplicationStop),
	downloadBundle, string(lifecycle.BeforeInstall), installEvent, string(lifecycle.AfterInstall),
	string(lifecycle.ApplicationStart), string(lifecycle.ValidateService),
	string(lifecycle.BeforeAllowTraffic), string(lifecycle.AfterAllowTraffic),
}

// afterInstall need the installed revision, and so both DownloadBundle and Install before them.
var afterInstall = []string{
	string(lifecycle.AfterInstall), string(lifecycle.ApplicationStart), string(lifecycle.BeforeAllowTraffic),
	string(lifecycle.AfterAllowTraffic), string(lifecycle.ValidateService),
}

// split returns the events of --events, each once.
func split(list string) []string {
	var events []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(events, name) {
			events = append(events, name)
		}
	}
	return events
}

// checkOrder refuses events that need what comes only later (agent.md 1.2, rules 8 and 9).
func checkOrder(events []string) error {
	for _, rule := range []struct {
		event    string
		tooEarly []string
	}{
		{downloadBundle, append([]string{installEvent}, afterInstall...)},
		{installEvent, afterInstall},
	} {
		before := events[:max(0, slices.Index(events, rule.event))]
		for _, early := range before {
			if slices.Contains(rule.tooEarly, early) {
				return fmt.Errorf("--events: %s cannot come before %s", early, rule.event)
			}
		}
	}
	return nil
}

// eventName is the form that stock agents demand of custom events.
var eventName = regexp.MustCompile(`^[A-Z][a-z0-9][A-Za-z0-9]*$`)

// checkNames refuses events that nothing on a host can run.
func checkNames(events []string) error {
	for _, name := range events {
		if info, known := lifecycle.Lookup(lifecycle.Event(name)); known && info.Runner != lifecycle.Host {
			return fmt.Errorf("--events: %s is an event of the service, which runs nothing on a host", name)
		}
		if !eventName.MatchString(name) {
			return fmt.Errorf("--events: %q is no name of an event: it begins with an upper-case letter, goes on with a lower-case letter or a digit, "+
				"and has letters and digits only, such as ApplicationStart or WarmUpCache", name)
		}
	}
	return nil
}

// completed returns the events to run: DownloadBundle and Install are always among them, in this order (agent.md 1.2).
func completed(events []string) []string {
	if len(events) == 0 {
		return defaultEvents
	}
	var missing []string
	for _, name := range []string{downloadBundle, installEvent} {
		if !slices.Contains(events, name) {
			missing = append(missing, name)
		}
	}
	events = slices.Concat(missing, events)
	if d, i := slices.Index(events, downloadBundle), slices.Index(events, installEvent); i < d {
		events[i], events[d] = events[d], events[i]
	}
	return events
}

// possible are the events that the AppSpec may have hooks for: the usual ones and those that were asked for. A custom one
// that was asked for must have one (agent.md 5.3).
func possible(events []string) []string {
	all := slices.Clone(defaultEvents)
	for _, name := range events {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
