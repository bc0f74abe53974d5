package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/atomicfile"
	"grapnel/internal/awsapi"
	"grapnel/internal/backoff"
	"grapnel/internal/script"
)

// tracker records on disk which commands are under way (agent.md 6.4): a file per deployment that holds the command's
// identifier, and beside it, while a script runs, a hidden file that names the script's process group. Stock agents read
// the first and pass over the others: a third file holds the report of a command that has ended until it is delivered.
type tracker struct {
	dir   string
	modes config.Modes
	mu    sync.Mutex // a command's end must not remove the record of the next command of the same deployment
}

// tracked is a command that was under way when its record was written.
type tracked struct {
	deployment string
	commandID  string
	hook       *script.Group // nil when no script ran
	end        *report       // nil when the command had not ended
	stale      bool          // the service has long given the command up
}

// staleAfter is the age at which a record counts no more (agent.md 6.4).
const staleAfter = 24 * time.Hour

func newTracker(cfg config.Config) *tracker {
	return &tracker{dir: filepath.Join(cfg.RootDir, cfg.OngoingDeploymentTracking), modes: cfg.Modes()}
}

func (t *tracker) path(deployment string) string { return filepath.Join(t.dir, deployment) }

func (t *tracker) hookPath(deployment string) string {
	return filepath.Join(t.dir, "."+deployment+".hook")
}

func (t *tracker) reportPath(deployment string) string {
	return filepath.Join(t.dir, "."+deployment+".report")
}

// recordPauses lie between attempts to record a command where the folder is closed, as it is for a moment when security
// software looks at it (agent.md 6.4).
var recordPauses = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}

// begin must have returned before anything of the command runs.
func (t *tracker) begin(ctx context.Context, deployment, commandID string) error {
	err := t.record(deployment, commandID)
	for _, pause := range recordPauses {
		if !errors.Is(err, fs.ErrPermission) || backoff.Sleep(ctx, pause) != nil {
			break
		}
		err = t.record(deployment, commandID)
	}
	return err
}

func (t *tracker) record(deployment, commandID string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := os.MkdirAll(t.dir, t.modes.Private); err != nil {
		return fmt.Errorf("cannot make the folder for commands under way: %w", err)
	}
	if err := atomicfile.WriteFile(t.path(deployment), []byte(commandID), t.modes.State); err != nil {
		return fmt.Errorf("cannot record that the command is under way: %w", err)
	}
	return nil
}

// script records the process group of a script that is about to start, and again when its number is known.
func (t *tracker) script(deployment string, group script.Group) error {
	data, err := json.Marshal(group)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return atomicfile.Replace(t.hookPath(deployment), data, t.modes.State) // of use until the next boot only
}

// storedReport is a report on disk.
type storedReport struct {
	CommandID   string                       `json:"commandId"` // the record may be another command's by now
	Status      awsapi.CommandStatus         `json:"status"`
	Diagnostics awsapi.CompletionDiagnostics `json:"diagnostics"`
}

// report records how a command ended, so that the next start can tell the service if this one does not get to it.
func (t *tracker) report(deployment, commandID string, end report) error {
	data, err := json.Marshal(storedReport{commandID, end.status, end.diagnostics})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Not worth waiting for the disk: the service is about to hear of it, and should the power fail before that, the command
	// counts as failed after a restart.
	if err := atomicfile.Replace(t.reportPath(deployment), data, t.modes.State); err != nil {
		return fmt.Errorf("cannot record how the command ended: %w", err)
	}
	return nil
}

// readReport returns how a command ended, nil when it had not.
func readReport(path, commandID string) *report {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var stored storedReport
	if json.Unmarshal(data, &stored) != nil || stored.CommandID != commandID {
		return nil
	}
	return &report{stored.Status, stored.Diagnostics}
}

// removeHidden removes what lies beside a deployment's record.
func (t *tracker) removeHidden(deployment string) error {
	for _, path := range []string{t.hookPath(deployment), t.reportPath(deployment)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove what was recorded of a command: %w", err)
		}
	}
	return nil
}

// end removes the record of a command, unless it is another command's by now.
func (t *tracker) end(deployment, commandID string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, err := os.ReadFile(t.path(deployment))
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(id) != commandID {
		return nil
	} else if err != nil {
		return fmt.Errorf("cannot read the record of a command: %w", err)
	}
	if err := t.removeHidden(deployment); err != nil {
		return err
	}
	if err := os.Remove(t.path(deployment)); err != nil {
		return fmt.Errorf("cannot remove the record of a command: %w", err)
	}
	return nil
}

// pending returns the commands on record, stale ones too.
func (t *tracker) pending() ([]tracked, error) {
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read which commands are under way: %w", err)
	}
	var found []tracked
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		id, err := os.ReadFile(t.path(entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("cannot read which commands are under way: %w", err)
		}
		commandID := strings.TrimSpace(string(id))
		found = append(found, tracked{
			deployment: entry.Name(), commandID: commandID,
			hook: readGroup(t.hookPath(entry.Name())), end: readReport(t.reportPath(entry.Name()), commandID),
			stale: time.Since(info.ModTime()) > staleAfter,
		})
	}
	return found, nil
}

func readGroup(path string) *script.Group {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var group script.Group
	if json.Unmarshal(data, &group) != nil {
		return nil // torn by the crash; without all of it the group cannot be told from another
	}
	return &group
}
