package appspec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Shapes of the parts of an AppSpec, shown when one has another.
const (
	filesShape       = `write "files:" and below it "  - source: /" and "    destination: /var/app"`
	permissionsShape = `write "permissions:" and below it "  - object: /var/app" and what it gets`
	hooksShape       = `write "hooks:" and below it an event such as "  AfterInstall:" with "    - location: scripts/x.sh"`
	scriptsShape     = `write each script as "- location: scripts/x.sh"`
)

// maxTimeout is far above any deadline of a deployment and far below what time.Duration holds.
const maxTimeout = 365 * 24 * time.Hour

// appSpec reads the whole document (agent.md 7.2).
func (r *reader) appSpec(n *yaml.Node) *AppSpec {
	m := r.mapping(n, "an AppSpec file", `it begins with "version: 0.0" and "os: linux"`)
	r.version(m)
	return &AppSpec{
		OS:                 r.os(m),
		FileExistsBehavior: r.fileExistsBehavior(m),
		Files:              r.files(m),
		Permissions:        r.permissions(m),
		Hooks:              r.hooks(m),
	}
}

// version must be the number 0.0. Ruby compares numbers, so 0 is the same, but the string "0.0" is not.
func (r *reader) version(m mapping) {
	const fix = "write version: 0.0, without quotes"
	n := m.get("version")
	switch {
	case n == nil:
		r.required(m, "version", "the AppSpec file", "0.0")
	case n.Kind != yaml.ScalarNode:
		r.fail(n, "version must be the number 0.0, not "+describe(n), fix)
	case resolve(n) == float64(0):
	case n.Value == "0.0" || n.Value == "0":
		r.fail(n, fmt.Sprintf("version is the text %q, but must be the number 0.0", n.Value), fix)
	default:
		r.fail(n, fmt.Sprintf("version is %q, but the only one there is is 0.0", n.Value), fix)
	}
}

// os must be linux: this agent has no other hosts.
func (r *reader) os(m mapping) string {
	n := m.get("os")
	if n == nil && m.get("Resources") != nil {
		r.fail(m.node, `it is an AppSpec file for ECS or Lambda (it has "Resources"), but the deployment is to hosts`,
			`one for hosts has "os: linux", "files:" and "hooks:"`)
		return ""
	}
	os := r.required(m, "os", "the AppSpec file", "linux")
	if r.failure == nil && (os != "linux" || resolve(n) != "linux") {
		r.fail(n, fmt.Sprintf("os is %q, but this agent runs on linux", os), "write os: linux, in lower case")
	}
	return os
}

func (r *reader) fileExistsBehavior(m mapping) string {
	n := m.get("file_exists_behavior")
	if n == nil {
		return ""
	}
	behavior := r.text(m, "file_exists_behavior")
	if !slices.Contains([]string{Disallow, Overwrite, Retain}, behavior) {
		r.fail(n, fmt.Sprintf("file_exists_behavior is %q", behavior), "write DISALLOW, OVERWRITE or RETAIN, in upper case")
	}
	return behavior
}

func (r *reader) files(m mapping) []File {
	var files []File
	for _, n := range r.list(m, "files", filesShape) {
		entry := r.mapping(n, "an entry of files", filesShape)
		files = append(files, File{
			Source:      r.required(entry, "source", "this entry of files", "/"),
			Destination: r.required(entry, "destination", "this entry of files", "/var/app"),
			Line:        entry.node.Line,
		})
		if r.failure != nil {
			return nil
		}
	}
	return files
}

func (r *reader) hooks(m mapping) map[string][]Script {
	n := m.get("hooks")
	if n == nil {
		return nil
	}
	events := r.mapping(n, "hooks", hooksShape)
	hooks := map[string][]Script{}
	for _, event := range events.names() {
		if scripts := r.list(events, event, scriptsShape); events.get(event) != nil {
			hooks[event] = r.scripts(event, scripts)
		}
		if r.failure != nil {
			return nil
		}
	}
	return hooks
}

func (r *reader) scripts(event string, nodes []*yaml.Node) []Script {
	scripts := []Script{}
	for _, n := range nodes {
		what := "a script of " + event
		entry := r.mapping(n, what, scriptsShape)
		scripts = append(scripts, Script{
			Location: strings.TrimSpace(r.required(entry, "location", what, "scripts/x.sh")),
			Timeout:  r.timeout(entry),
			RunAs:    strings.TrimSpace(r.text(entry, "runas")),
			Sudo:     r.truth(entry, "sudo"),
			Line:     entry.node.Line,
		})
		if r.failure != nil {
			return nil
		}
	}
	return scripts
}

// leadingInteger is what Ruby's String#to_i takes from a string.
var leadingInteger = regexp.MustCompile(`^\s*[-+]?[0-9]+(?:_[0-9]+)*`)

// timeout reads seconds. Numbers lose their fraction, and of a string the leading digits count, as in the stock agent.
func (r *reader) timeout(m mapping) time.Duration {
	const fix = "write a whole number of seconds, such as 300"
	n := m.get("timeout")
	if n == nil {
		return DefaultTimeout
	}
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "timeout must be a number, not "+describe(n), fix)
		return 0
	}
	seconds := math.NaN()
	switch value := resolve(n).(type) {
	case float64:
		seconds = value
	case string:
		digits := strings.ReplaceAll(strings.TrimSpace(leadingInteger.FindString(value)), "_", "")
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			seconds = f
		}
	}
	switch {
	case math.IsNaN(seconds):
		r.fail(n, fmt.Sprintf("timeout is %q, which is no number", n.Value), fix)
	case seconds < 1:
		r.fail(n, fmt.Sprintf("timeout is %q, but must be at least 1 second", n.Value), fix)
	case seconds > maxTimeout.Seconds():
		r.fail(n, fmt.Sprintf("timeout is %q, more than a year", n.Value), fix)
	}
	return time.Duration(min(math.Trunc(seconds), maxTimeout.Seconds())) * time.Second
}

// truth reads a field as Ruby would in a condition: everything but absent, null and false is true.
func (r *reader) truth(m mapping, name string) bool {
	n := m.get(name)
	return n != nil && (n.Kind != yaml.ScalarNode || resolve(n) != false)
}
