package service

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// A deployment from beginning to end, with the test as the agent.
func TestDeploymentWithTheTestAsAgent(t *testing.T) {
	t.Parallel()
	w := start(t)
	h := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	if got := h.run(inPlaceEvents, ""); len(got) != inPlaceEvents || got[0] != "ApplicationStop" {
		t.Errorf("got the commands %v", got)
	}
	w.ends(id, types.DeploymentStatusSucceeded)
}
