// Package sim runs random deployments through the real engine and the real host-command service, with simulated hosts,
// inside testing/synctest bubbles: hours of deployment pass in milliseconds.
//
//	operator ── CreateDeployment, StopDeployment ──┐
//	                                               ▼
//	hosts ◄── PollHostCommand ... Complete ──► server (engine + service) ──► link ──► laws ──► store
//	                                           killed and started again      faults    checks   memory or SQLite
//
// A world is a few hosts, one or two groups and the deployments to them, all drawn from a seed. Hosts succeed, fail, have
// nothing to run, fall silent, vanish in the middle, lose replies, repeat themselves and answer late. Calls to the store
// fail before or after they took effect, and the server is killed there. After every commit the laws of the architecture
// (section 5) are checked, and at the end that every deployment came to an end and that no hook ran twice.
//
//	go test ./test/sim                          a few thousand deployments with new seeds
//	go test ./test/sim -sim.n=100000            that many
//	go test ./test/sim -sim.seed=42 -v          one world again, with the engine's log
//
// Most worlds run on a store in memory, because a disk would take most of the time; every so many run on real SQLite, and
// the test says how many ran on which. The seed draws everything that is random, but goroutines that are ready at the same
// moment run in any order, so a world that failed may need a few repetitions (-count) to fail again.
package sim
