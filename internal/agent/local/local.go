// Package local is codedeploy-local: a deployment of a bundle to this host that a person starts, without a service
// (agent.md 1.2). It runs the same executor as the agent, or says with --dry-run what that would do.
//
//	options.go    the command line
//	validate.go   what is wrong with it, in the order of stock agents     (location.go, events.go)
//	host.go       the configuration, the log, who this host is
//	deploy.go     the events one after the other                          (progress.go: text or JSON lines)
//	dryrun.go     what they would do                                      (table.go: text; one JSON document)
package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
)

// Exit codes (agent.md 1.2).
const (
	exitOK      = 0
	exitFailed  = 1
	exitInvalid = 2
)

// Main runs one command line of codedeploy-local, without the program's name, and returns the exit code: 0 for a deployment
// that succeeded, or that would start; 1 for one that failed, or would; 2 for a command line that makes no sense. When ctx
// ends, the running script is ended and the deployment fails.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) (exit int) {
	o, err := parse(args)
	if err != nil {
		return invalid(stderr, err)
	}
	switch {
	case o.help:
		fmt.Fprint(stdout, usage)
		return exitOK
	case o.version:
		fmt.Fprintln(stdout, "codedeploy-local "+config.Version)
		return exitOK
	}
	d, err := o.deployment()
	if err != nil {
		return invalid(stderr, err)
	}
	if o.dryRun {
		err = dryRun(ctx, o, d, stdout, stderr)
	} else {
		err = deploy(ctx, o, d, args, stdout, stderr)
	}
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		o.explain(err, stdout, stderr)
	}
	return exitFailed
}

// errReported is the end of a deployment about which everything has been said.
var errReported = errors.New("the deployment failed")

// explain tells why nothing was begun; a program that reads lines of JSON finds it in the last one, as always.
func (o *options) explain(err error, stdout, stderr io.Writer) {
	fmt.Fprintln(stderr, "error: "+err.Error())
	if o.json && !o.dryRun {
		newProgress(stdout, true).end(outcome{Status: statusFailed, Code: int(awsapi.CodeUnknownError), Message: err.Error()})
	}
}

func invalid(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "Validation error: "+err.Error())
	return exitInvalid
}
