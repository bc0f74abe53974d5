package deploy

import (
	"slices"
	"strings"

	"grapnel/internal/lifecycle"
)

// maxHints bounds the advice in one message.
const maxHints = 3

// hint is advice for a failure that many have met before (users.md).
type hint struct {
	fits func(Failure) bool
	text string
}

// hints in the order in which they are tried; the first that fits a failure is given.
var hints = []hint{
	{func(f Failure) bool { return f.AgentIssue },
		"Is the agent running on the host (codedeploy-agent status), and can it reach this server?"},
	{func(f Failure) bool { return ignorable(f.Event) && f.Diagnostics.ScriptName != "" },
		"This script belongs to the previous revision; --ignore-application-stop-failures on create-deployment gets past it."},
	{func(f Failure) bool { return f.Diagnostics.ErrorCode == "ScriptMissing" },
		"A hook's location in appspec.yml is looked up below the root of the bundle."},
	{func(f Failure) bool { return f.Diagnostics.ErrorCode == "ScriptTimedOut" },
		"The timeout of the hook in appspec.yml bounds all of its script, background children included."},
	{mentions("No space left on device"),
		"Free some disk space on the host, then deploy again."},
	{mentions("already exists at this location"),
		"--file-exists-behavior OVERWRITE or RETAIN on create-deployment decides what happens to files that are there already."},
	{mentions("Could not get lock"),
		"Another process holds the package manager's lock, often the host's own first boot: wait for it in the hook."},
	{exits("126"),
		"Exit 126: the command was found but is not executable; check its mode and its first line."},
	{exits("127"),
		"Exit 127: a command was not found; hooks run with a short PATH, so name it by its full path or set PATH in the script."},
	{exits("137"),
		"Exit 137: the script was killed, often for lack of memory."},
}

func ignorable(e lifecycle.Event) bool {
	info, _ := lifecycle.Lookup(e)
	return info.Ignorable
}

func mentions(text string) func(Failure) bool {
	return func(f Failure) bool {
		return strings.Contains(f.Diagnostics.Message, text) || strings.Contains(f.Diagnostics.LogTail, text)
	}
}

func exits(code string) func(Failure) bool {
	return func(f Failure) bool { return f.Diagnostics.exitCode() == code }
}

// hintsFor returns the advice that fits the failures, each once.
func hintsFor(failures []failed) []string {
	var found []string
	for _, f := range failures {
		i := slices.IndexFunc(hints, func(h hint) bool { return h.fits(f.Failure) })
		if i < 0 || slices.Contains(found, hints[i].text) {
			continue
		}
		if found = append(found, hints[i].text); len(found) == maxHints {
			break
		}
	}
	return found
}
