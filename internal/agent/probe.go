package agent

import (
	"context"
	"net/http"
	"path"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
)

// Probe makes a signed call that has no effect: it asks for the specification of a deployment that does not exist. The error
// tells whether the keys are accepted: a service that knows them answers with awsapi.ClientException. A poll would show the
// same, and could take a command away from the agent.
func Probe(ctx context.Context, cfg config.Config, id identity.Identity, hc *http.Client) error {
	nothing := path.Join(id.Region, "0", "d-000000000", "0") // four parts (agent.md 4.2)
	_, err := newService(cfg, id, hc).specification(ctx, nothing)
	return err
}
