// Package scripts runs the real programs as text: each file of testdata is a folder, commands, and what they must say.
package scripts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"grapnel/internal/server"
	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Values[ownTest{}] = env.T()
			env.Setenv("PATH", filepath.Dir(harness.Path("grapnel"))+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor, "mode": mode, "server": startServer, "keep": keep},
	})
}

// waitFor waits until a file that another process writes exists.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor file")
	}
	path := ts.MkAbs(args[0])
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(harness.Patience); ; {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}

// mode checks the permission bits of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode 0600 file")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// ownTest is the key of a script's own test among its values.
type ownTest struct{}

// startServer starts a server in the folder data, with the arguments it is given, and sets the environment that the server
// prints. URL is its address.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: server [flag...]")
	}
	t, ok := ts.Value(ownTest{}).(testing.TB)
	if !ok {
		ts.Fatalf("a script is no test")
	}
	s := harness.StartServer(t, ts.MkAbs("data"), args...)
	for name, value := range s.Env {
		ts.Setenv(name, value)
	}
	ts.Setenv("URL", s.URL)
	if slices.Contains(args, "--tls") {
		ts.Setenv("AWS_CA_BUNDLE", server.CAFile(s.Dir))
	}
}

// keep sets a variable to what a regular expression captures in what the last command wrote to stdout.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep VARIABLE regexp")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("stdout has nothing like %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}
