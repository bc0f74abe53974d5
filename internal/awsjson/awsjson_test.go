package awsjson_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

type echoInput struct {
	Name   *string                              `json:"name,omitzero"`
	Flag   *bool                                `json:"flag,omitzero"`
	Count  *int64                               `json:"count,omitzero"`
	Share  *float64                             `json:"share,omitzero"`
	When   awsapi.Epoch                         `json:"when,omitzero"`
	Style  awsapi.ComputePlatform               `json:"style,omitzero"`
	Names  []string                             `json:"names,omitzero"`
	Groups [][]awsapi.TagFilter                 `json:"groups,omitzero"`
	Filter map[awsapi.TargetFilterName][]string `json:"filter,omitzero"`
	Nested *echoInput                           `json:"nested,omitzero"`
}

// serve starts a server whose operation Test.Echo answers with its input, and returns a client of it. The log goes to
// the returned buffer.
func serve(t *testing.T, register ...func(*awsjson.Mux)) (*awsjson.Client, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	mux := awsjson.NewMux(awsjson.Options{BodyLimit: 1000, Log: slog.New(slog.NewTextHandler(&log, nil))})
	awsjson.Handle(mux, "Test.Echo", func(_ context.Context, in *echoInput) (*echoInput, error) { return in, nil })
	for _, r := range register {
		r(mux)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &awsjson.Client{Endpoint: server.URL, HTTP: server.Client()}, &log
}

// post sends a raw body and returns the response and its body.
func post(t *testing.T, url, target, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(reply)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	client, _ := serve(t)
	in := &echoInput{
		Name: new("a <b> & ü"), Flag: new(false), Count: new(int64(1<<62 + 1)), Share: new(0.25), When: awsapi.At(time.UnixMilli(1409764576589)),
		Style: awsapi.ComputePlatformECS, Names: []string{}, Groups: [][]awsapi.TagFilter{{{Key: new("k")}}, {}},
		Filter: map[awsapi.TargetFilterName][]string{"TargetStatus": {"Failed"}}, Nested: &echoInput{Name: new("")},
	}
	var out echoInput
	if err := client.Call(t.Context(), "Test.Echo", in, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, &out); diff != "" {
		t.Errorf("echo (-sent +got):\n%s", diff)
	}
}

func TestInputIsReadAsAWSDoes(t *testing.T) {
	t.Parallel()
	client, _ := serve(t)
	tests := []struct{ name, body, want string }{
		{"W15 unknown members are ignored", `{"name":"x","other":{"deep":[1,{}]}}`, `{"name":"x"}`},
		{"W15 null is absent", `{"name":null,"nested":null,"names":[null,"a"],"filter":{"x":null}}`, `{"names":["a"],"filter":{}}`},
		{"members match exactly", `{"Name":"x","NAME":"y"}`, `{}`},
		{"W13 whole seconds", `{"when":1409764576}`, `{"when":1409764576}`},
		{"W13 fractions", `{"when":1409764576.5}`, `{"when":1409764576.5}`},
		{"empty body", ``, `{}`},
		{"white space", " \n{} \n", `{}`},
	}
	for _, tt := range tests {
		resp, got := post(t, client.Endpoint, "Test.Echo", tt.body)
		if resp.StatusCode != 200 || got != tt.want {
			t.Errorf("%s: %d %s, want %s", tt.name, resp.StatusCode, got, tt.want)
		}
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	client, _ := serve(t)
	tests := []struct{ name, body, message string }{
		{"W4 cut short", `{"name":`, "not valid JSON"},
		{"W4 trailing", `{} {}`, "after its JSON object"},
		{"W4 no object", `[]`, "got a list"},
		{"W4 null", `null`, "got null"},
		{"W4 not UTF-8", "{\"name\":\"\xff\"}", "UTF-8"},
		{"W5 number for string", `{"name":1}`, "name: want a string, got a number"},
		{"W5 nested", `{"nested":{"nested":{"flag":"yes"}}}`, "nested.nested.flag: want true or false, got a string"},
		{"W5 in a list of lists", `{"groups":[[],[{"Key":"a"},{"Key":[]}]]}`, "groups[1][1].Key: want a string, got a list"},
		{"W5 in a map", `{"filter":{"TargetStatus":"Failed"}}`, "filter.TargetStatus: want a list, got a string"},
		{"W5 object for list", `{"names":{}}`, "names: want a list, got an object"},
		{"W5 fraction for integer", `{"count":1.5}`, "count: want an integer of at most 64 bits, got 1.5"},
		{"W5 integer too large", `{"count":9223372036854775808}`, "count: want an integer"},
		{"W5 text for a time", `{"when":"now"}`, "when: want seconds since 1970"},
		{"W5 float out of range", `{"share":1e999}`, "share: 1e999 is out of range"},
		{"NUL", `{"name":"a\u0000b"}`, "name: the text holds a NUL"},
		{"too long", `{"name":"` + strings.Repeat("x", 1000) + `"}`, "longer than 1000 bytes"},
	}
	for _, tt := range tests {
		resp, got := post(t, client.Endpoint, "Test.Echo", tt.body)
		if resp.StatusCode != 400 || !strings.HasPrefix(got, `{"__type":"SerializationException","message":"`) || !strings.Contains(got, tt.message) {
			t.Errorf("%s: %d %s, want SerializationException with %q", tt.name, resp.StatusCode, got, tt.message)
		}
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	t.Parallel()
	mux := awsjson.NewMux(awsjson.Options{})
	awsjson.Handle(mux, "Test.Echo", func(_ context.Context, in *echoInput) (*echoInput, error) { return in, nil })
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, unit := range []string{`[`, `{"nested":`} {
		_, got := post(t, server.URL, "Test.Echo", `{"nested":`+strings.Repeat(unit, 50_000))
		if !strings.Contains(got, "exceeded max depth") {
			t.Errorf("nesting with %s: %s", unit, got)
		}
	}
}

func TestUnknownOperation(t *testing.T) {
	t.Parallel()
	client, _ := serve(t)
	request := func(method, media, target string) *http.Request {
		req, err := http.NewRequest(method, client.Endpoint, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		req.Header.Set("X-Amz-Target", target)
		return req
	}
	tests := []struct {
		name string
		req  *http.Request
	}{
		{"W2 operation", request("POST", "application/x-amz-json-1.1", "Test.Other")},
		{"W3 prefix", request("POST", "application/x-amz-json-1.1", "Other.Echo")},
		{"no target", request("POST", "application/x-amz-json-1.1", "")},
		{"method", request("PUT", "application/x-amz-json-1.1", "Test.Echo")},
		{"content type", request("POST", "text/plain", "Test.Echo")},
	}
	for _, tt := range tests {
		resp, body := do(t, tt.req)
		if resp.StatusCode != 400 || !strings.HasPrefix(body, `{"__type":"UnknownOperationException"`) {
			t.Errorf("%s: %d %s", tt.name, resp.StatusCode, body)
		}
	}
}

func TestErrorsReachTheCaller(t *testing.T) {
	t.Parallel()
	client, log := serve(t, func(m *awsjson.Mux) {
		awsjson.Handle(m, "Test.Refuse", func(context.Context, *echoInput) (*awsjson.Empty, error) {
			return nil, fmt.Errorf("look it up: %w", awsjson.Errorf("ApplicationDoesNotExistException", "No application found for name: %s", "shop"))
		})
		awsjson.Handle(m, "Test.Fail", func(context.Context, *echoInput) (*awsjson.Empty, error) {
			return nil, errors.New("secret: disk on fire")
		})
		awsjson.Handle(m, "Test.Panic", func(_ context.Context, in *echoInput) (*awsjson.Empty, error) { panic("secret: " + *in.Name) })
	})

	resp, body := post(t, client.Endpoint, "Test.Refuse", "{}")
	if want := `{"__type":"ApplicationDoesNotExistException","message":"No application found for name: shop"}`; body != want { // W6
		t.Errorf("body %s, want %s", body, want)
	}
	if got := resp.Header.Get("x-amzn-ErrorType"); got != "ApplicationDoesNotExistException" { // W8
		t.Errorf("x-amzn-ErrorType %q", got)
	}
	err := client.Call(t.Context(), "Test.Refuse", echoInput{}, nil)
	var refused *awsjson.Error
	if !errors.As(err, &refused) || refused.Name != "ApplicationDoesNotExistException" || refused.Status != 400 || refused.RequestID == "" {
		t.Errorf("Call: %#v", err)
	}

	for _, target := range []string{"Test.Fail", "Test.Panic"} {
		resp, body := post(t, client.Endpoint, target, "{}")
		id := resp.Header.Get("x-amzn-RequestId")
		if resp.StatusCode != 500 || !strings.HasPrefix(body, `{"__type":"InternalFailure"`) || strings.Contains(body, "secret") || !strings.Contains(body, id) {
			t.Errorf("%s: %d %s", target, resp.StatusCode, body)
		}
		if line := log.String(); !strings.Contains(line, id) || !strings.Contains(line, target) {
			t.Errorf("the log does not tell of %s %s:\n%s", target, id, line)
		}
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("the log hides the cause:\n%s", log)
	}
}

func TestEveryResponseHasItsOwnRequestID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var inside string
	client, _ := serve(t, func(m *awsjson.Mux) {
		awsjson.Handle(m, "Test.ID", func(ctx context.Context, _ *echoInput) (*awsjson.Empty, error) {
			inside = awsjson.RequestID(ctx)
			return nil, nil
		})
	})
	for _, target := range []string{"Test.ID", "Test.ID", "Test.Nothing"} { // W9
		resp, body := post(t, client.Endpoint, target, "{}")
		id := resp.Header.Get("x-amzn-RequestId")
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || seen[id] {
			t.Errorf("%s: request id %q", target, id)
		}
		seen[id] = true
		if target == "Test.ID" && (body != "{}" || inside != id) { // W14
			t.Errorf("body %s, id inside %q, outside %q", body, inside, id)
		}
	}
}

func TestAfterReplyTellsWhetherTheCallerHasTheReply(t *testing.T) {
	t.Parallel()
	replied, entered := make(chan error, 1), make(chan struct{})
	client, _ := serve(t, func(m *awsjson.Mux) {
		awsjson.Handle(m, "Test.Poll", func(ctx context.Context, in *echoInput) (*echoInput, error) {
			awsjson.AfterReply(ctx, func(err error) { replied <- err })
			if in.Flag != nil { // the caller will hang up
				close(entered)
				<-ctx.Done()
			}
			return in, nil
		})
	})
	if err := client.Call(t.Context(), "Test.Poll", echoInput{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-replied; err != nil {
		t.Errorf("after a reply that arrived: %v", err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	go func() { <-entered; hangUp() }()
	if err := client.Call(ctx, "Test.Poll", echoInput{Flag: new(true)}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Call: %v", err)
	}
	if err := <-replied; err == nil {
		t.Error("a reply to a caller that hung up counts as delivered")
	}
}

func TestClientSignsLastAndSendsItsHeaders(t *testing.T) {
	t.Parallel()
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer server.Close()
	client := &awsjson.Client{
		Endpoint: server.URL,
		Header:   http.Header{"X-Amz-Codedeploy-Agent-Version": {"2.0"}},
		Sign: func(req *http.Request, hash string) error {
			req.Header.Set("Authorization", req.Header.Get("X-Amz-Target")+" "+req.Header.Get("X-Amz-Codedeploy-Agent-Version")+" "+hash)
			return nil
		},
	}
	if err := client.Call(t.Context(), "Test.Echo", struct{}{}, &echoInput{}); err != nil {
		t.Fatal(err)
	}
	const emptyObject = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	if want := "Test.Echo 2.0 " + emptyObject; got.Get("Authorization") != want {
		t.Errorf("Authorization %q, want %q", got.Get("Authorization"), want)
	}
}

func TestClientReadsForeignErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header, body, want string
	}{
		{"namespace", "", `{"__type":"com.amazonaws.codedeploy#ThrottlingException","Message":"slow down"}`, "ThrottlingException: slow down"},
		{"header only", "ClientException:http://internal/", `{"message":"no"}`, "ClientException: no"},
		{"no JSON", "", `<html>`, "Bad Gateway: "},
	}
	for _, tt := range tests {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", tt.header)
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, tt.body)
		}))
		err := (&awsjson.Client{Endpoint: server.URL}).Call(t.Context(), "Test.Echo", echoInput{}, nil)
		var e *awsjson.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		server.Close()
	}
}

func TestRegisteringTwicePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic: one of two handlers would be lost")
		}
	}()
	serve(t, func(m *awsjson.Mux) {
		awsjson.Handle(m, "Test.Echo", func(_ context.Context, in *echoInput) (*echoInput, error) { return in, nil })
	})
}
