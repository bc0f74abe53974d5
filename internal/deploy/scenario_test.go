package deploy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewriteFlag = flag.Bool("rewrite", false, "write what the scenarios say now into their files")

// TestScenarios plays testdata/*.txt. A file is prose with paragraphs of commands in it: a line that begins with "> " is a
// command to the stage, the lines below it are what it prints. The files are the manual of what Decide does; after a change,
// run with -rewrite and read the diff.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := playScenario(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *rewriteFlag {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s has changed (- file, + now); if that is wanted, go test ./internal/deploy -rewrite\n%s", file, diff)
			}
		})
	}
}

// playScenario returns the text with the output of its commands as it is now.
func playScenario(text string) (string, error) {
	var st stage
	var out strings.Builder
	inCommands := false
	for line := range strings.Lines(text) {
		input, isCommand := strings.CutPrefix(line, "> ")
		if inCommands = isCommand || inCommands && line != "\n"; !inCommands {
			out.WriteString(line)
		}
		if !isCommand {
			continue
		}
		said, err := st.play(strings.TrimSuffix(input, "\n"))
		if err != nil {
			return "", fmt.Errorf("%s%w", line, err)
		}
		out.WriteString(line)
		for s := range strings.Lines(said) {
			out.WriteString("  " + s)
		}
	}
	return out.String(), nil
}
