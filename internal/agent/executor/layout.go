package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/agent/source"
)

// layout names what the agent keeps below its deployment root (agent.md 6). The names are those of stock agents, so that
// one agent can take over from another on a host.
type layout struct {
	root    string
	program string
}

func (l layout) group(group string) string { return filepath.Join(l.root, group) }

func (l layout) deployment(group, id string) deploymentDir {
	return deploymentDir(filepath.Join(l.root, group, id))
}

// reserved are the folders of the deployment root that hold no group (agent.md 6).
var reserved = []string{"deployment-instructions", "deployment-logs", "ongoing-deployment"}

// IsGroup reports whether a deployment group may have this identifier: it is the name of a folder beside the agent's own.
func IsGroup(id string) bool { return IsFolderName(id) && !slices.Contains(reserved, id) }

// IsFolderName reports whether a name is that of one visible folder and fits a line of the agent's records.
func IsFolderName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00\n")
}

// retired holds what is about to be removed. No group has this name: those of services are letters, digits and dashes.
func (l layout) retired() string { return filepath.Join(l.root, ".retired") }

func (l layout) instructionsDir() string { return filepath.Join(l.root, "deployment-instructions") }

func (l layout) instructions(group string) string {
	return filepath.Join(l.instructionsDir(), group+"-install.json")
}

func (l layout) cleanup(group string) string {
	return filepath.Join(l.instructionsDir(), group+"-cleanup")
}

// lastSuccessful points to the deployment whose Install ended last.
func (l layout) lastSuccessful(group string) string {
	return filepath.Join(l.instructionsDir(), group+"_last_successful_install")
}

// mostRecent points to the deployment whose DownloadBundle ended last.
func (l layout) mostRecent(group string) string {
	return filepath.Join(l.instructionsDir(), group+"_most_recent_install")
}

// groupLock is locked while a program deploys to the group: an extension.
func (l layout) groupLock(group string) string {
	return filepath.Join(l.instructionsDir(), group+".lock")
}

func (l layout) deploymentsLog() string {
	return filepath.Join(l.root, "deployment-logs", l.program+"-deployments.log")
}

// deploymentDir is the folder of one deployment.
type deploymentDir string

func (d deploymentDir) bundle() string     { return filepath.Join(string(d), source.BundleName) }
func (d deploymentDir) archive() string    { return filepath.Join(string(d), source.ArchiveName) }
func (d deploymentDir) scriptsLog() string { return filepath.Join(string(d), "logs", "scripts.log") }

// readPointer returns the deployment that a pointer file names, false when there is no such file.
func readPointer(path string) (deploymentDir, bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	} else if err != nil {
		return "", false, fmt.Errorf("cannot read which deployment came before: %w", err)
	}
	dir := strings.TrimSpace(string(data))
	if !filepath.IsAbs(dir) {
		return "", false, fmt.Errorf("%s should hold the absolute path of a deployment, but holds %q", path, dir)
	}
	return deploymentDir(dir), true, nil
}
