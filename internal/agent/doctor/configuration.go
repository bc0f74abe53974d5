package doctor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/agent"
)

func (x *examination) checkConfiguration(_ context.Context, r *Result) {
	s, err := x.setup()
	if errors.Is(err, errLate) {
		r.fail(err.Error(), "look for a file server that does not answer, below the configuration file or one that it names")
		return
	} else if err != nil {
		r.fail(err.Error(), "correct it; the agent does not start with it")
		return
	}
	if s.path == "" {
		r.saw("no file, so that defaults hold")
	} else {
		r.saw("%s", s.path)
	}
	for _, w := range s.warnings {
		r.warn(w, "correct it in "+s.path)
	}
}

// inherited are the variables that decide how the agent calls its services (agent.md 2).
var inherited = []string{
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
	"AWS_REGION", "AWS_HOST_IDENTIFIER", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_SSL_CA_BUNDLE", "AWS_SSL_CA_DIRECTORY", "SSL_CERT_FILE",
}

// checkEnvironment tells which variables of this shell count, and whether the running agent was started with others: then
// what works here may fail there. Values may hold passwords and are never told.
func checkEnvironment(_ context.Context, s setup, r *Result) {
	pid, err := agent.Status(s.Config)
	if err != nil {
		r.saw("%s", here(os.Getenv))
		return
	}
	block, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		r.saw("%s; that of the running agent cannot be seen", here(os.Getenv))
		return
	}
	its := environment(block)
	var differ []string
	for _, name := range inherited {
		if its[name] != os.Getenv(name) {
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 {
		r.saw("%s, as for the running agent", here(os.Getenv))
		return
	}
	r.warn("the running agent was started with another value of "+strings.Join(differ, ", ")+" than this shell has",
		"what is said below holds for this shell; set the same for the agent in /etc/profile.d or in its unit, and restart it")
}

func here(value func(string) string) string {
	set := slices.DeleteFunc(slices.Clone(inherited), func(name string) bool { return value(name) == "" })
	return cmp.Or(strings.Join(set, ", "), "no variable that matters is") + " set"
}

// environment reads what the kernel tells of a process: NUL after each variable.
func environment(block []byte) map[string]string {
	values := map[string]string{}
	for variable := range bytes.SplitSeq(block, []byte{0}) {
		if name, value, ok := strings.Cut(string(variable), "="); ok {
			values[name] = value
		}
	}
	return values
}

// checkOnPremisesFile looks at who may read and write the keys. What is in the file shows in the identity.
func checkOnPremisesFile(_ context.Context, s setup, r *Result) {
	path := s.OnPremisesConfigFile
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.skip("%s does not exist, so that this is an EC2 instance", path)
		return
	case err == nil:
		err = tryToRead(path)
	}
	if err != nil {
		r.cannot("read "+path, err)
		return
	}
	mode := info.Mode().Perm()
	r.saw("%s, mode %04o", path, mode)
	advice := fmt.Sprintf("chmod 600 %s; if strangers may have read it, replace the keys", path)
	if mode&0o004 != 0 {
		r.warn("everybody on this host can read the keys in it", advice)
	}
	if folder, err := os.Stat(filepath.Dir(path)); mode&0o022 != 0 || err == nil && folder.Mode().Perm()&0o002 != 0 && folder.Mode()&fs.ModeSticky == 0 {
		r.warn("others than its owner can change it, and make this host somebody else's", "chmod go-w "+filepath.Dir(path)+" "+path)
	}
}

func tryToRead(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// cannot says that something could not be looked at or done. Who is not root may lack a right that the agent has.
func (r *Result) cannot(what string, err error) {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() > 0 {
		r.warn(fmt.Sprintf("this user cannot %s", what),
			"run the doctor as the user that the agent runs as, root as a rule (sudo), to see whether that one can")
		return
	}
	r.fail(fmt.Sprintf("cannot %s: %v", what, err), "give the agent's user the right to it, or mend the file system")
}
