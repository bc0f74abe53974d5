package api

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// gitHubTokenPattern is what may stand in the header that an agent sends it in; tokens of GitHub are much shorter. A signed
// specification has to hold it twice.
var gitHubTokenPattern = regexp.MustCompile(`^[!-~]{1,255}$`)

// Sealer encrypts what the store keeps (package seal).
type Sealer interface {
	Seal(name string, plain []byte) []byte
	Open(name string, sealed []byte) ([]byte, error)
}

func gitHubTokenName(value *string) (string, error) {
	return field(value, "tokenName", awsapi.GitHubAccountTokenNameRequiredException, awsapi.InvalidGitHubAccountTokenNameException, namePattern, nameRule)
}

func gitHubTokenDoesNotExist(name string) error {
	return failure(awsapi.GitHubAccountTokenDoesNotExistException,
		"Check the name with list-git-hub-account-token-names. No GitHub account token found for name: %s", name)
}

// putGitHubAccountToken stores a token, or connects an application to one that is there. AWS has a page in its console for
// this, and no operation (service.md 2.8).
func (a *API) putGitHubAccountToken(ctx context.Context, in *awsapi.PutGitHubAccountTokenInput) (*awsapi.PutGitHubAccountTokenOutput, error) {
	name, err := gitHubTokenName(in.TokenName)
	if err != nil {
		return nil, err
	}
	application := ""
	if in.ApplicationName != nil || in.Token == nil {
		if application, err = applicationName(in.ApplicationName); err != nil {
			return nil, err
		}
	}
	const action = awsapi.GrapnelService + ":PutGitHubAccountToken"
	store.AuditOf(ctx).Note(action, a.arns.gitHubToken(name))
	if application != "" {
		store.AuditOf(ctx).Note(action, a.arns.prefix()+"application:"+application)
	}
	if in.Token == nil {
		err = a.store.ConnectGitHub(ctx, application, name)
	} else {
		if !gitHubTokenPattern.MatchString(*in.Token) {
			return nil, failure(awsapi.InvalidGitHubAccountTokenException, "The token must have 1 to 255 printable ASCII characters and no spaces; copy it from GitHub again.")
		}
		token := store.GitHubToken{Name: name}
		token.Sealed = a.sealer.Seal(token.SealName(), []byte(*in.Token))
		err = a.store.PutGitHubToken(ctx, token, application)
	}
	if errors.Is(err, store.ErrNoToken) {
		return nil, gitHubTokenDoesNotExist(name)
	}
	err = limited(err, awsapi.ResourceValidationException, "delete one first")
	return nil, instead(err, store.ErrNotFound, applicationDoesNotExist(application), "store GitHub token "+name)
}

func (a *API) listGitHubAccountTokenNames(
	ctx context.Context, in *awsapi.ListGitHubAccountTokenNamesInput,
) (*awsapi.ListGitHubAccountTokenNamesOutput, error) {
	p, err := a.pages.open(awsapi.ListGitHubAccountTokenNamesInput{}, in.NextToken)
	if err != nil {
		return nil, err
	}
	names, err := a.store.GitHubTokens(ctx, p.after, p.limit())
	if err != nil {
		return nil, fmt.Errorf("list GitHub tokens: %w", err)
	}
	out := new(awsapi.ListGitHubAccountTokenNamesOutput)
	out.TokenNameList, out.NextToken = cut(p, names, itself)
	return out, nil
}

// deleteGitHubAccountToken also disconnects the applications that use the token.
func (a *API) deleteGitHubAccountToken(
	ctx context.Context, in *awsapi.DeleteGitHubAccountTokenInput,
) (*awsapi.DeleteGitHubAccountTokenOutput, error) {
	name, err := gitHubTokenName(in.TokenName)
	if err != nil {
		return nil, err
	}
	store.AuditOf(ctx).Note("codedeploy:DeleteGitHubAccountToken", a.arns.gitHubToken(name))
	if err := a.store.DeleteGitHubToken(ctx, name); err != nil {
		return nil, instead(err, store.ErrNotFound, gitHubTokenDoesNotExist(name), "delete GitHub token "+name)
	}
	return &awsapi.DeleteGitHubAccountTokenOutput{TokenName: &name}, nil
}

// checkGitHubToken refuses to deploy from GitHub with a token that cannot be read any more, because the file of the key that
// sealed it is gone: every host would fail.
func (a *API) checkGitHubToken(ctx context.Context, group string, revision awsapi.RevisionLocation) error {
	if revision.GitHubLocation == nil {
		return nil
	}
	token, err := a.store.GroupGitHubToken(ctx, group)
	if isMissing(err) {
		return nil // a public repository needs none
	}
	if err != nil {
		return fmt.Errorf("load the GitHub token: %w", err)
	}
	if _, err := a.sealer.Open(token.SealName(), token.Sealed); err != nil {
		return failure(awsapi.InvalidGitHubAccountTokenException, "The GitHub token %s cannot be read; store it again with \"grapnel github-token put\".", token.Name)
	}
	return nil
}

// RegisterGrapnel makes the operations known that AWS does not have.
func (a *API) RegisterGrapnel(mux *awsjson.Mux) {
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".PutGitHubAccountToken", a.putGitHubAccountToken)
}
