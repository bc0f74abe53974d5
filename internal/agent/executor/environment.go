package executor

import (
	"slices"
	"strings"
)

// secrets are variables that hold credentials or point to them: those that stock agents clear or set, and those of the
// AWS SDKs. The agent's own identity is never in its environment.
var secrets = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_CREDENTIAL_FILE", "AWS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "CODEDEPLOY_GITHUB_TOKEN",
}

// described are the variables that tell a script about its deployment (agent.md 9.3).
var described = []string{
	"LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID",
	"BUNDLE_BUCKET", "BUNDLE_KEY", "BUNDLE_VERSION", "BUNDLE_ETAG", "BUNDLE_COMMIT",
}

// baseEnvironment is what every script inherits: the agent's environment without credentials, and the region, which stock
// agents leave in it too.
func baseEnvironment(environ []string, region string, _ Hardening) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(secrets, name) || slices.Contains(described, name)
	})
	if region != "" && !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "AWS_REGION=") }) {
		env = append(env, "AWS_REGION="+region)
	}
	return env
}

// hookEnvironment adds the variables of the current deployment, also when an earlier revision's script runs. What the
// service did not say stays unset.
func hookEnvironment(base []string, event string, d *Deployment) []string {
	env := slices.Clone(base)
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	add("LIFECYCLE_EVENT", event)
	add("DEPLOYMENT_ID", d.ID)
	add("APPLICATION_NAME", d.ApplicationName)
	add("DEPLOYMENT_GROUP_NAME", d.GroupName)
	add("DEPLOYMENT_GROUP_ID", d.GroupID)
	switch r := d.Revision; {
	case r.S3 != nil:
		add("BUNDLE_BUCKET", r.S3.Bucket)
		add("BUNDLE_KEY", r.S3.Key)
		add("BUNDLE_VERSION", r.S3.Version)
		add("BUNDLE_ETAG", r.S3.ETag)
	case r.GitHub != nil:
		add("BUNDLE_COMMIT", r.GitHub.Commit)
	}
	return env
}
