package awsjson_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"grapnel/internal/awsjson"
)

// FuzzMux sends a Mux whatever there is. It always answers: with the operation's output, which the operation reads again as
// the same, or with a name of AWS's for what is wrong. A panic would be an internal failure.
func FuzzMux(f *testing.F) {
	mux := awsjson.NewMux(awsjson.Options{BodyLimit: 1 << 16, Log: slog.New(slog.DiscardHandler)})
	awsjson.Handle(mux, "Test.Echo", func(_ context.Context, in *echoInput) (*echoInput, error) { return in, nil })
	send := func(method, media, target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Method = method
		r.Header.Set("Content-Type", media)
		r.Header.Set("X-Amz-Target", target)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	const media, echo = "application/x-amz-json-1.1", "Test.Echo"
	for _, body := range []string{
		``, `{}`, `{"name":"a","flag":true,"count":9223372036854775807,"share":0.5,"when":1409764576.5,"style":"ECS"}`,
		`{"names":["a",null],"groups":[[],[{"Key":"a","Value":"b","Type":"KEY_ONLY"}]],"filter":{"TargetStatus":["Failed"]}}`,
		`{"nested":{"nested":{"nested":{"name":"\ud83d\ude00"}}}}`, `{"name":"a\u0000"}`, `{"when":1e400}`, `{"share":-0}`, "{\"name\":\"\xff\"}",
		strings.Repeat(`{"nested":`, 5000), `{"unknown":[{"deep":[1,2,{"x":null}]}],"name":null}`, `[]`, `null`, `{} {}`,
	} {
		f.Add("POST", media, echo, body)
	}
	f.Add("GET", media, echo, "")
	f.Add("POST", "application/x-amz-json-1.1; charset=utf-8", "Test.Other", "{}")
	f.Add("POST", "text/plain;;", ".", "{}")
	f.Fuzz(func(t *testing.T, method, contentType, target, body string) {
		w := send(method, contentType, target, body)
		reply, _ := io.ReadAll(w.Result().Body)
		if w.Code == http.StatusOK {
			if again := send("POST", media, echo, string(reply)); again.Code != http.StatusOK || again.Body.String() != string(reply) {
				t.Errorf("%q is answered with %s, and that with %d %s", body, reply, again.Code, again.Body)
			}
			return
		}
		var refusal struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(reply, &refusal); err != nil || w.Code != http.StatusBadRequest || refusal.Type == "" || refusal.Message == "" ||
			w.Result().Header.Get("X-Amzn-RequestId") == "" {
			t.Errorf("%s %q %q %q is answered with %d %s", method, contentType, target, body, w.Code, reply)
		}
	})
}
