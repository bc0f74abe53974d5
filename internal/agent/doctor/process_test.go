package doctor

import "testing"

// Titles are those of agent.md 12.
func TestStockAgents(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]bool{
		"codedeploy-agent: master 4711": true,
		"codedeploy-agent: InstanceAgent::Plugins::CodeDeployPlugin::CommandPoller of master 4711": true,
		"/opt/codedeploy-agent/bin/codedeploy-agent _worker --config-file x":                       true,
		"/opt/codedeploy-agent/bin/codedeploy-agent start":                                         false,
		"vi codedeploy-agent: master":                                                              false,
		"codedeploy-agent":                                                                         false,
	} {
		if got := (process{1, title}).isStock(); got != want {
			t.Errorf("%q is stock: %v, want %v", title, got, want)
		}
	}
	if own := processes(); len(own) > 0 && own[0].title == "" {
		t.Errorf("processes: %+v", own)
	}
}

// Values of variables may hold passwords: only names are told.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	values := environment([]byte("HTTPS_PROXY=http://u:p=1@proxy\x00AWS_REGION=\x00HOME=/root\x00"))
	if got, want := values["HTTPS_PROXY"], "http://u:p=1@proxy"; got != want {
		t.Errorf("HTTPS_PROXY is %q, want %q", got, want)
	}
	if got, want := here(func(name string) string { return values[name] }), "HTTPS_PROXY set"; got != want {
		t.Errorf("here: %q, want %q", got, want)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sum  summary
		want string
	}{
		{summary{OK: 14, Warnings: 1, Failed: 2}, "14 ok, 1 warning, 2 failed"},
		{summary{Warnings: 2, Skipped: 1}, "0 ok, 2 warnings, 1 skipped"},
	} {
		if got := tt.sum.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.sum, got, tt.want)
		}
	}
}

// A server's words cannot draw lines of their own into the table.
func TestOneLine(t *testing.T) {
	t.Parallel()
	if got, want := oneLine("no\nok    forged\x1b[2J"), "no ok    forged [2J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
