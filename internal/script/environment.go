package script

import (
	"slices"
	"strings"
)

// EnvOptions says what of the agent's environment a script gets, and what is added to it.
type EnvOptions struct {
	// StripLoader drops the variables that make programs load other libraries: strip_loader_env_in_hooks (agent.md 15).
	StripLoader bool
	// AllowlistOnly drops all but who and where the script is: restrict_hook_env_to_allowlist (agent.md 15).
	AllowlistOnly bool
	// Set is added last, "K=V", whatever the rest says: what describes the deployment (agent.md 9.3).
	Set []string
}

// secrets are variables that hold credentials or point to them: those that stock agents clear or set, and those of the
// AWS SDKs. Stock agents 1.x hand their on-premises secret key to every script (agent.md 17, "environment of hooks").
var secrets = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_CREDENTIAL_FILE", "AWS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "CODEDEPLOY_GITHUB_TOKEN",
}

// described are the variables that tell a script about its deployment. The agent may itself have been started by a script;
// what that one was told is not true of this one.
var described = []string{
	"LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID",
	"BUNDLE_BUCKET", "BUNDLE_KEY", "BUNDLE_VERSION", "BUNDLE_ETAG", "BUNDLE_COMMIT", marker,
}

// supervised are the beginnings of variables with which the service manager talks to the agent alone: a program started by a
// script would report itself ready, or answer the watchdog, in the agent's place.
var supervised = []string{"NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"}

// loader are the variables of the dynamic linker.
var loader = []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"}

// basics are the variables that the allowlist leaves: who runs the script, and how it is to talk.
var basics = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "TZ"}

// Environment returns the environment of a script: base, which is the agent's own, without credentials, without what is
// meant for the agent alone, and as o says.
func Environment(base []string, o EnvOptions) []string {
	env := make([]string, 0, len(base)+len(o.Set))
	for _, setting := range base {
		if name, _, ok := strings.Cut(setting, "="); ok && inherits(name, o) {
			env = append(env, setting)
		}
	}
	return append(env, o.Set...)
}

// inherits reports whether a script gets the agent's variable of this name.
func inherits(name string, o EnvOptions) bool {
	isSupervised := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	switch {
	case slices.Contains(secrets, name), slices.Contains(described, name), slices.ContainsFunc(supervised, isSupervised):
		return false
	case o.StripLoader && slices.Contains(loader, name):
		return false
	case o.AllowlistOnly:
		return slices.Contains(basics, name) || strings.HasPrefix(name, "LC_")
	}
	return true
}

// withID returns a copy of the command's environment that holds the ID of its group. It is never nil: a nil environment would
// make the child inherit the agent's, which can hold credentials.
func withID(c Command) []string {
	env := append([]string{}, c.Env...)
	if c.ID != "" {
		env = append(env, marker+"="+c.ID)
	}
	return env
}
