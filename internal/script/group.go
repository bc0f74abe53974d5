package script

// Group identifies the process group of a script across a crash of the agent and a reboot of the host: a number alone may
// long belong to somebody else. It is stored beside the tracking file (agent.md 17, "kill -9 in the middle of a hook"), in
// two steps, so that there is no moment in which a script runs that the next start of the agent could not find:
//
//	[Announce] ── store ── Run with Command.ID ── Started ── [Group.Identify] ── store
//	                         │                      │                             │
//	                         └─ found by its ID ────┘      found by PGID ─────────┘
//
// The ID is in the environment of the script and of all that it starts. The leader of the group is the one of these that
// leads a group and is still in the agent's session: a daemon leaves the session, and is spared as it is at a timeout.
// When the leader of a group whose number is on record has died, what carries the ID in that group and session is ended. The
// record must therefore be emptied once a script has ended: what it leaves running then is the application.
type Group struct {
	PGID      int    `json:"pgid"`              // 0 until it is known
	BootID    string `json:"bootId"`            // random, new at every boot
	StartTime uint64 `json:"startTime"`         // of the group's leader, in clock ticks since boot; 0 until it is known
	ID        string `json:"id,omitempty"`      // random, new for every script
	Session   int    `json:"session,omitempty"` // of the agent that announced it
}

// marker is the variable that holds a group's ID.
const marker = "CODEDEPLOY_HOOK_ID"
