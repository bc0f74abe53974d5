package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/logs"
	"grapnel/internal/store"
)

// PostHostCommandUpdate takes output of a command's scripts while they run, and answers how the command stands. Stock agents
// never call it; ours do because the specification asks for it (document.LogStream). Output counts between acknowledgement
// and completion: before, it is refused; after, it is left out and answered like an agent's late acknowledgement, with how
// the command ended, upon which the agent sends no more.
func (s *Service) PostHostCommandUpdate(ctx context.Context, caller Caller, in *awsapi.PostHostCommandUpdateInput) (*awsapi.PostHostCommandUpdateOutput, error) {
	chunk, err := output(in.Diagnostics)
	if err != nil {
		return nil, err
	}
	command, err := s.command(ctx, caller, in.HostCommandIdentifier)
	if err != nil {
		return nil, err
	}
	if len(chunk.Lines) > 0 && s.logs != nil {
		chunk.Work = command.ID
		if err := s.append(ctx, command, chunk); err != nil {
			return nil, err
		}
	}
	return &awsapi.PostHostCommandUpdateOutput{CommandStatus: commandStatus(command.Status)}, nil
}

// append stores output of a command that is under way.
func (s *Service) append(ctx context.Context, command store.Command, chunk store.LogChunk) error {
	switch command.Status {
	case deploy.WorkPending:
		return refused("the command %s writes before it was acknowledged; call PutHostCommandAcknowledgement first", command.ID)
	case deploy.WorkRunning:
	default:
		return nil
	}
	err := s.logs.Append(ctx, command.Deployment, chunk)
	if errors.Is(err, logs.ErrBusy) {
		return awsjson.Errorf(awsjson.ThrottlingException, "The server cannot store this much output of scripts at once; send it later, or leave it out.")
	}
	if err != nil {
		return fmt.Errorf("output of %s: %w", command.ID, err)
	}
	return nil
}

// output reads the lines of an update. One without any only asks how the command stands.
func output(envelope *awsapi.Envelope) (store.LogChunk, error) {
	if envelope == nil || awsapi.Value(envelope.Payload) == "" {
		return store.LogChunk{}, nil
	}
	payload := *envelope.Payload
	if len(payload) > awsapi.MaxEnvelopePayload {
		return store.LogChunk{}, refused("the payload of Diagnostics has %d bytes and may have %d; send less at once", len(payload), awsapi.MaxEnvelopePayload)
	}
	var said awsapi.UpdateDiagnostics
	if err := json.Unmarshal([]byte(payload), &said); err != nil {
		return store.LogChunk{}, refused(`the payload of Diagnostics must be {"seq":1,"log":[{"t":0,"script":"","stream":"stdout","text":""}]}: %v`, err)
	}
	if said.Seq < 1 && len(said.Lines) > 0 {
		return store.LogChunk{}, refused("the payload of Diagnostics has seq %d; updates of a command are counted from 1", said.Seq)
	}
	for i, l := range said.Lines {
		said.Lines[i] = awsapi.LogLine{Time: l.Time, Script: printable(l.Script), Stream: printable(l.Stream), Text: printable(l.Text)}
	}
	return store.LogChunk{Seq: said.Seq, Size: int64(len(payload)), Lines: said.Lines}, nil
}

// printable leaves out control characters except tabs, and what breaks lines or turns their direction. A log is shown on
// terminals, which a host must not be able to command; and PostgreSQL cannot store NUL.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)) {
			return -1
		}
		return r
	}, s)
}
