package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/install"
	"grapnel/internal/script"
)

// dryRun says what a deployment would do. It changes nothing but a temporary folder, which it removes: there is no log of it
// either, and warnings go to stderr.
func dryRun(ctx context.Context, o *options, d *deployment, stdout, stderr io.Writer) error {
	cfg, warnings, err := config.Load(o.configFile)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning: "+w)
	}
	exec, err := newExecutor(ctx, cfg, d, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: withoutTime})))
	if err != nil {
		return err
	}
	script.SetUmask()
	temp, err := os.MkdirTemp("", "codedeploy-local-")
	if err != nil {
		return fmt.Errorf("the bundle is looked at in a temporary folder, which cannot be made; set TMPDIR to a folder with room for it: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(temp); err != nil {
			fmt.Fprintf(stderr, "warning: the temporary folder %s cannot be removed: %v\n", temp, err)
		}
	}()
	preview, err := exec.Preview(ctx, &d.Deployment, d.events, temp)
	if err != nil {
		return fmt.Errorf("the dry run was broken off, and nothing was changed: %w", err)
	}
	if err := checkRoot(cfg); err != nil {
		preview.Failures = append(preview.Failures, err.Error())
	}
	r := newReport(o, d, preview)
	if err := r.write(stdout, o.json); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	if !r.WouldStart {
		return errReported
	}
	return nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// report is what a dry run found out; with --json it is the document that is printed.
type report struct {
	Location        string   `json:"location"`
	DeploymentGroup string   `json:"deploymentGroup"`
	Events          []string `json:"events"`     // in their order
	WouldStart      bool     `json:"wouldStart"` // nothing is known that would make the deployment fail
	Summary         summary  `json:"summary"`
	*executor.Preview
}

// summary counts files and links; Folders those that are made, Deleted the folders that go as well.
type summary struct {
	Created     int `json:"created"`
	Overwritten int `json:"overwritten"`
	Kept        int `json:"kept"`
	Deleted     int `json:"deleted"`
	Folders     int `json:"folders"`
	Conflicts   int `json:"conflicts"`
}

func newReport(o *options, d *deployment, p *executor.Preview) *report {
	r := &report{
		Location: o.name(d.Revision), DeploymentGroup: d.GroupID, Events: d.events,
		Preview: p,
	}
	for _, c := range p.Changes {
		if n := r.Summary.of(c.Action); n != nil {
			*n++
		}
	}
	r.Failures = r.failures()
	r.WouldStart = len(r.Failures) == 0
	return r
}

// of is what counts an action.
func (s *summary) of(a install.Action) *int {
	return map[install.Action]*int{
		install.Create: &s.Created, install.Overwrite: &s.Overwritten, install.Keep: &s.Kept,
		install.Delete: &s.Deleted, install.Mkdir: &s.Folders, install.Conflict: &s.Conflicts,
	}[a]
}

// String is the line that people look for first.
func (s summary) String() string {
	conflicts := "conflicts"
	if s.Conflicts == 1 {
		conflicts = "conflict"
	}
	return fmt.Sprintf("%d created, %d overwritten, %d kept, %d deleted, %d %s", s.Created, s.Overwritten, s.Kept, s.Deleted, s.Conflicts, conflicts)
}

func (r *report) write(out io.Writer, asJSON bool) error {
	if !asJSON {
		return r.writeText(out)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
