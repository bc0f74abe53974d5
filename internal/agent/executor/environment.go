package executor

import (
	"slices"
	"strings"

	"grapnel/internal/agent/config"
	"grapnel/internal/script"
)

// baseEnvironment is what every script inherits of the agent's environment, and the region, which stock agents leave in it
// too.
func baseEnvironment(environ []string, region string, h config.Hardening) []string {
	env := script.Environment(environ, script.EnvOptions{StripLoader: h.StripLoaderEnv, AllowlistOnly: h.RestrictHookEnv})
	if region != "" && !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "AWS_REGION=") }) {
		env = append(env, "AWS_REGION="+region)
	}
	return env
}

// hookEnvironment adds the variables of the current deployment, also when an earlier revision's script runs (agent.md 9.3).
// What nobody said stays unset.
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
