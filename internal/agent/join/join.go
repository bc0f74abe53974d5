// Package join makes this machine a host of a Grapnel server, and renews its key: `codedeploy-agent join` and
// `codedeploy-agent rotate-key`. Both may be killed at any moment and run again.
//
//	join: what is on the disk
//
//	nothing ──▶ attempt ──asked──▶ settings ──▶ identity ──the server accepts the key──▶ attempt removed
//	                ▲                  │             │
//	                └──run again───────┴─────────────┘
//
//	The attempt is a secret with which the server gives the same answer again; nobody else who has the token gets it. The
//	identity is written after the settings, because a waiting agent starts with it.
//
//	rotate-key: the key in the on-premises file, and those that the server accepts
//
//	old: old ──asked──▶ old: old, new ──written──▶ new: old, new ──retired──▶ new: new
//
//	options.go   the command lines
//	prepare.go   what must hold before the server is asked
//	ask.go       the request, and what its failures mean
//	write.go     the settings and the identity
//	begin.go     how the agent comes to know
//	rotate.go    rotate-key
package join

import (
	"context"
	"errors"
	"fmt"
	"io"

	"grapnel/internal/agent"
	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/transport"
	"grapnel/internal/awsapi"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitNamed  = 3 // this machine is a host already
)

// Main runs one command line of join, without its name, and returns the exit code: 0 when this machine is a host whose key
// the server has accepted, 1 for a failure, 2 for a command line that makes no sense, 3 when it is a host already.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseJoin(args)
	return finish(joinUsage, err, stdout, stderr, func() error { return join(ctx, o, stdout) })
}

func join(ctx context.Context, o options, out io.Writer) error {
	h, err := prepare(o, out)
	if err != nil {
		return err
	}
	defer h.lock.Close()
	if !h.written() || h.prove(ctx) != nil {
		if err := h.register(ctx); err != nil {
			return err
		}
	}
	h.say("The server accepts its key.")
	h.begin(ctx)
	return h.forgetAttempt() // last: until then the same command begins the agent, too
}

// written reports whether the identity is that of the server's answer to this attempt.
func (h *host) written() bool {
	arn, err := identity.Named(h.identityFile)
	return err == nil && arn != "" && arn == h.attempt.Host
}

// register has the server make this machine a host, and writes what it answers.
func (h *host) register(ctx context.Context) error {
	reply, err := h.ask(ctx)
	if err != nil {
		return err
	}
	if err := h.write(reply); err != nil {
		return fmt.Errorf("the server knows this host now, but not all could be written: %w; mend that and run the same command again", err)
	}
	h.say("This host is %s of %s. Written: %s, %s.", awsapi.Value(reply.InstanceName), h.server, h.settingsFile, h.identityFile)
	if err := h.prove(ctx); err != nil {
		return fmt.Errorf("everything is written, but %w; run the same command again, or see: %s doctor", err, h.program())
	}
	return nil
}

// prove makes an authenticated call with what was written, as the agent will.
func (h *host) prove(ctx context.Context) error {
	cfg, _, err := config.Load(h.settingsFile)
	if err != nil {
		return err
	}
	client, err := transport.New(cfg)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	id, err := identity.Load(ctx, identity.Options{Config: cfg})
	if err != nil {
		return err
	}
	err = h.patiently(ctx, func(ctx context.Context) error { return agent.Probe(ctx, cfg, id, client) })
	if err == nil || agent.Accepted(err, id) {
		return nil
	}
	return fmt.Errorf("the server does not accept this host's key: %w", err)
}

// finish runs what a command line asks for, tells what went wrong, and returns the exit code.
func finish(usage string, parsed error, stdout, stderr io.Writer, run func() error) int {
	switch {
	case errors.Is(parsed, errHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case parsed != nil:
		fmt.Fprintf(stderr, "error: %v\n\n%s", parsed, usage)
		return exitUsage
	}
	err := run()
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "error: "+err.Error())
	if errors.Is(err, errNamed) {
		return exitNamed
	}
	return exitFailed
}
