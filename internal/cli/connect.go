package cli

import (
	"bufio"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// connect returns a client of the server that the environment names: the variables that `grapnel server` prints, which the
// aws CLI and the SDKs read as well.
func connect(getenv func(string) string) (*client, error) {
	endpoint := getenv("AWS_ENDPOINT_URL")
	if endpoint == "" {
		return nil, &exitError{exitUsage, errors.New("AWS_ENDPOINT_URL is not set: it is the address of the Grapnel server; export the lines that `grapnel server` prints at its start")}
	}
	creds, err := credentialsFrom(getenv)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	transport, err := trusting(getenv("AWS_CA_BUNDLE"))
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return &client{
		endpoint: strings.TrimRight(endpoint, "/"), creds: creds, http: &http.Client{Transport: transport},
		region: cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), "us-east-1"),
	}, nil
}

// trusting returns a transport that trusts the authorities of a PEM file and no others, the system's when path is "".
func trusting(path string) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if path == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %s holds no certificate in PEM", path)
	}
	transport.TLSClientConfig.RootCAs = pool
	return transport, nil
}

// credentialsFrom returns the access key from the environment, else from the shared credentials file.
func credentialsFrom(getenv func(string) string) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
	}
	if c.AccessKeyID != "" && c.SecretAccessKey != "" {
		return c, nil
	}
	path := cmp.Or(getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(getenv("HOME"), ".aws", "credentials"))
	profile := cmp.Or(getenv("AWS_PROFILE"), "default")
	values, err := readProfile(path, profile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("credentials file: %w", err)
	}
	c = aws.Credentials{
		AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, fmt.Errorf("no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put them into the profile %s of %s", profile, path)
	}
	return c, nil
}

// readProfile returns the settings of one section of a shared credentials file.
func readProfile(path, profile string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := map[string]string{}
	within := false
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if strings.HasPrefix(line, "[") {
			within = strings.Trim(line, "[] \t") == profile
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && within {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return values, s.Err()
}
