package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"grapnel/internal/agent/config"
)

// The keys of which one says how an on-premises host proves who it is (agent.md 3.1). Their value is the ARN it polls as.
const (
	userMode    = "iam_user_arn"
	sessionMode = "iam_session_arn"
)

// required are the keys that each mode needs besides its own.
var required = map[string][]string{
	userMode:    {"region", "aws_access_key_id", "aws_secret_access_key"},
	sessionMode: {"region", "aws_credentials_file"},
}

// onPremises is the content of an on-premises file by plain key.
type onPremises map[string]string

// readOnPremises reads the file. Without an error and with absent set, the file names no host, and absent says why: the
// host is then an EC2 instance.
func readOnPremises(path string) (file onPremises, absent, err error) {
	data, err := config.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("it does not exist"), nil
	case err != nil:
		return nil, fmt.Errorf("the agent cannot read it: %w", err), nil
	}
	file, err = parseOnPremises(data)
	if err != nil {
		return nil, nil, fmt.Errorf("on-premises file %s: %w", path, err)
	}
	if file.mode() == "" {
		return nil, fmt.Errorf("it has neither %s nor %s", userMode, sessionMode), nil
	}
	return file, nil, nil
}

// Named returns the ARN that an on-premises file names, "" when it names none or does not exist.
func Named(path string) (arn string, err error) {
	file, _, err := readOnPremises(path)
	return file.arn(), err
}

// parseOnPremises reads the content of the file. The last of two equal keys wins, unknown keys are passed over. A file that
// names a host is complete.
func parseOnPremises(data []byte) (onPremises, error) {
	pairs, err := config.Mapping(data)
	if err != nil {
		return nil, err
	}
	file := onPremises{}
	for _, p := range pairs {
		if !known(p.Key) {
			continue
		}
		if p.Err != nil {
			return nil, p.Err
		}
		file[p.Key] = p.Value
	}
	return file, file.check()
}

func known(key string) bool {
	return key == userMode || key == sessionMode ||
		slices.Contains(required[userMode], key) || slices.Contains(required[sessionMode], key)
}

// mode returns the key that says how the host proves who it is, "" for neither.
func (f onPremises) mode() string {
	for _, key := range []string{userMode, sessionMode} {
		if f[key] != "" {
			return key
		}
	}
	return ""
}

// arn is what the host polls as.
func (f onPremises) arn() string { return f[f.mode()] }

// check refuses a file that has half of what its mode needs, or both modes.
func (f onPremises) check() error {
	if f[userMode] != "" && f[sessionMode] != "" {
		return fmt.Errorf("%s and %s exclude each other; keep one", userMode, sessionMode)
	}
	for _, key := range required[f.mode()] {
		if f[key] == "" {
			return fmt.Errorf("%s is missing, which %s needs; add it", key, f.mode())
		}
	}
	return nil
}
