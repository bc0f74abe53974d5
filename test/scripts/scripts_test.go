// Package scripts runs the real programs as text: each file of testdata is a folder, commands, and what they must say.
package scripts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Values[ownTest{}], env.Values[running{}] = env.T(), new(*harness.Server)
			env.Setenv("PATH", filepath.Dir(harness.Path("grapnel"))+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor, "mode": mode, "server": startServer, "keep": keep, "deploy": deploy, "here": here},
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

// Keys of a script's values: its own test, and a pointer to the server that it started.
type (
	ownTest struct{}
	running struct{}
)

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
	*ts.Value(running{}).(**harness.Server) = s
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

// deploy deploys a folder to all hosts that have a tag, and sets DEPLOYMENT to its id.
func deploy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: deploy tag folder")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	files := map[string][]byte{}
	for _, e := range entries {
		files[e.Name()] = []byte(ts.ReadFile(args[1] + "/" + e.Name()))
	}
	s := *ts.Value(running{}).(**harness.Server)
	ts.Setenv("DEPLOYMENT", harness.Deploy(ts.Value(ownTest{}).(testing.TB), s, args[0], files))
}

// here puts the folder of the script into files that name it as $WORK.
func here(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: here file...")
	}
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(strings.ReplaceAll(ts.ReadFile(name), "$WORK", ts.Getenv("WORK"))), 0o644))
	}
}
