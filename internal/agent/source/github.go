package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"grapnel/internal/backoff"
	"grapnel/internal/bundle"
)

// githubPauses lie between the tries of a download from GitHub (agent.md 10.2).
var githubPauses = []time.Duration{10 * time.Second, 30 * time.Second, 90 * time.Second}

// fromGitHub has GitHub pack a commit, and writes that to path.
func (s *Source) fromGitHub(ctx context.Context, g GitHub, path string) (Result, error) {
	var statuses []string
	for try := 0; ; try++ {
		n, err := s.fromGitHubOnce(ctx, g, path)
		if err == nil {
			return Result{Bytes: n}, nil
		}
		var passing *mayPass
		if !errors.As(err, &passing) || ctx.Err() != nil {
			return Result{}, fmt.Errorf("cannot download %s: %w", g, err)
		}
		statuses = append(statuses, passing.status)
		if try == len(githubPauses) {
			return Result{}, fmt.Errorf("cannot download %s after %d tries (%s): %w", g, try+1, strings.Join(statuses, ", "), err)
		}
		s.Log.Warn("a download from GitHub failed and is tried again", slog.String("bundle", g.String()),
			slog.Duration("after", githubPauses[try]), slog.Any("error", err))
		if err := backoff.Sleep(ctx, githubPauses[try]); err != nil {
			return Result{}, err
		}
	}
}

// mayPass is a failure that another try may not meet.
type mayPass struct {
	status string // in a few words, for the list of all tries
	err    error
}

// Error tells what happened.
func (m *mayPass) Error() string { return m.err.Error() }

// Unwrap makes the cause visible.
func (m *mayPass) Unwrap() error { return m.err }

func (s *Source) fromGitHubOnce(ctx context.Context, g GitHub, path string) (int64, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, fmt.Errorf("cannot make the bundle's file: %w", err)
	}
	defer file.Close()
	request, err := s.githubRequest(ctx, g)
	if err != nil {
		return 0, err
	}
	response, err := s.github.Do(request)
	if err != nil {
		return 0, &mayPass{"no answer", withoutURL(err)}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, refusal(response, g)
	}
	n, err := io.Copy(file, response.Body)
	if err != nil {
		return 0, &mayPass{"broken off", err}
	}
	return n, file.Close()
}

func (s *Source) githubRequest(ctx context.Context, g GitHub) (*http.Request, error) {
	form := "tarball"
	if g.Type == bundle.Zip {
		form = "zipball"
	}
	address := s.GitHubEndpoint + "/repos/" + url.PathEscape(g.Account) + "/" + url.PathEscape(g.Repository) + "/" + form + "/" + url.PathEscape(g.Commit)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if g.Token != "" {
		request.Header.Set("Authorization", "token "+g.Token)
	}
	return request, nil
}

// followWithoutToken follows redirects. GitHub's API sends everyone to another host, which must not see the token.
func followWithoutToken(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("GitHub redirects in a circle")
	}
	if first := via[0].URL; request.URL.Host != first.Host || request.URL.Scheme != first.Scheme {
		request.Header.Del("Authorization")
	}
	return nil
}

// withoutURL takes the address out of a client's error: that of a redirect may hold a token.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func refusal(response *http.Response, g GitHub) error {
	err := fmt.Errorf("GitHub answers %s", response.Status)
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%w: the token is not valid, or no longer: make a new one", err)
	case code == http.StatusNotFound && g.Token == "":
		return fmt.Errorf("%w: there is no such repository or commit, or it is private, which needs a token", err)
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: there is no such repository or commit, or the token may not read it", err)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout ||
		cmp.Or(response.Header.Get("Retry-After"), response.Header.Get("X-RateLimit-Remaining")) != "":
		return &mayPass{response.Status, err}
	}
	return err
}
