package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/bundle"
)

// hub is GitHub: an API that redirects to another host, which serves what is packed.
type hub struct {
	mu    sync.Mutex
	calls []string // host, path and Authorization of each request
	// api and pack answer; nil answers as GitHub does.
	api, pack func(w http.ResponseWriter, r *http.Request, number int)
}

const apiHost, packHost = "api.github.example", "codeload.api.github.example" // net/http would keep the token for a subdomain

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.calls = append(h.calls, strings.TrimSpace(r.Host+r.URL.Path+" "+r.Header.Get("Authorization")))
	number := len(h.calls)
	h.mu.Unlock()
	switch {
	case r.Host == apiHost && h.api != nil:
		h.api(w, r, number)
	case r.Host == apiHost:
		http.Redirect(w, r, "http://"+packHost+"/packed?token=tempor4ry", http.StatusFound)
	case h.pack != nil:
		h.pack(w, r, number)
	default:
		w.Write([]byte("the bundle"))
	}
}

func onGitHub(token string, t bundle.Type) Revision {
	return Revision{GitHub: &GitHub{Account: "octo", Repository: "app", Commit: "0a1b2c", Type: t, Token: token}}
}

// inHub runs a test against the hub, in a bubble: the pauses between tries are long.
func inHub(t *testing.T, h *hub, o Options, test func(*testing.T, *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.HTTP, o.GitHubEndpoint = serveInBubble(t, h), "http://"+apiHost
		test(t, New(o))
	})
}

// agent.md 16: 166
func TestGitHubForms(t *testing.T) {
	t.Parallel()
	for form, types := range map[string][]bundle.Type{"tarball": {"", bundle.Tar}, "zipball": {bundle.Zip}} {
		for _, typ := range types {
			h := &hub{}
			inHub(t, h, Options{}, func(t *testing.T, s *Source) {
				wantBundle(t, s, onGitHub("", typ), []byte("the bundle"))
			})
			want := []string{apiHost + "/repos/octo/app/" + form + "/0a1b2c", packHost + "/packed"}
			if diff := cmp.Diff(want, h.calls); diff != "" {
				t.Errorf("type %q (-want +got):\n%s", typ, diff)
			}
		}
	}
}

func TestGitHubBranchWithSlash(t *testing.T) {
	t.Parallel()
	g := GitHub{Account: "octo", Repository: "app", Commit: "feature/a b?c"}
	if got, want := g.path(), "/repos/octo/app/tarball/feature/a%20b%3Fc"; got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
}

// The token reaches GitHub's API, and nobody else: no other host, no log, no error, no formatting.
//
// agent.md 16: 109
func TestGitHubTokenStaysSecret(t *testing.T) {
	t.Parallel()
	const token = "ghp_s3cr3t"
	log, wireLog := &logText{}, &logText{}
	h := &hub{pack: func(w http.ResponseWriter, r *http.Request, number int) {
		if number == 2 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, "gone", http.StatusGone)
	}}
	inHub(t, h, Options{Log: log.logger()}, func(t *testing.T, s *Source) {
		s.github.Transport = Wire(s.github.Transport, wireLog)
		_, _, err := fetched(t, s, onGitHub(token, ""))
		if err == nil {
			t.Fatal("nothing was packed, and yet it was fetched")
		}
		s.Log.Info("failed", "error", err)
	})
	want := []string{
		apiHost + "/repos/octo/app/tarball/0a1b2c token " + token, packHost + "/packed",
		apiHost + "/repos/octo/app/tarball/0a1b2c token " + token, packHost + "/packed",
	}
	if diff := cmp.Diff(want, h.calls); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	r := onGitHub(token, "")
	asJSON, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", r, r, r, r, r.GitHub, *r.GitHub, *r.GitHub) + string(asJSON)
	for _, text := range []string{log.String(), wireLog.String(), shown} {
		if strings.Contains(text, token) || strings.Contains(text, "tempor4ry") {
			t.Errorf("a token is in:\n%s", text)
		}
	}
	if !strings.Contains(log.String(), "github.com/octo/app at 0a1b2c") {
		t.Errorf("the log does not name the bundle:\n%s", log)
	}
}

// agent.md 10.2: three more tries after 10, 30 and 90 seconds.
func TestGitHubRetries(t *testing.T) {
	t.Parallel()
	h := &hub{api: func(w http.ResponseWriter, r *http.Request, number int) {
		w.WriteHeader([]int{502, 503, 429, 500}[number-1])
	}}
	inHub(t, h, Options{}, func(t *testing.T, s *Source) {
		begun := time.Now()
		wantError(t, s, onGitHub("", ""), "502", "503", "429", "500 Internal Server Error")
		if took := time.Since(begun); took != 130*time.Second || len(h.calls) != 4 {
			t.Errorf("%d tries in %v, want 4 in 130 s", len(h.calls), took)
		}
	})
}

// A bundle that breaks off in its middle is packed and sent again.
func TestGitHubBreaksOff(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *http.Request){
		"closed":  func(*http.Request) { panic(http.ErrAbortHandler) },
		"stalled": func(r *http.Request) { <-r.Context().Done() },
	} {
		h := &hub{pack: func(w http.ResponseWriter, r *http.Request, number int) {
			w.Write([]byte("the longer half of "))
			w.(http.Flusher).Flush()
			if number < 4 {
				end(r)
				return
			}
			w.Write([]byte("it"))
		}}
		inHub(t, h, Options{Stalled: time.Minute}, func(t *testing.T, s *Source) {
			wantBundle(t, s, onGitHub("", ""), []byte("the longer half of it"))
		})
		if len(h.calls) != 4 {
			t.Errorf("%s: %d requests, want 4", name, len(h.calls))
		}
	}
}

func TestGitHubRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		token   string
		header  string
		calls   int
		advised string
	}{
		{401, "t", "", 1, "Make a new one"},
		{404, "", "", 1, "give a token"},
		{404, "t", "", 1, "the token's rights"},
		{403, "t", "", 1, "right to read contents"},
		{403, "", "X-Ratelimit-Remaining", 4, "many more with one"},
		{410, "", "", 1, "410 Gone"},
	} {
		h := &hub{api: func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("X-Ratelimit-Remaining", "17")
			if c.header != "" {
				w.Header().Set(c.header, "0")
			}
			w.WriteHeader(c.status)
		}}
		inHub(t, h, Options{}, func(t *testing.T, s *Source) {
			wantError(t, s, onGitHub(c.token, ""), "github.com/octo/app at 0a1b2c", c.advised)
		})
		if len(h.calls) != c.calls {
			t.Errorf("%d: %d requests, want %d", c.status, len(h.calls), c.calls)
		}
	}
}

func TestGitHubRedirectsInACircle(t *testing.T) {
	t.Parallel()
	h := &hub{}
	h.api = func(w http.ResponseWriter, r *http.Request, _ int) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }
	inHub(t, h, Options{}, func(t *testing.T, s *Source) {
		wantError(t, s, onGitHub("", ""), "circle")
	})
}

// GitHub does not say how large a bundle is. Room is asked for as it grows, and a full disk keeps nothing.
func TestGitHubRoom(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 1<<20)
		for range growth>>20 + 1 {
			w.Write(piece)
		}
	}))
	t.Cleanup(server.Close)
	full, asked := errors.New("no space left"), 0
	s := New(Options{GitHubEndpoint: server.URL, HasRoom: func(path string, bytes int64) error {
		asked++
		if filepath.Base(path) != "bundle.tar" || bytes != growth {
			t.Errorf("room for %d bytes is asked for at %s", bytes, path)
		}
		if asked == 2 {
			return full
		}
		return nil
	}})
	if _, _, err := fetched(t, s, onGitHub("", "")); !errors.Is(err, full) || asked != 2 {
		t.Errorf("error = %v after asking %d times", err, asked)
	}
}
