// Package agent is the daemon of the host agent: it polls the host-command service for the Work of its host, has it run,
// and reports how it ended (agent.md; the sections are named where they are implemented).
//
// One command through the files of this package:
//
//	poll.go         hold a poll, hand the command over, poll again
//	command.go      specification, acknowledgement, run, completion; a command is run once however often it arrives
//	spec.go         the signed specification, verified and read
//	track.go        the record on disk that a command is under way, and how it ended until the service knows
//	turns.go        one command at a time for each deployment group
//	diagnostics.go  what is reported
//	recover.go      commands that a crash interrupted
//
// What a command does to the host is in the packages below it:
//
//	executor   DownloadBundle, Install, hooks: one command of one deployment; codedeploy-local (package local) drives it too
//	source     where a bundle comes from: S3, GitHub, this host, an earlier deployment
//	install    the plan of an Install, its checks, and its execution
//	stream     the output of hooks on its way to a Grapnel server
//
// Around it: config and identity (how the host is set up, and who it is), transport and service.go (the protocol's client),
// logfile (logs), control.go (start, stop, status), memory_linux.go (what an idle agent gives back). The agent is
// for Linux; it compiles for Windows and macOS.
package agent
