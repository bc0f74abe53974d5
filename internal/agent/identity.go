package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Identity is who the agent is to the services it calls (agent.md 3.1).
type Identity struct {
	HostID      string // the ARN it polls as
	Region      string
	Credentials aws.CredentialsProvider
}

// LoadIdentity reads the on-premises file. Credentials are read from disk again whenever they are needed, so that rotated
// keys hold from the next request on.
func LoadIdentity(onPremisesFile string) (Identity, error) {
	file, err := readOnPremises(onPremisesFile)
	if err != nil {
		return Identity{}, err
	}
	if file.mode() == "" {
		return Identity{}, fmt.Errorf("%s names no host: set region and either iam_user_arn or iam_session_arn there. "+
			"Identity from EC2 instance metadata comes with the next version of this agent", onPremisesFile)
	}
	if err := file.complete(); err != nil {
		return Identity{}, fmt.Errorf("on-premises file %s: %w", onPremisesFile, err)
	}
	id := Identity{HostID: file["iam_user_arn"], Region: file["region"]}
	id.Credentials = credentialsFunc(func() (aws.Credentials, error) { return userKeys(onPremisesFile) })
	if file.mode() == "iam_session_arn" {
		id.HostID = file["iam_session_arn"]
		id.Credentials = credentialsFunc(func() (aws.Credentials, error) { return sessionKeys(file["aws_credentials_file"]) })
	}
	if host := os.Getenv("AWS_HOST_IDENTIFIER"); host != "" {
		id.HostID = host
	}
	return id, nil
}

// credentialsFunc reads credentials anew for each request.
type credentialsFunc func() (aws.Credentials, error)

// Retrieve returns what the files say now.
func (f credentialsFunc) Retrieve(context.Context) (aws.Credentials, error) { return f() }

// onPremises is the content of an on-premises file by plain key.
type onPremises map[string]string

// readOnPremises returns an empty file when there is none that can be read: the host is then an EC2 instance.
func readOnPremises(path string) (onPremises, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("on-premises file: %w", err)
	}
	pairs, err := mapping(data)
	if err != nil {
		return nil, fmt.Errorf("on-premises file %s: %w", path, err)
	}
	file := onPremises{}
	for _, p := range pairs {
		file[p.key] = p.value
	}
	return file, nil
}

// mode returns the key that says how the host proves who it is, "" for neither.
func (o onPremises) mode() string {
	for _, key := range []string{"iam_user_arn", "iam_session_arn"} {
		if o[key] != "" {
			return key
		}
	}
	return ""
}

// complete refuses a file that has half of what its mode needs.
func (o onPremises) complete() error {
	if o["iam_user_arn"] != "" && o["iam_session_arn"] != "" {
		return errors.New("iam_user_arn and iam_session_arn exclude each other; keep one")
	}
	required := []string{"region", "aws_access_key_id", "aws_secret_access_key"}
	if o.mode() == "iam_session_arn" {
		required = []string{"region", "aws_credentials_file"}
	}
	for _, key := range required {
		if o[key] == "" {
			return fmt.Errorf("%s is missing, which %s needs", key, o.mode())
		}
	}
	return nil
}

func userKeys(path string) (aws.Credentials, error) {
	file, err := readOnPremises(path)
	if err != nil {
		return aws.Credentials{}, err
	}
	if file["aws_access_key_id"] == "" || file["aws_secret_access_key"] == "" {
		return aws.Credentials{}, fmt.Errorf("on-premises file %s holds no access key any more", path)
	}
	return aws.Credentials{
		AccessKeyID: file["aws_access_key_id"], SecretAccessKey: file["aws_secret_access_key"], Source: path,
	}, nil
}

// sessionKeys reads the default profile of an AWS credentials file.
func sessionKeys(path string) (aws.Credentials, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("aws_credentials_file: %w", err)
	}
	profile := iniSection(data, "default")
	c := aws.Credentials{
		AccessKeyID:     profile["aws_access_key_id"],
		SecretAccessKey: profile["aws_secret_access_key"],
		SessionToken:    profile["aws_session_token"],
		Source:          path,
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return aws.Credentials{}, fmt.Errorf("aws_credentials_file %s has no [default] profile with aws_access_key_id and aws_secret_access_key", path)
	}
	return c, nil
}

func iniSection(data []byte, name string) map[string]string {
	values := map[string]string{}
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if section, ok := strings.CutPrefix(line, "["); ok {
			inside = strings.TrimSpace(strings.TrimSuffix(section, "]")) == name
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if inside && ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return values
}
