package scripts

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"grapnel/test/harness"
)

// diagnosis is what `codedeploy-agent doctor --json` prints.
type diagnosis struct {
	Checks []struct {
		Check, State string
		Seen, Advice []string
	}
}

// diagnose runs the doctor for a host.
func diagnose(t *testing.T, config string) diagnosis {
	t.Helper()
	doctor := harness.Start(t, "codedeploy-agent", nil, "doctor", "--json", "--config-file", config)
	doctor.ExitCode(t)
	var d diagnosis
	if err := json.Unmarshal([]byte(doctor.Output.String()), &d); err != nil {
		t.Fatalf("%v:\n%s", err, doctor.Output)
	}
	return d
}

// state returns how a check ended and what it said.
func (d diagnosis) state(check string) (state, said string) {
	for _, c := range d.Checks {
		if c.Check == check {
			return c.State, strings.Join(append(c.Seen, c.Advice...), "; ")
		}
	}
	return "", ""
}

// A registered host whose agent runs is healthy; one whose name or keys the server does not accept hears why.
func TestDoctorAgainstAServer(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	h := harness.Register(t, s, "web-1", nil)
	agent := h.Start(t)
	harness.Eventually(t, harness.Patience, "the agent to run", func() bool { return strings.Contains(agent.Output.String(), "runs as PID") })
	well := diagnose(t, h.Config)
	for _, c := range well.Checks {
		// Other tests of this machine may run stock agents, and it has the systemd, the programs and the disk that it has.
		switch c.Check {
		case "other agents", "systemd", "programs", "free space":
			continue
		}
		if state, said := well.state(c.Check); state != "ok" && (c.Check != "TLS" || state != "skipped") {
			t.Errorf("%s of a healthy host: %s (%s)", c.Check, state, said)
		}
	}

	arn, file := h.ARN, h.Dir+"/codedeploy.onpremises.yml"
	rewrite(t, file, arn, strings.Replace(arn, "web-1", "web-2", 1))
	if state, said := diagnose(t, h.Config).state("command service"); state != "failed" || !strings.Contains(said, "register-on-premises-instance") {
		t.Errorf("keys of another host: %s (%s)", state, said)
	}
	rewrite(t, file, `aws_access_key_id: "AKIA`, `aws_access_key_id: "AKIB`)
	if state, said := diagnose(t, h.Config).state("command service"); state != "failed" || !strings.Contains(said, "register this host again") {
		t.Errorf("unknown keys: %s (%s)", state, said)
	}
}

func rewrite(t *testing.T, path, old, replacement string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(data), old, replacement)
	if changed == string(data) {
		t.Fatalf("%s does not hold %q", path, old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
