package join

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"grapnel/internal/agent/config"
)

const joinUsage = `Usage: codedeploy-agent join URL --token TOKEN [OPTIONS]

Makes this machine a host of the Grapnel server at URL: registers it, writes the agent's settings and the host's key, and
starts the agent where systemd runs it. The token is made on the server with: grapnel token create

  --token TOKEN        the token; - reads it from standard input, where other users of this machine do not see it
  --name NAME          the host's name; without it the one that the token names, else this machine's host name
  --config-file PATH   the agent's configuration file; what is in it stays. Without it the first that exists of
                       /etc/codedeploy-agent/conf/codedeployagent.yml and /opt/codedeploy-agent/conf/codedeployagent.yml
  --force              also when this machine is a host already: it becomes another one
  --insecure           allow plain http to another machine

A join that was interrupted is completed by the same command.

Exit codes: 0 this machine is a host, and the server accepts its key; 1 it failed; 2 the command line is wrong; 3 it is a
host already.
`

const rotateUsage = `Usage: codedeploy-agent rotate-key [--config-file PATH]

Gives this host a new key and has the server refuse the old one. The agent takes it up without a restart. An interrupted
rotation is completed by the same command.

Exit codes: 0 the host has a new key; 1 it failed, and a key that works is in the on-premises file; 2 the command line is
wrong.
`

// options are a command line.
type options struct {
	url, token, name string
	configFile       string // "" for the usual places
	force, insecure  bool
}

var errHelp = flag.ErrHelp

func parseJoin(args []string) (options, error) {
	var o options
	f := o.flags()
	f.StringVar(&o.token, "token", "", "")
	f.StringVar(&o.name, "name", "", "")
	f.BoolVar(&o.force, "force", false, "")
	f.BoolVar(&o.insecure, "insecure", false, "")
	rest, err := interleaved(f, args)
	switch {
	case err != nil:
		return o, err
	case len(rest) != 1:
		return o, errors.New("give the address of one server, such as https://grapnel.example:8700")
	case o.token == "":
		return o, errors.New("--token is missing; make one on the server with: grapnel token create")
	}
	o.url = rest[0]
	if o.token == "-" {
		o.token, err = readToken(os.Stdin)
	}
	return o, err
}

func parseRotate(args []string) (options, error) {
	var o options
	rest, err := interleaved(o.flags(), args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q is no option", rest[0])
	}
	return o, err
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.configFile, "config-file", "", "")
	f.StringVar(&o.configFile, "config_file", "", "")
	return f
}

// interleaved reads options that come before and after other arguments, which it returns.
func interleaved(f *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if args = f.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

func readToken(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4<<10)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("no token on standard input: %w", err)
	}
	return line, nil
}

// server reads the address of a server.
func (o options) server() (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(o.url, "/"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the address of the server: %w", err)
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.User != nil:
		return nil, fmt.Errorf("%q is no address of a server; write https://host[:port]", u.Redacted())
	case u.Scheme == "http" && !config.IsLoopback(u.Hostname()) && !o.insecure:
		return nil, fmt.Errorf("%s is plain http to another machine: the host's key and everything that is deployed could be read and changed "+
			"on the way. Use https (grapnel server --tls self-signed), or --insecure where the network is safe", u)
	}
	return u, nil
}

// fingerprint returns the SHA-256 of the certificate that a token pins: its fourth part, in base64url. A token of a server
// without TLS, or behind a public certificate, has none.
func fingerprint(token string) (sum [sha256.Size]byte, pinned bool, err error) {
	parts := strings.Split(token, ".")
	if len(parts) < 4 {
		return sum, false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil || len(raw) != len(sum) {
		return sum, false, errors.New("the token is damaged; copy it whole, as `grapnel token create` printed it")
	}
	return [sha256.Size]byte(raw), true, nil
}
