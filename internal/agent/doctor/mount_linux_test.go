package doctor_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"grapnel/internal/agent/doctor"
)

// examined makes the test's own program a doctor, so that one can run where other things are mounted.
const examined = "DOCTOR_TEST_CONFIG"

func TestMain(m *testing.M) {
	if config := os.Getenv(examined); config != "" {
		os.Exit(doctor.Main(context.Background(), doctor.Options{ConfigFile: config}, os.Stdout))
	}
	os.Exit(m.Run())
}

// Scripts of bundles are started where they are unpacked, and hardened hosts mount much with noexec or read-only. The mounts
// are those of one process and go with it.
func TestMounts(t *testing.T) {
	t.Parallel()
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skipf("needs root and unshare (apt-get install util-linux): %v", err)
	}
	for options, wants := range map[string][]string{
		"noexec,size=20m": {"FAIL  scripts ", "which is mounted noexec", "→ mount -o remount,exec ", "FAIL  free space ", " has 20.0 MiB"},
		"ro":              {"FAIL  folders ", "cannot make root_dir", "read-only file system"},
		"nr_inodes=50":    {"FAIL  free space ", "and 49 files free"},
	} {
		p := newPatient(t, "http://127.0.0.1:1")
		p.write("mounted/here", "")
		p.keys["root_dir"] = p.dir + "/mounted/root"
		doctor := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs -o "$1" none "$2" && exec "$3"`, "sh", options, p.dir+"/mounted", os.Args[0])
		doctor.Env = append(os.Environ(), examined+"="+p.configure())
		out, _ := doctor.CombinedOutput() // that it fails is what is looked for below
		for _, want := range wants {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: it does not say %q:\n%s", options, want, out)
			}
		}
	}
}
