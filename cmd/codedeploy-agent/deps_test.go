package main

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write deps.txt anew")

// refused are packages, or beginnings of their paths, that must not be linked into the agent, and why.
var refused = map[string]string{
	"database/sql":                                    "an agent stores its few facts in files that people can read",
	"modernc.org/":                                    "SQLite would double the binary, and the agent has no database",
	"github.com/jackc/":                               "the agent has no database",
	"github.com/spf13/":                               "five commands and one option need no framework",
	"github.com/prometheus/":                          "a registry of metrics is heavier than the agent; it will write its few numbers as text",
	"github.com/aws/aws-sdk-go-v2/config":             "it reads credentials from places that belong to the customer's programs",
	"github.com/aws/aws-sdk-go-v2/service/codedeploy": "agents speak the host-command protocol, not the API",
	"testing":                 "code for tests belongs into tests",
	"html/template":           "the agent has no pages",
	"grapnel/internal/server": "the agent must not carry the server, nor the server's secrets",
	"grapnel/internal/store":  "the agent must not carry the server",
	"grapnel/internal/api":    "the agent must not carry the server",
	"grapnel/internal/hosts":  "the agent is the other end of that",
	"grapnel/internal/deploy": "the server decides, the agent does",
	"grapnel/internal/cli":    "the agent is a program of its own",
}

// The list of what is linked is checked in, so that a new dependency is a visible change.
func TestDependencies(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go: https://go.dev/doc/install")
	}
	for _, pkg := range linked(t, "{{.ImportPath}}") {
		for prefix, reason := range refused {
			if prefix = strings.TrimSuffix(prefix, "/"); pkg == prefix || strings.HasPrefix(pkg, prefix+"/") {
				t.Errorf("the agent links %s: %s", pkg, reason)
			}
		}
	}
	got := strings.Join(linked(t, "{{if not .Standard}}{{.ImportPath}}{{end}}"), "\n") + "\n"
	if *update {
		if err := os.WriteFile("deps.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("linked packages differ from deps.txt (-listed +linked); if that is meant: go test ./cmd/codedeploy-agent -run Dependencies -update\n%s", diff)
	}
}

// linked lists the packages of the released binary in alphabetical order, in a format of "go list".
func linked(t *testing.T, format string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", format, ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	slices.Sort(packages)
	return packages
}
