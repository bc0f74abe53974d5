// Package engine drives deployments: it loads one, asks the core what is wanted, commits that under a guard, and only then
// tells those who act on it.
//
//	Wake ──► dirty ids ─┐                        ┌─► Issued(hosts): held polls look again
//	                    ├─► Load ► Decide ► Commit ┤
//	heap of wakes ──────┤      ▲                 └─► look again: at once, at Decision.Wake, or after a pause
//	slow poll (Live) ───┘      └─ ErrConflict, trouble with the store
//
// Everything that matters is stored, so the engine keeps nothing that it could not lose: the schedule holds ids and times
// only, and is built anew at the start by waking every live deployment. Rounds of different deployments run in parallel,
// rounds of one never do. Wakes coalesce: however many facts are stored while a round is under way, one more round sees
// them all.
//
// # When the server is killed
//
// The table below follows the rows of "One deployment through the code" in the architecture. "Start" is the first look over
// all live deployments after a restart.
//
//	killed                                  what is stored                 what happens then
//	before the deployment is stored         nothing                        the caller got no id and tries again
//	after it, before the engine is woken    Created                        start finds it live
//	after Load or Decide, before Commit     what was there before          start decides the same again
//	during Commit                           all of the round or nothing    start decides on whatever there is
//	after Commit, before Issued             Work is Pending                the agent's next poll finds it on arrival
//	after a hand-over is stored, before     Work is Pending, handed over   handed over again 30 s later; the agent never
//	the reply is out                                                       saw the first
//	after the reply, before the             Work is Pending, handed over   the agent's acknowledgement is retried by its
//	acknowledgement arrives                                                SDK, else handed over again 30 s later
//	after the acknowledgement is stored,    Running, or Succeeded (no-op)  the retried acknowledgement gets the first
//	before its reply is out                                                answer again (see package hosts)
//	while a script runs                     Running                        the agent goes on; its completion is retried
//	after a completion is stored, before    Work has ended                 the retried completion is ignored; start sees
//	its reply or the wake                                                  the ended Work
//	between the end and the rollback        cannot be: one transaction     -
//
// At the start every deadline that lies before is moved to five minutes from then, so that no host fails for what it could not
// report. An agent whose retries run out while the server is down never reports: its Work then fails when it is due.
//
// # Hands
//
// Work of hosts is taken by agents, through package hosts. Work that the server itself runs (lifecycle.Server) and hooks
// that are answered from outside (lifecycle.Hook) occur in no plan yet. Their hands belong here, in hands.go: a loop of its
// own beside the rounds that takes open server Work from the store, runs its Op and stores the outcome as one fact, as
// package hosts does for agents. Rounds stay free of anything that can block on the outside.
package engine
