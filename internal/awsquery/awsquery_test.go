package awsquery

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type greetInput struct {
	Name  string
	Times *int
	Tag   string `query:"Tags.member.1.Key"`
}

type greetOutput struct {
	Greetings List[string]
	Tag       string `xml:",omitempty"`
}

func greet(_ context.Context, in *greetInput) (*greetOutput, error) {
	switch in.Name {
	case "":
		return nil, fmt.Errorf("wrapped: %w", Errorf(http.StatusConflict, "NoName", "give a Name, <please>"))
	case "broken":
		return nil, errors.New("the disk is on fire")
	case "panic":
		panic("out of cheese")
	}
	out := &greetOutput{Tag: in.Tag}
	if in.Times != nil {
		for range *in.Times {
			out.Greetings.Members = append(out.Greetings.Members, "Hello <"+in.Name+">")
		}
	}
	return out, nil
}

// serve starts a server that greets, and returns its address and its log.
func serve(t testing.TB) (string, *bytes.Buffer) {
	var log bytes.Buffer
	m := NewMux(Options{Namespace: "urn:test", Version: "1", Log: slog.New(slog.NewTextHandler(&log, nil))})
	Handle(m, "Greet", greet)
	Handle(m, "Nothing", func(context.Context, *Empty) (*Empty, error) { return &Empty{}, nil })
	Handle(m, "Nil", func(context.Context, *Empty) (*greetOutput, error) { return nil, nil })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(requestIDHeader, "r-1")
		m.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, &log
}

func post(t testing.TB, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, formType+"; charset=utf-8", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimPrefix(string(reply), xml.Header)
}

const metadata = "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>"

func TestReplies(t *testing.T) {
	t.Parallel()
	url, log := serve(t)
	for _, tt := range []struct{ body, want string }{
		{
			"Action=Greet&Version=1&Name=a%26b&Times=2&Tags.member.1.Key=k&Unknown=x",
			`<GreetResponse xmlns="urn:test"><GreetResult><Greetings><member>Hello &lt;a&amp;b&gt;</member>` +
				`<member>Hello &lt;a&amp;b&gt;</member></Greetings><Tag>k</Tag></GreetResult>` + metadata + `</GreetResponse>`,
		},
		{
			"Action=Greet&Version=1&Name=x",
			`<GreetResponse xmlns="urn:test"><GreetResult><Greetings></Greetings></GreetResult>` + metadata + `</GreetResponse>`,
		},
		{"Action=Nothing&Version=1", `<NothingResponse xmlns="urn:test">` + metadata + `</NothingResponse>`},
		{"Action=Nil&Version=1", `<NilResponse xmlns="urn:test">` + metadata + `</NilResponse>`},
	} {
		status, got := post(t, url, tt.body)
		if diff := cmp.Diff(tt.want, got); diff != "" || status != http.StatusOK {
			t.Errorf("%s: status %d, reply (-want +got):\n%s", tt.body, status, diff)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

// errorReply is what a client reads of a failure.
type errorReply struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Error   struct{ Type, Code, Message string }
	ID      string `xml:"RequestId"`
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		kind, code string
		message    string // is part of it
		logged     string // "" = nothing
	}{
		{"of the operation", "Action=Greet&Version=1", 409, "Sender", "NoName", "give a Name, <please>", ""},
		{"inside", "Action=Greet&Version=1&Name=broken", 500, "Receiver", InternalFailure, "request r-1", "on fire"},
		{"panic", "Action=Greet&Version=1&Name=panic", 500, "Receiver", InternalFailure, "request r-1", "out of cheese"},
		{"no action", "Version=1", 400, "Sender", MissingAction, "Action", ""},
		{"empty", "", 400, "Sender", MissingAction, "Action", ""},
		{"unknown action", "Action=Shout&Version=1", 400, "Sender", InvalidAction, `"Shout"`, ""},
		{"other version", "Action=Greet&Version=2", 400, "Sender", InvalidAction, "speaks 1", ""},
		{"not a number", "Action=Greet&Version=1&Name=x&Times=many", 400, "Sender", ValidationError, `Times: want a number, got "many"`, ""},
		{"twice", "Action=Greet&Version=1&Name=x&Name=y", 400, "Sender", MalformedInput, `"Name" is given 2 times`, ""},
		{"not a form", "Action=Greet&Version=1&Name=%zz", 400, "Sender", MalformedInput, "not a form", ""},
		{"not UTF-8", "Action=Greet&Version=1&Name=%ff", 400, "Sender", MalformedInput, "UTF-8", ""},
		{"NUL", "Action=Greet&Version=1&Name=a%00b", 400, "Sender", MalformedInput, "NUL", ""},
		{"too long", "Action=Greet&Version=1&Name=" + strings.Repeat("x", defaultBodyLimit), 413, "Sender", RequestEntityTooLarge, "65536 bytes", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, log := serve(t)
			status, body := post(t, url, tt.body)
			var got errorReply
			if err := xml.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if status != tt.status || got.Error.Type != tt.kind || got.Error.Code != tt.code || got.ID != "r-1" ||
				!strings.Contains(got.Error.Message, tt.message) {
				t.Errorf("got status %d, %+v; want %d %s %s with %q", status, got, tt.status, tt.kind, tt.code, tt.message)
			}
			if tt.logged == "" && log.Len() > 0 || !strings.Contains(log.String(), tt.logged) {
				t.Errorf("logged %q, want %q", log, tt.logged)
			}
			if tt.logged != "" && strings.Contains(body, tt.logged) {
				t.Errorf("the reply tells what is for the log: %s", body)
			}
		})
	}
}

func TestOtherMethodsAndTypes(t *testing.T) {
	t.Parallel()
	address, _ := serve(t)
	query := address + "?Action=Greet&Version=1&Name=x"
	get, err := http.Get(query)
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	json, err := http.Post(query, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer json.Body.Close()
	for _, resp := range []*http.Response{get, json} {
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 400 || !strings.Contains(string(body), MalformedInput) {
			t.Errorf("got %s: %s", resp.Status, body)
		}
	}
}

// TestAnyText sends text of any kind there and back.
func TestAnyText(t *testing.T) {
	t.Parallel()
	address, _ := serve(t)
	rapid.Check(t, func(rt *rapid.T) {
		tag := rapid.StringOf(rapid.Rune().Filter(inXML)).Draw(rt, "tag")
		form := url.Values{"Action": {"Greet"}, "Version": {"1"}, "Name": {"x"}, "Tags.member.1.Key": {tag}}
		_, body := post(t, address, form.Encode())
		var got struct {
			Tag string `xml:"GreetResult>Tag"`
		}
		if err := xml.Unmarshal([]byte(body), &got); err != nil || got.Tag != tag {
			rt.Fatalf("got %q, error %v; want %q in %s", got.Tag, err, tag, body)
		}
	})
}

// inXML reports whether XML can hold the character at all.
func inXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

func TestActionTwice(t *testing.T) {
	t.Parallel()
	m := NewMux(Options{})
	none := func(context.Context, *Empty) (*Empty, error) { return nil, nil }
	Handle(m, "A", none)
	defer func() {
		if recover() == nil {
			t.Error("registering an action twice did not panic")
		}
	}()
	Handle(m, "A", none)
}

// FuzzForm sends bodies of any kind. Whatever comes, the answer is XML, and nothing of it is the server's fault.
func FuzzForm(f *testing.F) {
	f.Add("Action=Greet&Version=1&Name=x&Times=2&Tags.member.1.Key=%C3%A9")
	f.Add("Action=Nothing&Version=1&Action=Nil")
	f.Add("Action=Greet&Version=1&Name=%zz;&Times=99999999999999999999")
	m := NewMux(Options{Namespace: "urn:test", Version: "1", Log: slog.New(slog.DiscardHandler)})
	Handle(m, "Greet", func(_ context.Context, in *greetInput) (*greetOutput, error) {
		return &greetOutput{Greetings: List[string]{Members: []string{in.Name}}, Tag: in.Tag}, nil
	})
	Handle(m, "Nothing", func(context.Context, *Empty) (*Empty, error) { return nil, nil })
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%q: got %d %s", body, w.Code, w.Body)
		}
		if err := xml.Unmarshal(w.Body.Bytes(), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%q: got %s: %v", body, w.Body, err)
		}
	})
}
