package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// Bounds of what is kept of a completion, in bytes.
const (
	maxLogTail = 4 << 10 // service.md 3.4
	maxText    = awsapi.MaxEnvelopePayload
)

// PutHostCommandComplete ends a Work, once. A second completion, which stock agents send after a
// failure (agent.md 4.4), and one that comes after the Work was given up, are answered like the first and change nothing.
func (s *Service) PutHostCommandComplete(ctx context.Context, caller Caller, in *awsapi.PutHostCommandCompleteInput) (*awsapi.PutHostCommandCompleteOutput, error) {
	status, err := ending(in.CommandStatus)
	if err != nil {
		return nil, err
	}
	command, err := s.command(ctx, caller, in.HostCommandIdentifier)
	if err != nil {
		return nil, err
	}
	err = s.store.Complete(ctx, command.ID, status, diagnostics(status, in.Diagnostics), now())
	if errors.Is(err, store.ErrEnded) {
		return &awsapi.PutHostCommandCompleteOutput{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("complete %s: %w", command.ID, err)
	}
	s.wake(command.Deployment)
	return &awsapi.PutHostCommandCompleteOutput{}, nil
}

func ending(status awsapi.CommandStatus) (deploy.WorkStatus, error) {
	switch status {
	case awsapi.CommandStatusSucceeded:
		return deploy.WorkSucceeded, nil
	case awsapi.CommandStatusFailed:
		return deploy.WorkFailed, nil
	}
	return "", refused("the CommandStatus %q does not end a command; it must be Succeeded or Failed", status)
}

// diagnostics reads what an agent says about a Work that has ended (agent.md 4.7). It takes whatever it can read: how a
// command ended matters more than the form in which the rest is told, so malformed diagnostics never lose a completion.
func diagnostics(status deploy.WorkStatus, envelope *awsapi.Envelope) deploy.Diagnostics {
	var payload string
	if envelope != nil {
		payload = awsapi.Value(envelope.Payload)
	}
	said := awsapi.CompletionDiagnostics{ErrorCode: awsapi.CodeUnknownError}
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal([]byte(payload), &said); err != nil && !errors.As(err, &wrongType) {
		said = awsapi.CompletionDiagnostics{ErrorCode: awsapi.CodeUnknownError, Message: payload}
	}
	return deploy.Diagnostics{
		ErrorCode:  string(errorCode(status, said.ErrorCode)),
		ScriptName: head(text(said.ScriptName), maxText),
		Message:    head(text(said.Message), maxText),
		LogTail:    tail(text(said.Log), maxLogTail),
	}
}

// errorCode is the code that the API shows. It never contradicts the status, which is what decides.
func errorCode(status deploy.WorkStatus, said awsapi.DiagnosticsCode) awsapi.LifecycleErrorCode {
	switch code := said.LifecycleErrorCode(); {
	case status == deploy.WorkSucceeded:
		return awsapi.LifecycleErrorCodeSuccess
	case code == awsapi.LifecycleErrorCodeSuccess:
		return awsapi.LifecycleErrorCodeUnknownError
	default:
		return code
	}
}

// text removes what PostgreSQL cannot store: NUL, which may hide behind an escape in the payload.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// head returns at most the first n bytes of s, whole characters only.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// tail returns at most the last n bytes of s, whole characters only.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	start := len(s) - n
	for start < len(s) && !utf8.RuneStart(s[start]) {
		start++
	}
	return s[start:]
}
