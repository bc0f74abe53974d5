package store

import "context"

// GitHubToken is a token of a GitHub account. Sealed is its text (package seal): the store never sees it in clear.
type GitHubToken struct {
	Name   string
	Sealed []byte
}

// SealName is the name under which the text of this token is sealed.
func (t GitHubToken) SealName() string { return "github-token/" + t.Name }

// GitHubTokens keeps tokens of GitHub accounts, and which application uses which. An application says so itself when it is
// read: linkedToGitHub and gitHubAccountName.
type GitHubTokens interface {
	// PutGitHubToken stores or replaces a token, and connects the application to it unless its name is "". ErrNotFound without
	// the application; *QuotaError.
	PutGitHubToken(ctx context.Context, t GitHubToken, application string) error
	// ConnectGitHub connects an application to a token. ErrNotFound without the application, ErrNoToken without the token.
	ConnectGitHub(ctx context.Context, application, token string) error
	GitHubTokens(ctx context.Context, after string, limit int) ([]string, error)
	// DeleteGitHubToken also disconnects the applications that use it; ErrNotFound.
	DeleteGitHubToken(ctx context.Context, name string) error
	// GroupGitHubToken returns the token that the application of the group with this id is connected to; ErrNotFound when to
	// none.
	GroupGitHubToken(ctx context.Context, group string) (GitHubToken, error)
}
