// Package hosts is the server's end of the host-command protocol, for stock agents as well as ours (agent.md 4,
// service.md 4.6).
//
//	agent                                    this package                             store
//	PollHostCommand ───────────────────────► held up to 45 s, or until Issued ──────► HandOver
//	  ◄── HostCommand (or nothing)
//	GetDeploymentSpecification ────────────► signed for this host, from a cache ────► Deployment
//	  ◄── PKCS7 over JSON
//	PutHostCommandAcknowledgement ─────────► ──────────────────────────────────────► Acknowledge
//	  ◄── InProgress: run it. Succeeded, Failed: leave it
//	(downloads, unpacks, runs scripts)
//	PutHostCommandComplete ────────────────► diagnostics read, engine woken ────────► Complete
//	  ◄── {}
//
// Nothing here decides: an acknowledgement and a completion are one fact each, and the engine is woken.
//
// # Handing over
//
// A hand-over is stored before the reply is written, so that a Work is never under way without the store knowing. It is
// forgotten again when writing the reply failed, and is no longer counted when nobody acknowledged within 30 s; either way
// the Work is handed over once more. Stock agents do not recognise a duplicate, so what keeps a hook from running twice is
// the acknowledgement: the first one says InProgress, and says so again when it is repeated (its reply was lost) as long as
// the Work was handed over once. If it was handed over more than once, two executions may be asking, and all but the first
// are told Succeeded, upon which an agent leaves the command alone (agent.md 4.4).
//
// # Who may ask for what
//
// Acknowledgement and completion carry no host, only the id of the Work. Every operation checks that the Work, or the
// deployment, is the caller's own. What belongs to another host is answered as if it did not exist.
//
// # Killed at any moment
//
// See the table in package engine. The only state in memory is which polls are held, what presence is still to be written,
// and signatures that can be made again.
package hosts
