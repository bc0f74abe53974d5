package script

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// agentEnvironment is what an agent under systemd, set up by hand and with every credential in sight, may have.
const agentEnvironment = "PATH=/bin HOME=/root USER=root LOGNAME=root SHELL=/bin/sh LANG=C.UTF-8 LC_ALL=C TZ=UTC JAVA_HOME=/jdk AWS_REGION=eu-west-1 " +
	"https_proxy=http://proxy:3128 LD_PRELOAD=/x.so LD_LIBRARY_PATH=/lib LD_AUDIT=/y.so LD_BIND_NOW=1 " +
	"AWS_ACCESS_KEY_ID=s AWS_SECRET_ACCESS_KEY=s AWS_SESSION_TOKEN=s AWS_CREDENTIAL_FILE=s AWS_ACCESS_KEY=s AWS_SECRET_KEY=s " +
	"AWS_CREDENTIALS_FILE=s CODEDEPLOY_GITHUB_TOKEN=s NOTIFY_SOCKET=s WATCHDOG_USEC=s WATCHDOG_PID=s LISTEN_FDS=s LISTEN_PID=s LISTEN_FDNAMES=s " +
	"DEPLOYMENT_ID=another BUNDLE_VERSION=another CODEDEPLOY_HOOK_ID=another"

// agent.md 16: 188
// agent.md 17: 13
func TestEnvironmentHoldsNoSecretsAndOnlyThisDeployment(t *testing.T) {
	t.Parallel()
	base := strings.Fields(agentEnvironment)
	before := strings.Join(base, " ")
	set := []string{"DEPLOYMENT_ID=d-1", "GREETING=hello world"}
	for name, c := range map[string]struct {
		options EnvOptions
		want    string
	}{
		"as the stock agent": {EnvOptions{}, "PATH HOME USER LOGNAME SHELL LANG LC_ALL TZ JAVA_HOME AWS_REGION https_proxy " +
			"LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_BIND_NOW"},
		"strip_loader_env_in_hooks": {EnvOptions{StripLoader: true},
			"PATH HOME USER LOGNAME SHELL LANG LC_ALL TZ JAVA_HOME AWS_REGION https_proxy LD_BIND_NOW"},
		"restrict_hook_env_to_allowlist": {EnvOptions{AllowlistOnly: true}, "PATH HOME USER LOGNAME SHELL LANG LC_ALL TZ"},
		"both":                           {EnvOptions{StripLoader: true, AllowlistOnly: true}, "PATH HOME USER LOGNAME SHELL LANG LC_ALL TZ"},
	} {
		c.options.Set = set
		var names []string
		got := Environment(base, c.options)
		for _, setting := range got[:len(got)-len(set)] {
			name, _, _ := strings.Cut(setting, "=")
			names = append(names, name)
		}
		if diff := cmp.Diff(strings.Fields(c.want), names); diff != "" {
			t.Errorf("%s: inherited (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(set, got[len(got)-len(set):]); diff != "" {
			t.Errorf("%s: set (-want +got):\n%s", name, diff)
		}
	}
	if strings.Join(base, " ") != before {
		t.Error("the agent's own environment was changed")
	}
}
