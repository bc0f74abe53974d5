// Package agent is the host agent: it polls the host-command service for the Work of its host, runs it, and reports how
// it ended (agent.md; the sections are named where they are implemented).
//
// One command through the files of this package:
//
//	poll.go         hold a poll, hand the command over, poll again
//	command.go      specification, acknowledgement, run, completion; a command is run once however often it arrives
//	spec.go         the signed specification, verified and read
//	track.go        the record on disk that a command is under way, and how it ended until the service knows
//	turns.go        one command at a time for each deployment group
//	execute.go      which of the three kinds of command it is
//	download.go     DownloadBundle: retention, space, S3, unpack     (s3.go, retention.go, space.go)
//	install.go      Install: plan, clean up, execute                 (plan.go, permissions.go, instructions.go, cleanup.go)
//	hooks.go        every other command: scripts of the right revision (revision.go, missing.go, hooklog.go)
//	diagnostics.go  what is reported
//	recover.go      commands that a crash interrupted
//
// Around it: config.go and identity.go (who am I, and whom do I ask), service.go and transport.go (the protocol's client),
// layout.go (names on disk), log.go and rolling.go (logs), control.go (start, stop, status). The agent is for Linux.
//
// What comes with the next issue has one visible place each: revisions from GitHub and local files in fetch
// (download.go), EC2 instance metadata in LoadIdentity (identity.go), ACLs and SELinux contexts in
// installPlan.permissions (permissions.go), hardening flags in notYetServed (config.go), and codedeploy-local, which will
// call the executor of execute.go directly, without poll.go, command.go, turns.go and track.go.
package agent
