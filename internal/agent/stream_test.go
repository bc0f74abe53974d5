package agent

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

// A service that asks for the output of scripts gets it while they run; one that does not, as AWS, is never sent any.
func TestOutputStreamsUpWhereItIsWanted(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	pipe := h.path("go-on")
	script := fmt.Sprintf("#!/bin/sh\necho begun\nuntil [ -e %s ]; do sleep 0.01; done\nprintf '\\033[31mended\\033[0m\\n' >&2\n", pipe)
	watched := h.put("d-WATCHED", oneHook(script, "location: hook.sh").zip(t)).with("LogStream", map[string]any{"MaxBytes": 100000})
	h.run("DownloadBundle", watched)
	id := h.send("AfterInstall", watched)
	h.wait("the first line, while the script runs", func() bool { return len(h.commands[id].output) == 1 && len(h.commands[id].completed) == 0 })
	writeFile(t, pipe, "")
	h.end(id)

	unwatched := h.put("d-UNWATCHED", oneHook(script, "location: hook.sh").zip(t))
	h.run("DownloadBundle", unwatched)
	other := h.send("AfterInstall", unwatched)
	if _, end := h.end(other); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("the hook that nobody watches ended with %+v", end)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff([]string{"hook.sh stdout: begun", "hook.sh stderr: ended"}, h.commands[id].output); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if got := h.commands[other].output; got != nil {
		t.Errorf("a service that did not ask for output got %q", got)
	}
}
