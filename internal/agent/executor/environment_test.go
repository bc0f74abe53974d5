package executor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaseEnvironmentHasNoSecrets(t *testing.T) {
	t.Parallel()
	got := baseEnvironment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=s", "AWS_ACCESS_KEY_ID=a", "AWS_SESSION_TOKEN=t",
		"AWS_SHARED_CREDENTIALS_FILE=/root/c", "CODEDEPLOY_GITHUB_TOKEN=g", "BUNDLE_VERSION=old", "AWS_PROFILE=p"}, "eu-west-1", Hardening{})
	want := []string{"PATH=/bin", "AWS_PROFILE=p", "AWS_REGION=eu-west-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
