package agent

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"grapnel/internal/agent/executor"
	"grapnel/internal/awsapi"
)

// agent.md 16: 85-87
func TestPayload(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		report report
		want   string
	}{
		{succeeded(""), `{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}`},
		{succeeded("CompletedNoopCommand"), `{"error_code":0,"script_name":"","message":"Succeeded: CompletedNoopCommand","log":""}`},
		{failed(errors.New("<&>")), `{"error_code":5,"script_name":"","message":"<&>","log":""}`},
		{failed(&executor.ScriptError{Code: 4, Script: "a.sh", Message: "m", Log: "l\n"}), `{"error_code":4,"script_name":"a.sh","message":"m","log":"l\n"}`},
	} {
		if got := test.report.payload(); got != test.want {
			t.Errorf("payload = %s, want %s", got, test.want)
		}
	}
}

// Whatever a script says, the payload fits, is JSON, and keeps the end of the log and the beginning of the message.
func TestPayloadFits(t *testing.T) {
	t.Parallel()
	noise := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.IntRange(1, 2000).Draw(t, "times")
		message := "BEGIN" + strings.Repeat(noise.Draw(t, "message"), rapid.IntRange(1, 2000).Draw(t, "message times"))
		log := strings.Repeat(noise.Draw(t, "log"), times) + "END"
		payload := failed(&executor.ScriptError{Code: awsapi.CodeScriptFailed, Script: "a.sh", Message: message, Log: log}).payload()
		if len(payload) > awsapi.MaxEnvelopePayload || !utf8.ValidString(payload) {
			t.Fatalf("payload of %d bytes, valid UTF-8: %v", len(payload), utf8.ValidString(payload))
		}
		var d awsapi.CompletionDiagnostics
		if err := json.Unmarshal([]byte(payload), &d); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(d.Message, "BEGIN") || d.Log != "" && !strings.HasSuffix(d.Log, "END") {
			t.Fatalf("message begins %.10q, log ends %.10q", d.Message, d.Log[max(0, len(d.Log)-10):])
		}
	})
}
