package hosts

import (
	"context"
	"encoding/json"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// PutHostCommandAcknowledgement makes a Work Running, or Succeeded when the agent says that there is
// nothing to run.
func (s *Service) PutHostCommandAcknowledgement(ctx context.Context, caller Caller, in *awsapi.PutHostCommandAcknowledgementInput) (*awsapi.PutHostCommandAcknowledgementOutput, error) {
	noop, err := isNoop(in.Diagnostics)
	if err != nil {
		return nil, err
	}
	if _, err := s.command(ctx, caller, in.HostCommandIdentifier); err != nil {
		return nil, err
	}
	command, first, err := s.store.Acknowledge(ctx, *in.HostCommandIdentifier, noop, now())
	if err != nil {
		return nil, fmt.Errorf("acknowledge %s: %w", *in.HostCommandIdentifier, err)
	}
	if first && command.Status == deploy.WorkSucceeded {
		s.wake(command.Deployment)
	}
	return &awsapi.PutHostCommandAcknowledgementOutput{CommandStatus: answer(command, first)}, nil
}

// answer tells the agent what to do with a command after an acknowledgement: InProgress to run it, anything else to leave it.
//
//	Pending    it is past its due time, and the engine is about to fail it
//	Running    the first acknowledgement, or the same again because its reply was lost. Not when the command was handed over
//	           more than once: then the repetition may come from a second execution, and no hook may run twice
//	ended      Succeeded or Failed as it ended; a no-op gets the same answer however often it is acknowledged
func answer(command store.Command, first bool) awsapi.CommandStatus {
	switch command.Status {
	case deploy.WorkPending:
		return awsapi.CommandStatusFailed
	case deploy.WorkRunning:
		if !first && command.Handovers > 1 {
			return awsapi.CommandStatusSucceeded
		}
	}
	return commandStatus(command.Status)
}

// isNoop reads what an agent says when it takes a command (agent.md 4.4). One that says nothing has something to run.
func isNoop(diagnostics *awsapi.Envelope) (bool, error) {
	if diagnostics == nil || awsapi.Value(diagnostics.Payload) == "" {
		return false, nil
	}
	var said awsapi.AcknowledgementDiagnostics
	if err := json.Unmarshal([]byte(*diagnostics.Payload), &said); err != nil {
		return false, refused(`the payload of Diagnostics must be {"IsCommandNoop":true} or {"IsCommandNoop":false}: %v`, err)
	}
	return said.IsCommandNoop, nil
}
