package agent

import "errors"

// terminate refuses: a process of Windows cannot be asked to end, and one that is killed leaves a host half done.
func terminate(int) error {
	return errors.New("on Windows the agent is stopped by whoever runs it (Ctrl-C, or the service manager)")
}
