package hosts

import (
	"context"
	"errors"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

const (
	// handOverAgain is how long a Work may stay unacknowledged before it is handed over again.
	handOverAgain = 30 * time.Second
	// replyLimit bounds what is still stored for a caller that has gone away.
	replyLimit = 10 * time.Second
)

// PollHostCommand answers with the host's next Work, at once or as soon as there is one, or with nothing after the
// hold. It listens before it looks, so that nothing issued in between is missed.
func (s *Service) PollHostCommand(ctx context.Context, caller Caller, in *awsapi.PollHostCommandInput) (*awsapi.PollHostCommandOutput, error) {
	if err := caller.is(in.HostIdentifier); err != nil {
		return nil, err
	}
	s.bells.Join(caller.Name)
	defer s.bells.Leave(caller.Name)
	rung := s.bells.Listen(caller.Name)
	leave := s.presence.arrive(caller.Name, agentVersion(ctx), now())
	defer leave()
	end := time.NewTimer(s.hold)
	defer end.Stop()
	for {
		command, err := s.handOver(ctx, caller)
		if err == nil {
			return s.hostCommand(caller, command), nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		select {
		case <-rung:
			rung = s.bells.Listen(caller.Name)
			if err := s.stillRegistered(ctx, caller); err != nil {
				return nil, err
			}
		case <-end.C:
			return &awsapi.PollHostCommandOutput{}, nil
		case <-s.draining:
			return &awsapi.PollHostCommandOutput{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// HeldPolls is how many polls wait for Work now.
func (s *Service) HeldPolls() int { return s.presence.held() }

// stillRegistered refuses a poll that outlived its host's registration: the name may be another's by now.
func (s *Service) stillRegistered(ctx context.Context, caller Caller) error {
	host, err := s.store.HostByARN(ctx, caller.ARN)
	if errors.Is(err, store.ErrNotFound) || err == nil && awsapi.Value(host.Info.InstanceName) != caller.Name {
		return refused("host %s was deregistered", caller.Name)
	}
	return err
}

// handOver takes the host's next Work, and gives it back if the reply does not get out. A caller that has gone away is
// handed nothing; one that goes away meanwhile gets it taken back, so the store is not interrupted half-way.
func (s *Service) handOver(ctx context.Context, caller Caller) (store.Command, error) {
	if err := ctx.Err(); err != nil {
		return store.Command{}, err
	}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyLimit)
	defer cancel()
	at := now()
	command, err := s.store.HandOver(storing, caller.Name, at, at.Add(-handOverAgain))
	if err != nil {
		return store.Command{}, err
	}
	// A poll that is held then looks whether somebody took it. After a restart nobody rings, and the next poll looks.
	time.AfterFunc(handOverAgain+time.Millisecond, func() { s.bells.Ring(caller.Name) })
	awsjson.AfterReply(ctx, func(failed error) {
		if failed != nil {
			s.handBack(context.WithoutCancel(ctx), caller, command)
		}
	})
	return command, nil
}

// handBack forgets a hand-over and lets another held poll of the host have the Work. When that fails the Work is handed
// over again later, as one that nobody acknowledged.
func (s *Service) handBack(ctx context.Context, caller Caller, command store.Command) {
	ctx, cancel := context.WithTimeout(ctx, replyLimit)
	defer cancel()
	if err := s.store.HandBack(ctx, command.ID, command.HandedAt); err != nil {
		s.log.Warn("a command that did not reach its host is handed over again only after 30 s",
			"host", caller.Name, "work", command.ID, "error", err)
		return
	}
	s.bells.Ring(caller.Name)
}

// hostCommand is Work as the agent's protocol names it. The nonce tells one hand-over from the next; agents ignore it.
func (s *Service) hostCommand(caller Caller, command store.Command) *awsapi.PollHostCommandOutput {
	return &awsapi.PollHostCommandOutput{HostCommand: &awsapi.HostCommand{
		HostIdentifier:        new(caller.ARN),
		HostCommandIdentifier: new(command.ID),
		DeploymentExecutionId: new(s.executionID(command.Deployment, caller)),
		CommandName:           new(string(command.Event)),
		Nonce:                 new(int64(command.Handovers)),
	}}
}

// commandStatus is the status of a Work in the protocol's words. Withdrawn Work is a failed command: the agent leaves it.
func commandStatus(s deploy.WorkStatus) awsapi.CommandStatus {
	switch s {
	case deploy.WorkPending:
		return awsapi.CommandStatusPending
	case deploy.WorkRunning:
		return awsapi.CommandStatusInProgress
	case deploy.WorkSucceeded:
		return awsapi.CommandStatusSucceeded
	}
	return awsapi.CommandStatusFailed
}

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
