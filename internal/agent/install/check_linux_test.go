package install

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What cannot be written to shows before anything is changed, when the agent is not root or a file system is read-only.
func TestDestinationThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.Chmod(h.dir+"/..", 0o755), os.Mkdir(h.path("app"), 0o555))
	o := h.revision(all, files{"f": "", "sub/g": ""})
	if os.Geteuid() == 0 {
		// For the file system this thread is somebody else, until the end of the test.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		must(t, unix.Setfsuid(1))
		defer unix.Setfsuid(0) //nolint:errcheck // a thread may always become what it was
	}
	wantContains(t, h.refused(o), "the agent cannot write to the folder "+h.path("app")+": permission denied")
}
