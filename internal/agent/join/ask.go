package join

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"grapnel/internal/agent/transport"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/backoff"
)

const (
	callLimit = 30 * time.Second
	tries     = 4
)

var pauses = backoff.Exponential{First: 250 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.25}

// ask sends the request to join until the server has answered it.
func (h *host) ask(ctx context.Context) (awsapi.JoinOutput, error) {
	client, err := h.client()
	if err != nil {
		return awsapi.JoinOutput{}, err
	}
	defer client.CloseIdleConnections()
	in := awsapi.JoinInput{Token: &h.token, Attempt: &h.attempt.Secret}
	if h.name != "" {
		in.InstanceName = &h.name
	}
	out, err := h.post(ctx, client, in)
	if nameless(err) && h.name == "" {
		name, hostErr := os.Hostname()
		if hostErr == nil {
			hostErr = checkName(nameFrom(name))
		}
		if hostErr != nil {
			return out, fmt.Errorf("this machine's host name makes no name for a host: %w; give one with --name", hostErr)
		}
		in.InstanceName = new(nameFrom(name))
		out, err = h.post(ctx, client, in)
	}
	if err != nil {
		return out, h.explain(err)
	}
	for form, part := range map[*regexp.Regexp]*string{
		validName: out.InstanceName, userForm: out.IamUserArn, keyForm: out.AccessKeyId, secretForm: out.SecretAccessKey,
		regionForm: out.Region, signerForm: out.SpecificationSigner,
	} {
		if !form.MatchString(awsapi.Value(part)) {
			return out, fmt.Errorf("%s answers, but not as a Grapnel server that hosts join: see that the address is right and the server up to date", h.server)
		}
	}
	return out, nil
}

// Forms of what the server answers. It becomes the agent's files, and with anything else in them no later command could read
// them.
var (
	userForm   = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:user/[!-~]+$`)
	keyForm    = regexp.MustCompile(`^[A-Za-z0-9_]{16,128}$`)
	secretForm = regexp.MustCompile(`^[!-~]+$`)
	regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	signerForm = regexp.MustCompile(`^([0-9a-f]{64})?$`)
)

// nameless reports whether a server refused a request for having no name.
func nameless(err error) bool {
	var e *awsjson.Error
	return errors.As(err, &e) && e.Name == awsapi.InstanceNameRequiredException
}

func (h *host) client() (*http.Client, error) {
	if h.pin != nil {
		return h.pin.Client(h.cfg)
	}
	return transport.New(h.cfg)
}

func (h *host) post(ctx context.Context, client *http.Client, in awsapi.JoinInput) (out awsapi.JoinOutput, err error) {
	api := awsjson.Client{Endpoint: h.server.String() + awsapi.JoinPath, HTTP: client, MaxReply: 64 << 10}
	err = h.patiently(ctx, func(ctx context.Context) error { return api.Call(ctx, awsapi.GrapnelPrefix+".Join", in, &out) })
	return out, err
}

// patiently repeats a call whose request or reply may have been lost.
func (h *host) patiently(ctx context.Context, call func(context.Context) error) error {
	for try := 1; ; try++ {
		limited, cancel := context.WithTimeout(ctx, callLimit)
		err := call(limited)
		cancel()
		if err == nil || settled(err) || try == tries || ctx.Err() != nil {
			return err
		}
		h.say("No answer yet (%v); trying again.", err)
		if backoff.Sleep(ctx, pauses.Pause(try)) != nil {
			return err
		}
	}
}

// settled reports whether the same call would fail again.
func settled(err error) bool {
	var answer *awsjson.Error
	if errors.As(err, &answer) {
		return answer.Status < http.StatusInternalServerError && !awsjson.Throttled(err)
	}
	return untrusted(err) || errors.Is(err, transport.ErrNotPinned)
}

func untrusted(err error) bool {
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

// explain adds to a failure what to do about it.
func (h *host) explain(err error) error {
	var answer *awsjson.Error
	var record tls.RecordHeaderError
	var network *net.OpError
	advice := ""
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound && answer.Name == http.StatusText(http.StatusNotFound):
		advice = "this is no Grapnel server, or one that is too old for this: see that the address is right"
	case errors.As(err, &answer) && answer.Name == http.StatusText(http.StatusBadRequest) && h.server.Scheme == "http":
		advice = "a server that speaks https answers like this; if that one does, join https://" + h.server.Host
	case errors.As(err, &answer): // the server says what to do
	case errors.Is(err, transport.ErrNotPinned):
		advice = "another server answers at " + h.server.Host + ", or something on the way reads along. See that the address is right; " +
			"after the server got another certificate authority, make a new token"
	case untrusted(err):
		advice = "this machine does not trust the server's certificate, or it is made for another name. Use the name that it is made for; name the " +
			"PEM file of its authority with ca_file in " + h.settingsFile + "; or make the token with the server's own certificate pinned (grapnel token create)"
	case errors.As(err, &record):
		advice = "the server does not speak TLS there; see whether it should be http://"
	case errors.As(err, &network):
		advice = "the server cannot be reached: see that it runs and listens on an address that this machine reaches, and look at proxies (proxy_uri) and firewalls"
	}
	if advice == "" {
		return fmt.Errorf("not joined: %w", err)
	}
	return fmt.Errorf("not joined: %w: %s", err, advice)
}
