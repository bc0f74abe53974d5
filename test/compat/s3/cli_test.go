package s3

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// debianCLI is where Debian's package puts version 2 of the CLI.
const debianCLI = "/usr/bin/aws"

// TestCLI runs testdata/cli.txtar with the aws CLI that is in PATH, which is pointed at the server by AWS_ENDPOINT_URL. It
// takes a second per command, so one transport must do: TLS, over which it sends trailers. TestBoto has its library over both.
func TestCLI(t *testing.T) {
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("needs the aws CLI: pip install awscli")
	}
	if !knowsEndpointVariable(t, program) {
		t.Skip("needs an aws CLI that knows AWS_ENDPOINT_URL: pip install awscli")
	}
	t.Parallel()
	runCLI(t, startServer(t, true), program)
}

// TestDebianCLI does the same over plain HTTP with Debian's 2.9, which knows --endpoint-url alone.
func TestDebianCLI(t *testing.T) {
	if version, err := exec.Command(debianCLI, "--version").Output(); err != nil || !strings.HasPrefix(string(version), "aws-cli/2") {
		t.Skip("needs version 2 of the aws CLI at " + debianCLI + ": apt-get install awscli")
	}
	t.Parallel()
	s := startServer(t, false)
	runCLI(t, s, debianCLI, "--endpoint-url", s.URL)
}

// knowsEndpointVariable: version 1 since 1.29.56, version 2 since 2.13.
func knowsEndpointVariable(t *testing.T, program string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "s3api", "list-buckets", "--cli-connect-timeout", "1")
	cmd.Env = append(cmd.Environ(), startServer(t, false).environ()...)
	return cmd.Run() == nil
}

func runCLI(t *testing.T, s *server, program string, flags ...string) {
	testscript.Run(t, testscript.Params{
		Files: []string{filepath.Join("testdata", "cli.txtar")},
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, s.environ()...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"aws": func(ts *testscript.TestScript, negated bool, args []string) {
				err := ts.Exec(program, append(flags, args...)...)
				if negated != (err != nil) {
					ts.Fatalf("aws %s: error %v", strings.Join(args, " "), err)
				}
			},
			"megabytes": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(writeMegabytes(ts.MkAbs(args[0]), args[1]))
			},
		},
	})
}
