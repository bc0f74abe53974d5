//go:build unix

package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"grapnel/internal/agent/doctor"
)

// A pipe in the place of the configuration file fails one check, at once. The others are told all the same.
func TestPipeAsConfiguration(t *testing.T) {
	t.Parallel()
	pipe := t.TempDir() + "/agent.yml"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if exit := doctor.Main(t.Context(), doctor.Options{ConfigFile: pipe}, &out); exit != 1 {
		t.Errorf("exit code %d, want 1", exit)
	}
	for _, want := range []string{
		"FAIL  configuration ", "is a pipe or a socket", "skip  folders           needs the configuration", "ok    system ", ", 1 failed, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// A file that never ends, as on a server of files that has died, fails one check.
func TestCheckThatCannotEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p := newPatient(t, "http://127.0.0.1:1")
	instructions := p.dir + "/root/deployment-instructions"
	p.write("root/deployment-instructions/g-1-cleanup", "")
	if err := unix.Mkfifo(instructions+"/g-1_last_successful_install", 0o600); err != nil {
		t.Fatal(err)
	}
	r := p.examine(ctx)
	r.want("deployments", doctor.Failed, "something hangs", "file server")
	r.want("folders", doctor.OK)
}
