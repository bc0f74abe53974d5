package api_test

import (
	"slices"
	"strings"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// only lets nothing through but the given pairs of an action and the end of a resource.
func only(pairs ...string) func(action, resource string) error {
	return func(action, resource string) error {
		pair := strings.TrimPrefix(action, "codedeploy:") + " " + strings.TrimPrefix(resource, prefix)
		if slices.Contains(pairs, pair) {
			return nil
		}
		return awsjson.Errorf(awsjson.AccessDeniedException, "not %s on %s", action, resource)
	}
}

// Every operation asks about its caller, after the shape of its input and before anything else of it.
func TestNobodyMayDoAnything(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	s.allow = only()
	for _, operation := range awsapi.Operations {
		if name, message := s.call(operation.Name, fields{}, nil); name != awsjson.AccessDeniedException {
			t.Errorf("%s: %s %s", operation.Name, name, message)
		}
	}
	for name, want := range map[any]string{"none": awsjson.AccessDeniedException, "no name": awsjson.AccessDeniedException, 7: awsjson.SerializationException} {
		if got, message := s.call("GetApplication", fields{"applicationName": name}, nil); got != want {
			t.Errorf("application %v: %s %s", name, got, message)
		}
	}
}

// One who may not see a deployment hears the same as of one that is not there, and who may see them all hears what is wrong with the id.
func TestAccessLeaksNoDeployment(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	id := s.deployment("v1.zip", nil)
	const unknown = "d-NOSUCH000"

	s.allow = only("GetDeployment deploymentgroup:shop/prod", "BatchGetDeployments deploymentgroup:shop/prod")
	if name, message := s.call("GetDeployment", fields{"deploymentId": id}, nil); name != "" {
		t.Errorf("one's own: %s %s", name, message)
	}
	if name, _ := s.call("BatchGetDeployments", fields{"deploymentIds": []string{id, unknown}}, nil); name != awsjson.AccessDeniedException {
		t.Errorf("a batch with an unknown one: %s", name)
	}
	s.allow = only("GetDeployment deploymentgroup:other/prod")
	_, existing := s.call("GetDeployment", fields{"deploymentId": id}, nil)
	_, missing := s.call("GetDeployment", fields{"deploymentId": unknown}, nil)
	if existing != strings.ReplaceAll(missing, unknown, id) || strings.Contains(existing, "shop") {
		t.Errorf("a foreign one: %q, an unknown one: %q", existing, missing)
	}

	s.allow = only("GetDeployment deploymentgroup:shop/prod")
	if _, message := s.call("StopDeployment", fields{"deploymentId": id}, nil); message != "not codedeploy:StopDeployment on "+prefix+"deploymentgroup:shop/prod" {
		t.Errorf("what one may see and not stop: %s", message)
	}
	s.allow = only("StopDeployment deploymentgroup:*/*")
	if name, message := s.call("StopDeployment", fields{"deploymentId": id}, nil); name != awsjson.AccessDeniedException || !strings.Contains(message, "shop/prod") {
		t.Errorf("an exception from the right on all: %s", message)
	}

	s.allow = only("GetDeployment deploymentgroup:*/*")
	s.refuse([]refusal{
		{"unknown", "GetDeployment", fields{"deploymentId": unknown}, "DeploymentDoesNotExist"},
		{"malformed", "GetDeployment", fields{"deploymentId": "no id"}, "InvalidDeploymentId"},
		{"missing", "GetDeployment", fields{}, "DeploymentIdRequired"},
	})
}

// An operation works on the deployment that its caller was asked about, whatever happens in between.
func TestDeploymentIsLoadedOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	id := s.deployment("v1.zip", nil)
	s.allow = func(string, string) error { return s.store.DeleteGroup(t.Context(), "shop", "prod") }
	if got := *do[awsapi.GetDeploymentOutput](s, "GetDeployment", fields{"deploymentId": id}).DeploymentInfo.DeploymentId; got != id {
		t.Errorf("got deployment %s, want %s", got, id)
	}
	s.allow = nil
	s.refuse([]refusal{{"deleted", "GetDeployment", fields{"deploymentId": id}, "DeploymentDoesNotExist"}})
}
