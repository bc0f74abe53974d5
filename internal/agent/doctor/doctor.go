// Package doctor is `codedeploy-agent doctor`: it looks at everything the agent needs on this host and says what to do about
// what is wrong (users.md 13, 14, 15). It changes nothing.
//
//	doctor.go         the checks, run at the same time and told in their order
//	result.go         what a check found, as text and as JSON
//	examination.go    what several checks need, found out once
//	endpoint.go       one visit to a service, in which names, proxy, TLS and clock are seen
//
//	configuration.go identity.go network.go service.go     the way to the services
//	folders.go disk.go                                      where the agent writes
//	process.go system.go history.go                         the agent, its host, what it did
package doctor

import (
	"context"
	"io"
	"time"
)

// Options are those of the command line.
type Options struct {
	ConfigFile string // "" = where stock agents look for it
	JSON       bool   // one JSON document instead of lines for people
}

const (
	// limit is when checks are told to end, and grace how long they may take for that. Some cannot: a folder of a dead file
	// server holds whoever looks at it for ever.
	limit = 18 * time.Second
	grace = time.Second
)

// check looks at one thing.
type check struct {
	name string
	look func(ctx context.Context, r *Result)
}

// checks are in the order in which a person mends things: the way to the service first.
func (x *examination) checks() []check {
	return []check{
		{"system", system},
		{"configuration", x.checkConfiguration},
		{"environment", x.withSetup(checkEnvironment)},
		{"on-premises file", x.withSetup(checkOnPremisesFile)},
		{"identity", x.withSetup(x.checkIdentity)},
		{"credentials", x.withIdentity(checkCredentials)},
		{"DNS", x.withEndpoints(checkNames)},
		{"proxy", x.withEndpoints(checkProxy)},
		{"TLS", x.withEndpoints(checkTLS)},
		{"clock", x.withEndpoints(checkClock)},
		{"command service", x.withEndpoints(x.checkService)},
		{"S3", x.withEndpoints(checkS3)},
		{"signer", x.withSetup(checkSigner)},
		{"folders", x.withSetup(checkFolders)},
		{"scripts", x.withSetup(checkScripts)},
		{"free space", x.withSetup(checkSpace)},
		{"revisions", x.withSetup(checkRevisions)},
		{"leftovers", x.withSetup(checkLeftovers)},
		{"agent", x.withSetup(checkAgent)},
		{"other agents", checkOthers},
		{"systemd", checkUnit},
		{"user", checkUser},
		{"programs", checkPrograms},
		{"deployments", x.withSetup(checkDeployments)},
	}
}

// Main examines this host, writes what it finds, and returns the exit code: 0 when nothing has failed, else 1. It takes 20
// seconds at most, whatever hangs. Keys, tokens and passwords of proxies are never written.
func Main(ctx context.Context, opts Options, stdout io.Writer) (exit int) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	checks := begin(ctx, opts.ConfigFile).checks()
	report := text{w: stdout, width: widest(checks)}
	var results []Result
	for _, await := range start(ctx, checks) {
		r := await()
		results = append(results, r)
		if !opts.JSON {
			report.line(r)
		}
	}
	sum := count(results)
	if opts.JSON {
		writeJSON(stdout, results, sum)
	} else {
		report.end(sum)
	}
	if sum.Failed > 0 {
		return 1
	}
	return 0
}

// start runs all checks at the same time. Each function that it returns waits for the result of one of them; for one that does
// not end it makes a result up.
func start(ctx context.Context, checks []check) []func() Result {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { close(late) })
	})
	var awaits []func() Result
	for _, c := range checks {
		done := make(chan Result, 1)
		go func() {
			r := Result{Check: c.name, State: OK}
			c.look(ctx, &r)
			done <- r
		}()
		awaits = append(awaits, func() Result { return c.await(done, late) })
	}
	return awaits
}

func (c check) await(done <-chan Result, late <-chan struct{}) Result {
	select {
	case r := <-done:
		return r
	case <-late:
	}
	select {
	case r := <-done: // it had ended, but an earlier one was waited for
		return r
	default:
		r := Result{Check: c.name}
		r.fail("it could not be looked at in time: something hangs",
			"look for a file server that does not answer, a slow disk, or a service that keeps connections open and silent")
		return r
	}
}
