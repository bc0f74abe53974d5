package doctor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/doctor"
)

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, value string
		state      doctor.State
		word       string
	}{
		{"colour", "red", doctor.Warning, "colour (line"},
		{"max_revisions", "none", doctor.Failed, "no whole number"},
		{"deploy_control_endpoint", "http://deploy.invalid", doctor.Warning, "use https"},
		{"ca_file", "/nowhere.pem", doctor.Failed, "(ca_file): open /nowhere.pem"},
		{"proxy_uri", "someone:" + proxyPassword, doctor.Failed, ": proxy_uri: this is no URL"},
	} {
		p := newPatient(t, "http://127.0.0.1:1")
		p.keys[tt.key] = tt.value
		r := p.examine(t.Context())
		r.want("configuration", tt.state, tt.word)
		if tt.state == doctor.Failed {
			r.want("folders", doctor.Skipped, "needs the configuration")
			r.want("identity", doctor.Skipped, "needs the configuration")
		}
	}
	p := newPatient(t, "http://127.0.0.1:1")
	p.dir = filepath.Join(p.dir, "on", "paper") // the file that is named is not there
	var out strings.Builder
	if exit := doctor.Main(t.Context(), doctor.Options{ConfigFile: p.dir + "/agent.yml"}, &out); exit != 1 {
		t.Errorf("exit code %d without the configuration file that was named:\n%s", exit, out.String())
	}
}

func TestOnPremisesFile(t *testing.T) {
	t.Parallel()
	p := newPatient(t, "http://127.0.0.1:1")
	file := p.dir + "/on-premises.yml"
	for _, tt := range []struct {
		mode  os.FileMode
		state doctor.State
		word  string
	}{
		{0o600, doctor.OK, "mode 0600"},
		{0o640, doctor.OK, "mode 0640"},
		{0o644, doctor.Warning, "chmod 600"},
		{0o620, doctor.Warning, "chmod go-w"},
	} {
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		p.examine(t.Context()).want("on-premises file", tt.state, tt.word)
	}
	p.write("on-premises.yml", "region: us-east-1\niam_user_arn: arn:aws:iam::123456789012:user/host-1\naws_secret_access_key: "+secretKey+"\n")
	r := p.examine(t.Context())
	r.want("identity", doctor.Failed, "aws_access_key_id is missing")
	r.want("credentials", doctor.Skipped)
	r.want("command service", doctor.Failed, "cannot be reached") // the configuration says where it is
}

func TestFolders(t *testing.T) {
	t.Parallel()
	p := newPatient(t, "http://127.0.0.1:1")
	r := p.examine(t.Context())
	r.want("folders", doctor.OK, "root_dir "+p.dir+"/root can be made")
	r.want("scripts", doctor.OK)
	if entries, err := os.ReadDir(p.dir); err != nil || len(entries) != 2 {
		t.Errorf("the doctor has left something: %v, %v", entries, err)
	}

	p.write("file", "")
	p.keys["log_dir"] = p.dir + "/file"
	p.keys["pid_dir"] = p.dir + "/file/below"
	p.examine(t.Context()).want("folders", doctor.Failed, "log_dir", "is no folder", "cannot make pid_dir", "root can be made")
}

// users.md 13: what is kept, and what a crash left behind.
func TestWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	p := newPatient(t, "http://127.0.0.1:1")
	r := p.examine(t.Context())
	r.want("revisions", doctor.OK, "0 of 0")
	r.want("leftovers", doctor.OK, "none")
	r.want("deployments", doctor.OK, "none has been installed yet")
	r.want("agent", doctor.Warning, "systemctl start")

	p.write("root/g-1/d-1/deployment-archive/app.jar", strings.Repeat("x", 3<<20))
	p.write("root/g-1/d-2/bundle.tar", "half")
	p.write("root/g-2/d-3/bundle.tar", "half")
	p.write("root/g-2/d-4/logs/scripts.log", "")
	p.write("root/deployment-instructions/g-1_last_successful_install", p.dir+"/root/g-1/d-1\n")
	p.write("root/deployment-instructions/g-1-cleanup", "")
	p.write("root/ongoing-deployment/d-3", "command-3")
	p.write("root/ongoing-deployment/.d-3.hook", "{}")
	p.write("root/deployment-logs/codedeploy-agent-deployments.log", "")
	old := p.write("root/ongoing-deployment/d-0", "command-0")
	if long := time.Now().Add(-25 * time.Hour); os.Chtimes(old, long, long) != nil {
		t.Fatal("cannot age a file")
	}
	r = p.examine(t.Context())
	r.want("revisions", doctor.OK, "4 of 2 deployment groups, 3.0 MiB", "5 of each group are kept")
	r.want("leftovers", doctor.Warning, "a lifecycle event of d-3 was interrupted", "start the agent",
		"the bundle of d-2 was never unpacked", "rm -r "+p.dir+"/root/g-1/d-2")
	r.want("deployments", doctor.OK, "group g-1: d-1, installed "+time.Now().Format("2006-"))
	for _, c := range r.Checks {
		if said := strings.Join(c.Seen, "; "); c.Check == "leftovers" && (strings.Contains(said, "of d-0") || strings.Contains(said, "bundle of d-3")) {
			t.Errorf("leftovers: %q tells of a stale record, or of a bundle that is being unpacked", said)
		}
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("the doctor has changed the host: %v", err)
	}
}

func TestFreeSpaceNamesTheMount(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	p := newPatient(t, "http://127.0.0.1:1")
	p.keys["log_dir"] = "/proc/self" // a file system without any space
	p.examine(t.Context()).want("free space", doctor.Failed, "/proc has 0 B", "max_revisions, now 5")
}

func TestSigner(t *testing.T) {
	t.Parallel()
	p := newPatient(t, "http://127.0.0.1:1")
	p.examine(t.Context()).want("signer", doctor.OK, "every signer")
	p.keys["specification_signer_sha256"] = strings.Repeat("ab", 32)
	p.examine(t.Context()).want("signer", doctor.OK, "only", strings.Repeat("ab", 32))
}

// Without a file the defaults hold, which lie outside this test's reach: only the words are looked at.
func TestDefaults(t *testing.T) {
	t.Parallel()
	if config.UsualPath() != "" {
		t.Skip("needs a host without a configuration file of an agent")
	}
	var out strings.Builder
	doctor.Main(t.Context(), doctor.Options{}, &out)
	if want := "configuration     no file, so that defaults hold"; !strings.Contains(out.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, out.String())
	}
}
