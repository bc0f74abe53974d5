package join

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/transport"
	"grapnel/internal/atomicfile"
	"grapnel/internal/filelock"
)

// host is this machine, and what it is about to be.
type host struct {
	options
	server       *url.URL
	pin          *transport.Pin // nil: the usual authorities
	cfg          config.Config  // before the join
	settingsFile string
	identityFile string
	lock         io.Closer
	attempt      attempt
	out          io.Writer
}

// errNamed says that this machine is a host already.
var errNamed = errors.New("this machine is a host already")

// prepare checks everything that can be checked without the server, takes the lock, and keeps the attempt. Nothing else is
// changed.
func prepare(o options, out io.Writer) (*host, error) {
	h := &host{options: o, out: out}
	var err error
	if h.server, err = o.server(); err != nil {
		return nil, err
	}
	if err := checkName(o.name); o.name != "" && err != nil {
		return nil, err
	}
	sum, pinned, err := fingerprint(o.token)
	if err != nil {
		return nil, err
	}
	if pinned && h.server.Scheme == "http" {
		return nil, fmt.Errorf("the token is from a server that speaks https: join https://%s", h.server.Host)
	}
	if pinned {
		h.pin = transport.NewPin(h.server.Hostname(), sum)
	}
	if err := h.locate(); err != nil {
		return nil, err
	}
	if err := h.checkFiles(); err != nil {
		return nil, err
	}
	if h.lock, err = h.acquire(); err != nil {
		return nil, err
	}
	if err := h.keepAttempt(); err != nil {
		return nil, errors.Join(err, h.lock.Close())
	}
	return h, nil
}

// locate finds the files, and reads the settings if there are any.
func (h *host) locate() error {
	path, err := filepath.Abs(cmp.Or(h.configFile, config.UsualPath(), config.FirstPath))
	if err != nil {
		return err
	}
	h.settingsFile, h.cfg = path, config.Default()
	if _, err := behind(path); err != nil {
		return err
	}
	switch _, err := os.Stat(path); {
	case err == nil:
		if h.cfg, _, err = config.Load(path); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	h.identityFile, err = filepath.Abs(h.cfg.OnPremisesConfigFile)
	return err
}

// checkFiles sees whether everything that will be written can be, before a token is used up for nothing.
func (h *host) checkFiles() error {
	dirs := []string{filepath.Dir(h.settingsFile), filepath.Dir(h.identityFile), h.cfg.RootDir, h.cfg.LogDir, h.cfg.PIDDir}
	for _, path := range []string{h.settingsFile, h.identityFile} {
		target, err := behind(path)
		if err != nil {
			return err
		}
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, dir := range dirs {
		if err := writable(dir); err != nil {
			return fmt.Errorf("%w; run this as the user that the agent runs as, root as a rule (sudo), or name folders of your own with "+
				"root_dir, log_dir, pid_dir and on_premises_config_file in %s", err, h.settingsFile)
		}
	}
	if _, err := h.settings(""); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(h.settingsFile), filepath.Dir(h.identityFile)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// writable sees whether files can be made in a folder, or the folder itself where it will be.
func writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && parent != dir:
			dir = parent
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is not a folder", dir)
		}
		f, err := os.CreateTemp(dir, ".join.*.tmp")
		if err != nil {
			return fmt.Errorf("cannot write to %s: %w", dir, err)
		}
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
}

// acquire keeps two joins or rotations from mixing the keys that they get, and removes what one that was killed left
// half-written. The user of the agent may take the lock as well, to rotate the key without root.
func (h *host) acquire() (io.Closer, error) {
	path := h.identityFile + ".lock"
	f, err := filelock.Acquire(path, 0o600)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, errors.New("another join or rotate-key is under way on this machine; wait for its end")
	} else if err != nil {
		return nil, err
	}
	target, err := behind(h.identityFile)
	if err == nil {
		err = errors.Join(giveTo(h.cfg.RootDir, path), atomicfile.Sweep(h.attemptFile()), atomicfile.Sweep(target+".new"))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// attempt is what makes a repeated request the same one.
type attempt struct {
	Server string `json:"server"`
	Token  string `json:"token"` // its SHA-256: this file proves which token it was, and is none itself
	Secret string `json:"attempt"`
	// Host is the ARN that the answer gave, kept before the identity is written. Once the identity names it, the answer need not
	// be asked for again, which the server may refuse: after the token's end, or when the key was renewed.
	Host string `json:"host,omitzero"`
}

func (h *host) attemptFile() string { return h.identityFile + ".joining" }

// keepAttempt goes on with the attempt that an interrupted join left, else makes one that survives this program.
func (h *host) keepAttempt() error {
	sum := sha256.Sum256([]byte(h.token))
	h.attempt = attempt{Server: h.server.String(), Token: hex.EncodeToString(sum[:])}
	var left attempt
	if data, err := config.ReadFile(h.attemptFile()); err == nil && json.Unmarshal(data, &left) == nil && left.Secret != "" {
		if left.Server == h.attempt.Server && left.Token == h.attempt.Token {
			h.attempt = left
			h.say("Going on with the join that was interrupted.")
			return nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	arn, err := identity.Named(h.identityFile)
	if err != nil && !h.force {
		return fmt.Errorf("%w; mend it, or replace it with --force", err)
	}
	if arn != "" && !h.force {
		return fmt.Errorf("%w: %s, in %s. With --force it becomes another one; its new key: codedeploy-agent rotate-key", errNamed, arn, h.identityFile)
	}
	h.attempt.Secret = rand.Text()
	return h.writeAttempt()
}

func (h *host) writeAttempt() error {
	data, err := json.Marshal(h.attempt)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(h.attemptFile(), data, 0o600)
}

func (h *host) forgetAttempt() error { return os.Remove(h.attemptFile()) }

func (h *host) say(format string, args ...any) { fmt.Fprintf(h.out, format+"\n", args...) }

var (
	validName   = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	invalidRune = regexp.MustCompile(`[^A-Za-z0-9+=,.@_-]+`)
)

// maxName is the longest name of a user of IAM, which a host that joins is given (service.md 9).
const maxName = 64

// checkName refuses what the server would (service.md 2.1).
func checkName(name string) error {
	if !validName.MatchString(name) || len(name) > 1 && name[:2] == "i-" {
		return fmt.Errorf("%q is no name for a host: 1 to 64 letters, digits and + = , . @ _ -, and not i- at the beginning, as EC2 instances have it", name)
	}
	return nil
}

// nameFrom makes a name for the host of this machine's name.
func nameFrom(hostname string) string {
	name := invalidRune.ReplaceAllString(hostname, "-")
	if len(name) > 1 && name[:2] == "i-" {
		name = "host-" + name
	}
	return name[:min(len(name), maxName)]
}
