package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"grapnel/internal/backoff"
	"grapnel/internal/bundle"
)

// githubPauses lie between the tries of a download from GitHub (agent.md 10.2).
var githubPauses = []time.Duration{10 * time.Second, 30 * time.Second, 90 * time.Second}

// fromGitHub has GitHub pack a commit, and writes that to path. GitHub packs while it sends: it tells no size before, serves
// no parts, and the next try may pack other bytes, so each begins anew.
func (s *Source) fromGitHub(ctx context.Context, commit GitHub, path string) (Result, error) {
	file, err := s.create(path)
	if err != nil {
		return Result{}, err
	}
	defer file.file.Close()
	size, err := s.packed(ctx, commit, file)
	if err != nil {
		return Result{}, fmt.Errorf("cannot download %s: %w", commit, err)
	}
	return Result{Bytes: size}, file.finish()
}

// packed downloads a commit, with several tries.
func (s *Source) packed(ctx context.Context, commit GitHub, file *target) (int64, error) {
	var failures []string
	for _, pause := range githubPauses {
		size, err := s.packedOnce(ctx, commit, file)
		var broken *brokenOff
		if !errors.As(err, &broken) || ctx.Err() != nil {
			return size, whyEnded(ctx, err)
		}
		failures = append(failures, err.Error())
		s.Log.Warn("a download from GitHub failed and is tried again", slog.String("bundle", commit.String()),
			slog.Duration("after", pause), slog.Any("error", err))
		if err := backoff.Sleep(ctx, pause); err != nil {
			return 0, err
		}
	}
	size, err := s.packedOnce(ctx, commit, file)
	if err != nil {
		err = fmt.Errorf("%w (before: %s)", whyEnded(ctx, err), strings.Join(failures, "; "))
	}
	return size, err
}

func (s *Source) packedOnce(ctx context.Context, commit GitHub, file *target) (int64, error) {
	ctx, dog := watch(ctx, s.Stalled)
	defer dog.stop()
	response, err := s.askGitHub(ctx, commit)
	if err != nil {
		return 0, whyEnded(ctx, err)
	}
	defer response.Body.Close()
	dog.heard()
	if err := file.begin(response.ContentLength); err != nil {
		return 0, err
	}
	size := int64(0)
	err = pour(response.Body, file, &size, func([]byte) bool {
		dog.heard()
		return true
	})
	return size, whyEnded(ctx, err)
}

// askGitHub returns the answer if that is the commit.
func (s *Source) askGitHub(ctx context.Context, commit GitHub) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.GitHubEndpoint+commit.path(), nil)
	if err != nil {
		return nil, errors.New("the address of GitHub's API is no URL") // without it: it comes from a configuration, which may hold a password
	}
	request.Header.Set("Accept-Encoding", "identity") // the tarball is compressed, and is to stay it
	if commit.Token != "" {
		request.Header.Set("Authorization", "token "+commit.Token)
	}
	response, err := s.github.Do(request)
	if err != nil {
		return nil, &brokenOff{fmt.Errorf("GitHub cannot be reached: %w", withoutURL(err))}
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, commit.refused(response)
	}
	return response, nil
}

// path is where GitHub's API serves a packed commit. A commit may be the name of a branch, with slashes.
func (g GitHub) path() string {
	form := "tarball"
	if g.Type == bundle.Zip {
		form = "zipball"
	}
	commit := strings.ReplaceAll(url.PathEscape(g.Commit), "%2F", "/")
	return "/repos/" + url.PathEscape(g.Account) + "/" + url.PathEscape(g.Repository) + "/" + form + "/" + commit
}

// followWithoutToken follows redirects. GitHub's API sends everyone to another host, which must not see the token.
func followWithoutToken(request *http.Request, via []*http.Request) error {
	if len(via) == 10 {
		return errors.New("it redirects in a circle")
	}
	if api := via[0].URL; request.URL.Host != api.Host || request.URL.Scheme != api.Scheme {
		request.Header.Del("Authorization")
	}
	return nil
}

// withoutURL takes the address out of a client's error: GitHub redirects to ones that hold a token.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refused says what an answer without a bundle means for the one who deploys.
func (g GitHub) refused(response *http.Response) error {
	err := fmt.Errorf("GitHub answers %s", response.Status)
	limited := response.Header.Get("Retry-After") != "" || response.Header.Get("X-Ratelimit-Remaining") == "0"
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%w: the token is not valid, or no longer. Make a new one", err)
	case code == http.StatusTooManyRequests, code == http.StatusForbidden && limited:
		return &brokenOff{fmt.Errorf("%w: too many requests were made%s", err, g.anonymously())}
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: the token may not read this repository. Give it the right to read contents, and allow it for the organisation", err)
	case code == http.StatusNotFound && g.Token == "":
		return fmt.Errorf("%w: there is no such repository or commit, or it is private. Correct the revision, or give a token", err)
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: there is no such repository or commit, or the token may not read it. Correct the revision, or the token's rights", err)
	case code >= 500, code == http.StatusRequestTimeout:
		return &brokenOff{err}
	}
	return err
}

// anonymously is advice for who has no token.
func (g GitHub) anonymously() string {
	if g.Token == "" {
		return " without a token. GitHub allows many more with one"
	}
	return ""
}
