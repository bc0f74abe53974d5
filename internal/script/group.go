package script

// Group identifies the process group of a script across a crash of the agent and a reboot of the host: a number alone may
// long belong to somebody else. It is stored beside the tracking file (agent.md 17, "kill -9 in the middle of a hook").
type Group struct {
	PGID      int    `json:"pgid"`
	BootID    string `json:"bootId"`    // random, new at every boot
	StartTime uint64 `json:"startTime"` // of the group's leader, in clock ticks since boot
}
