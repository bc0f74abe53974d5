package api

import (
	"context"

	"grapnel/internal/awsapi"
)

// Connections to GitHub are made in a browser; this server has no page for it yet.
var errNoGitHub = failure(awsapi.OperationNotSupportedException,
	"Connections to GitHub accounts are not available on this server yet; push a bundle with \"aws deploy push\" instead.")

func (a *API) listGitHubAccountTokenNames(
	context.Context, *awsapi.ListGitHubAccountTokenNamesInput,
) (*awsapi.ListGitHubAccountTokenNamesOutput, error) {
	return nil, errNoGitHub
}

func (a *API) deleteGitHubAccountToken(
	context.Context, *awsapi.DeleteGitHubAccountTokenInput,
) (*awsapi.DeleteGitHubAccountTokenOutput, error) {
	return nil, errNoGitHub
}
