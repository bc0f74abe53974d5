package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// demoPage is what a version of the demo's application answers.
func demoPage(version int) string {
	if version == 3 {
		return "version 3, broken"
	}
	return fmt.Sprintf("version %d", version)
}

// demoFiles is the source of the demo's application: an AppSpec, three scripts and a page. The words in capitals are
// replaced.
var demoFiles = map[string]string{
	"appspec.yml": `version: 0.0
os: linux
files:
  - source: /site
    destination: DIR/site
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
      timeout: 30
  ApplicationStart:
    - location: scripts/start.sh
      timeout: 30
  ValidateService:
    - location: scripts/validate.sh
      timeout: 30
`,
	"site/index.html": "PAGE\n",
	"scripts/start.sh": `#!/bin/sh
'EXE' demo-app serve ADDRESS 'DIR/site' 'DIR/app.pid' </dev/null >>'DIR/app.log' 2>&1 &
while ! [ -s 'DIR/app.pid' ]; do sleep 0.01; done
echo "application of $DEPLOYMENT_ID started as process $!"
`,
	"scripts/stop.sh": `#!/bin/sh
pid=$(cat 'DIR/app.pid' 2>/dev/null) || exit 0
kill "$pid" 2>/dev/null || exit 0
while [ -e 'DIR/app.pid' ]; do sleep 0.01; done
echo "process $pid stopped"
`,
	"scripts/validate.sh": `#!/bin/sh
exec 'EXE' demo-app check http://ADDRESS/ 'version VERSION'
`,
}

// writeSource writes the source of a version below folder.
func (d *demo) writeSource(folder string, version int) error {
	words := strings.NewReplacer("DIR", d.dir, "EXE", d.exe, "ADDRESS", d.address,
		"PAGE", demoPage(version), "VERSION", fmt.Sprint(version))
	for name, text := range demoFiles {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(words.Replace(text)), 0o755); err != nil {
			return err
		}
	}
	return nil
}
