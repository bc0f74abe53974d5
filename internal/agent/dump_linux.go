package agent

import "golang.org/x/sys/unix"

// preventCoreDump keeps the host's keys, which are in this process's memory, out of files. Unlike a limit on the size of
// core files this does not hold for the programs that hooks start.
func preventCoreDump() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
