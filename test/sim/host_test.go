package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/hosts"
)

// host is a simulated host. Its habits are drawn once; what it does with a command is drawn each time.
type host struct {
	world  *world
	caller hosts.Caller
	habits habits
}

// habits are probabilities, except where they say otherwise.
type habits struct {
	pollers   int           // polls held at once
	silent    time.Duration // after which it is never heard of again; 0 means never
	failure   float64       // a script fails
	noop      float64       // there is nothing to run
	lostReply float64       // a reply does not arrive
	hangUp    float64       // it breaks the connection as soon as it has a command, so that the server thinks it lost
	slow      float64       // it takes its time before it acknowledges, longer than until the next hand-over
	vanish    float64       // it acknowledges and is not heard of again about this command
	late      float64       // it completes after the timeout
	repeat    float64       // it completes twice, the second time otherwise
}

// drawHabits mixes hosts that do as they should with hosts that do not.
func drawHabits(r *rand.Rand) habits {
	h := habits{pollers: 1 + r.IntN(2), failure: pick(r, 0, 0, 0, 0.05, 0.5), noop: pick(r, 0, 0.3, 0.9)}
	if r.IntN(3) > 0 {
		return h
	}
	h.lostReply = pick(r, 0, 0.05, 0.3)
	h.hangUp = pick(r, 0, 0.3)
	h.slow = pick(r, 0, 0, 0.2)
	h.vanish = pick(r, 0, 0, 0, 0.1)
	h.late = pick(r, 0, 0, 0, 0.05)
	h.repeat = pick(r, 0, 0.5)
	if r.IntN(8) == 0 {
		h.silent = time.Duration(1+r.IntN(600)) * time.Second
	}
	return h
}

func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// start begins to poll.
func (h *host) start() {
	for range h.habits.pollers {
		h.world.running.Go(h.poll)
	}
}

func (h *host) chance(p float64) bool { return p > 0 && h.world.intN(1000) < int(1000*p) }

// poll asks for commands until the world ends, or the host falls silent.
func (h *host) poll() {
	ctx := h.world.ctx
	if h.habits.silent > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.habits.silent)
		defer cancel()
	}
	for ctx.Err() == nil {
		var command *awsapi.HostCommand
		ok := h.call(func(s *server) error {
			polling, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(s.ctx, cancel)()
			out, err := s.service.PollHostCommand(polling, h.caller, &awsapi.PollHostCommandInput{HostIdentifier: &h.caller.ARN})
			if err == nil {
				command = out.HostCommand
			}
			return err
		})
		switch {
		case !ok:
			h.world.sleep(time.Second + time.Duration(h.world.intN(5000))*time.Millisecond)
		case command != nil:
			if h.chance(h.habits.hangUp) {
				h.handBack(*command.HostCommandIdentifier)
			}
			h.world.running.Go(func() { h.obey(ctx, *command.HostCommandIdentifier) })
		}
	}
}

// handBack does what the server does when it could not write a reply.
func (h *host) handBack(work string) {
	c, err := h.world.store.Command(h.world.ctx, work)
	if err == nil {
		err = h.world.store.HandBack(h.world.ctx, work, c.HandedAt)
	}
	if err != nil && h.world.ctx.Err() == nil {
		h.world.fail(err)
	}
	if s := h.world.server.Load(); s != nil {
		s.service.Issued([]string{h.caller.Name})
	}
}

// call makes one request. It fails when the server is down, when it is killed before the reply is out, and when the reply
// is lost.
func (h *host) call(request func(*server) error) bool {
	s := h.world.server.Load()
	if s == nil {
		return false
	}
	err := request(s)
	return err == nil && !s.dead() && !h.chance(h.habits.lostReply)
}

// insist makes a request up to four times, as the SDK of stock agents does (agent.md 4.3), and in a steady world for as
// long as it takes.
func (h *host) insist(request func(*server) error) bool {
	for i := 0; i < 4 || h.world.steady; i++ {
		if h.call(request) {
			return true
		}
		if !h.world.sleep(time.Duration(300+h.world.intN(900)) * time.Millisecond) {
			return false
		}
	}
	return false
}

// obey does with a command what a stock agent does (agent.md 4.4).
func (h *host) obey(ctx context.Context, work string) {
	if h.chance(h.habits.slow) && !h.world.sleep(time.Duration(20+h.world.intN(25))*time.Second) {
		return
	}
	noop, fails := h.outcome(work)
	status, ok := h.acknowledge(work, noop)
	if !ok || ctx.Err() != nil {
		return
	}
	switch status {
	case awsapi.CommandStatusSucceeded:
		return
	case awsapi.CommandStatusFailed:
		if noop {
			h.complete(work, awsapi.CommandStatusSucceeded)
		}
		return
	}
	h.world.ran(work)
	if h.chance(h.habits.vanish) || !h.world.sleep(h.duration()) || ctx.Err() != nil {
		return
	}
	ending := awsapi.CommandStatusSucceeded
	if fails {
		ending = awsapi.CommandStatusFailed
	}
	h.complete(work, ending)
	if h.chance(h.habits.repeat) {
		h.complete(work, awsapi.CommandStatusFailed)
	}
}

// outcome draws what comes of a command. In a steady world it follows from the host, the step and the revision, whose first
// one is good.
func (h *host) outcome(work string) (noop, fails bool) {
	if !h.world.steady {
		return h.chance(h.habits.noop), h.chance(h.habits.failure)
	}
	c, err := h.world.store.Command(h.world.ctx, work)
	if err != nil {
		return false, false
	}
	d, err := h.world.store.Deployment(h.world.ctx, c.Deployment)
	if err != nil {
		return false, false
	}
	sum := fnv.New64a()
	fmt.Fprint(sum, h.world.seed, h.caller.Name, c.Step, d.RevisionKey)
	r := rand.New(rand.NewPCG(sum.Sum64(), 5))
	return r.IntN(4) == 0, r.IntN(20) == 0 && *d.Info.Revision.S3Location.Key != "0.zip"
}

// duration is how long the command runs.
func (h *host) duration() time.Duration {
	if h.chance(h.habits.late) {
		return h.world.timeout + time.Second
	}
	return time.Duration(h.world.intN(30_000_000)) * time.Microsecond
}

func (h *host) acknowledge(work string, noop bool) (status awsapi.CommandStatus, ok bool) {
	payload := `{"IsCommandNoop":false}`
	if noop {
		payload = `{"IsCommandNoop":true}`
	}
	ok = h.insist(func(s *server) error {
		out, err := s.service.PutHostCommandAcknowledgement(h.world.ctx, h.caller, &awsapi.PutHostCommandAcknowledgementInput{
			HostCommandIdentifier: &work, Diagnostics: &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
		})
		if err == nil {
			status = out.CommandStatus
		}
		return err
	})
	return status, ok
}

func (h *host) complete(work string, status awsapi.CommandStatus) {
	h.insist(func(s *server) error {
		_, err := s.service.PutHostCommandComplete(h.world.ctx, h.caller, &awsapi.PutHostCommandCompleteInput{
			HostCommandIdentifier: &work, CommandStatus: status,
		})
		return err
	})
}
