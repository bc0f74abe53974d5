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
//	PostHostCommandUpdate ─────────────────► our agents only: lines of output ──────► AppendLog (package logs)
//	  ◄── InProgress, or how it ended
//	PutHostCommandComplete ────────────────► diagnostics read, engine woken ────────► Complete
//	  ◄── {}
//
// Nothing here decides: an acknowledgement and a completion are one fact each, and the engine is woken.
//
// # Handing over
//
// A hand-over is stored before the reply is written, so that a Work is never under way without the store knowing. When
// writing the reply failed, the Work is handed over again at once; when nobody acknowledged it, after 30 s. Stock agents do
// not recognise a duplicate, so what keeps a hook from running twice is the acknowledgement: the first one is answered
// InProgress, and so is its repetition (its reply was lost) as long as the Work was handed over once. If it was handed over
// more than once, two executions may be asking, and all acknowledgements but the first are answered Succeeded, upon which
// an agent leaves the command alone (agent.md 4.4). The price is a Work that nobody runs until it is due, when a Work was
// handed over twice and then the reply to its acknowledgement is lost as well.
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
