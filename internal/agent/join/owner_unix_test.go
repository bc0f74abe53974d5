//go:build unix

package join

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An agent that does not run as root can read the key that root has got for it, and each later one.
func TestFilesOfAnAgentThatIsNotRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away: sudo go test ./internal/agent/join")
	}
	const agent = 4711
	s, m := newServer(t), newMachine(t)
	root := filepath.Join(m.dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root, m.config} {
		if err := os.Chown(path, agent, agent); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		for _, path := range []string{m.config, m.ids, m.ids + ".lock"} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != agent {
				t.Errorf("%s, %s belongs to %d", when, path, uid)
			}
		}
	}
	m.mustJoin(s, "--name", "web-1")
	check("after join")
	if exit, said := m.rotate(); exit != exitOK {
		t.Fatal(said)
	}
	check("after rotate-key")
}
