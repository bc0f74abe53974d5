package config

import (
	"io/fs"

	"grapnel/internal/agent/logfile"
)

// Modes are those of the folders and files that the agent makes (agent.md 6, 15).
type Modes struct {
	// Passable folders let a script of another user reach its own file, without seeing what else there is.
	Passable fs.FileMode
	Private  fs.FileMode   // of folders with the agent's own state
	State    fs.FileMode   // of the files in them
	Output   logfile.Modes // of logs of scripts, below the deployment root
	Logs     logfile.Modes // of the log folder
}

// Modes returns the modes that the hardening switches want.
func (c Config) Modes() Modes {
	open, closed := logfile.Modes{Dir: 0o755, File: 0o644}, logfile.Modes{Dir: 0o750, File: 0o640}
	m := Modes{Passable: 0o755, Private: 0o755, State: 0o644, Output: open, Logs: open}
	if c.Hardening.RestrictAgentDirs {
		m.Passable, m.Private, m.State, m.Output = 0o711, 0o700, 0o600, closed
	}
	if c.Hardening.RestrictLogDir {
		m.Logs = closed
	}
	return m
}
