package executor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/source"
)

// The variables are those of the deployment that runs the script, and what nobody said is not set.
//
// agent.md 16: 188
func TestHookEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		revision source.Revision
		want     []string
	}{
		"S3": {source.Revision{S3: &source.S3{Bucket: "b", Key: "k", Version: "v", ETag: "e"}},
			[]string{"BUNDLE_BUCKET=b", "BUNDLE_KEY=k", "BUNDLE_VERSION=v", "BUNDLE_ETAG=e"}},
		"S3 without version and ETag": {source.Revision{S3: &source.S3{Bucket: "b", Key: "k"}}, []string{"BUNDLE_BUCKET=b", "BUNDLE_KEY=k"}},
		"GitHub":                      {source.Revision{GitHub: &source.GitHub{Account: "a", Repository: "r", Commit: "c"}}, []string{"BUNDLE_COMMIT=c"}},
		"local":                       {source.Revision{Local: &source.Local{Location: "/app"}}, nil},
	} {
		d := &Deployment{ID: "d-1", GroupID: "g", GroupName: "web", ApplicationName: "shop", Revision: test.revision}
		want := append([]string{"PATH=/bin", "LIFECYCLE_EVENT=AfterInstall", "DEPLOYMENT_ID=d-1", "APPLICATION_NAME=shop",
			"DEPLOYMENT_GROUP_NAME=web", "DEPLOYMENT_GROUP_ID=g"}, test.want...)
		if diff := cmp.Diff(want, hookEnvironment([]string{"PATH=/bin"}, "AfterInstall", d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// agent.md 17: 13
func TestBaseEnvironmentHasNoSecrets(t *testing.T) {
	t.Parallel()
	got := baseEnvironment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=s", "AWS_ACCESS_KEY_ID=a", "AWS_SESSION_TOKEN=t",
		"AWS_SHARED_CREDENTIALS_FILE=/root/c", "CODEDEPLOY_GITHUB_TOKEN=g", "BUNDLE_VERSION=old", "AWS_PROFILE=p"}, "eu-west-1", config.Hardening{})
	want := []string{"PATH=/bin", "AWS_PROFILE=p", "AWS_REGION=eu-west-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
