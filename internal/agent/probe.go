package agent

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// Probe makes a signed call that has no effect: it asks for the specification of a deployment that does not exist. Accepted
// tells what its error means. A poll would show the
// same, and could take a command away from the agent.
func Probe(ctx context.Context, cfg config.Config, id identity.Identity, hc *http.Client) error {
	nothing := path.Join(id.Region, "0", "d-000000000", "0") // four parts (agent.md 4.2)
	_, err := newService(cfg, id, hc).specification(ctx, nothing)
	return err
}

// Accepted reports whether the error of a Probe shows that the service knows the keys, and as those of this host. Of the
// deployment that was asked for it knows nothing: when it objects to this host's name, the name is what is wrong.
func Accepted(err error, id identity.Identity) bool {
	var answer *awsjson.Error
	return errors.As(err, &answer) && answer.Name == awsapi.ClientException &&
		!strings.Contains(answer.Message, id.HostID) && !strings.Contains(answer.Message, "belongs to no host")
}
