package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"grapnel/internal/agent/executor"
	"grapnel/internal/awsapi"
)

// report is how a command ended, as the service is told (agent.md 4.7).
type report struct {
	status      awsapi.CommandStatus
	diagnostics awsapi.CompletionDiagnostics
}

func succeeded(note string) report {
	return report{awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{
		ErrorCode: awsapi.CodeSuccess, Message: "Succeeded: " + note,
	}}
}

func failed(err error) report {
	r := report{awsapi.CommandStatusFailed, awsapi.CompletionDiagnostics{
		ErrorCode: awsapi.CodeUnknownError, Message: err.Error(),
	}}
	if script, ok := errors.AsType[*executor.ScriptError](err); ok {
		r.diagnostics = awsapi.CompletionDiagnostics{
			ErrorCode: script.Code, ScriptName: script.Script, Message: script.Message, Log: script.Log,
		}
	}
	return r
}

// interrupted is reported for a command that was under way when the agent died (agent.md 6.4).
func interrupted(orphan string) report {
	message := "Failed: the agent was restarted while this lifecycle event was in progress, so the event is failed"
	if orphan != "" {
		message += "; " + orphan
	}
	return report{awsapi.CommandStatusFailed, awsapi.CompletionDiagnostics{
		ErrorCode: awsapi.CodeFailedAfterRestart, Message: message,
	}}
}

// payload encodes the diagnostics within the limit of an envelope: the log loses its oldest part first, then the message
// its end, because the message says what to do and its beginning says why.
func (r report) payload() string {
	d := r.diagnostics
	d.Message, d.Log = strings.ToValidUTF8(d.Message, "\uFFFD"), strings.ToValidUTF8(d.Log, "\uFFFD")
	encoded := encode(d)
	for len(encoded) > awsapi.MaxEnvelopePayload && d.Log != "" {
		d.Log = cutStart(d.Log, excess(encoded, d.Log))
		encoded = encode(d)
	}
	for len(encoded) > awsapi.MaxEnvelopePayload && d.Message != "" {
		d.Message = cutEnd(d.Message, excess(encoded, d.Message))
		encoded = encode(d)
	}
	return encoded
}

// excess is how many bytes of text to drop so that the encoded form gets shorter without losing much more than needed:
// one byte takes up to six once it is escaped.
func excess(encoded, text string) int {
	return min(len(text), max(1, (len(encoded)-awsapi.MaxEnvelopePayload)/6))
}

// cutStart and cutEnd drop at least n bytes, and never a part of a character.
func cutStart(s string, n int) string {
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n++
	}
	return s[n:]
}

func cutEnd(s string, n int) string {
	end := len(s) - n
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func encode(d awsapi.CompletionDiagnostics) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the tail of a script is full of < and >, and the limit counts bytes
	if err := enc.Encode(d); err != nil {
		panic(fmt.Sprintf("diagnostics of strings and a number always encode: %v", err))
	}
	return strings.TrimSpace(b.String())
}
