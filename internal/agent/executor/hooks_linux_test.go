package executor

import (
	"os"
	"path/filepath"
	"testing"

	"grapnel/internal/agent/source"
	"grapnel/internal/script"
)

// What is on record of a script is what a crash of the agent ends. A script that has ended must not be there any more: what
// it has left running is the application.
func TestRecordIsEmptiedWhenAScriptHasEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"appspec.yml": "version: 0.0\nos: linux\nhooks: {AfterInstall: [{location: start.sh}]}\n",
		"start.sh":    "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e := executorAt(t, t.TempDir())
	d := &Deployment{ID: "d-1", GroupID: "group", AppSpecFilename: "appspec.yml", Revision: source.Revision{
		Local: &source.Local{Location: dir, Type: source.Directory},
	}}
	var told []script.Group
	for _, event := range []string{"DownloadBundle", "AfterInstall"} {
		if _, err := e.Run(t.Context(), event, d, Watcher{Script: func(g script.Group) { told = append(told, g) }}); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) < 2 || told[0].ID == "" || told[len(told)-1] != (script.Group{}) {
		t.Errorf("told = %+v, want the script's group and then none", told)
	}
}
