package join

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/transport"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// Rotate runs one command line of rotate-key, without its name, and returns the exit code: 0 when the host has a new key and
// the old one is refused, 1 for a failure, 2 for a command line that makes no sense.
func Rotate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseRotate(args)
	return finish(rotateUsage, err, stdout, stderr, func() error { return rotate(ctx, o, stdout) })
}

func rotate(ctx context.Context, o options, out io.Writer) error {
	h := &host{options: o, out: out}
	if err := h.locate(); err != nil {
		return err
	}
	id, err := h.identity(ctx)
	if err != nil {
		return err
	}
	held, err := h.acquire()
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := h.withKey("new", "new"); err != nil { // before the server is asked for a key that could not be kept
		return err
	}
	client, err := transport.New(h.cfg)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	var made awsapi.RotateHostKeyOutput
	if err := h.callRotate(ctx, client, id, &awsapi.RotateHostKeyInput{}, &made); err != nil {
		return fmt.Errorf("the host keeps its key: %w", err)
	}
	if err := h.replaceKey(made); err != nil {
		return fmt.Errorf("the host keeps its key, because the new one cannot be written: %w", err)
	}
	// The keys are read from the file: what the server is told to accept alone is what the agent has.
	if id, err = h.identity(ctx); err == nil {
		err = h.callRotate(ctx, client, id, &awsapi.RotateHostKeyInput{Retire: aws.Bool(true)}, nil)
	}
	if err != nil {
		return fmt.Errorf("the new key %s is in use, but the old one is still accepted: run the same command again (%w)", awsapi.Value(made.AccessKeyId), err)
	}
	h.say("This host has the new key %s, in %s. The old one is refused from now on; an agent that runs needs no restart.", awsapi.Value(made.AccessKeyId), h.identityFile)
	return nil
}

// identity is who this host is to a Grapnel server, with a key that the server can renew.
func (h *host) identity(ctx context.Context) (identity.Identity, error) {
	arn, err := identity.Named(h.identityFile)
	if err != nil {
		return identity.Identity{}, err
	}
	if arn == "" {
		return identity.Identity{}, fmt.Errorf("%s names no host; join a server first: codedeploy-agent join URL --token TOKEN", h.identityFile)
	}
	if h.cfg.DeployControlEndpoint == "" {
		return identity.Identity{}, errors.New("this host belongs to AWS (there is no deploy_control_endpoint), which renews keys through IAM: aws iam create-access-key")
	}
	return identity.Load(ctx, identity.Options{Config: h.cfg})
}

func (h *host) callRotate(ctx context.Context, client *http.Client, id identity.Identity, in *awsapi.RotateHostKeyInput, out any) error {
	api := awsjson.Client{Endpoint: id.CommandEndpoint, HTTP: client, Sign: id.Signer(awsapi.GrapnelService), MaxReply: 64 << 10}
	return h.patiently(ctx, func(ctx context.Context) error { return api.Call(ctx, awsapi.GrapnelPrefix+".RotateHostKey", in, out) })
}

func (h *host) replaceKey(made awsapi.RotateHostKeyOutput) error {
	id, secret := awsapi.Value(made.AccessKeyId), awsapi.Value(made.SecretAccessKey)
	if !keyForm.MatchString(id) || !secretForm.MatchString(secret) {
		return errors.New("the server sent none that could be one")
	}
	file, err := h.withKey(id, secret)
	if err != nil {
		return err
	}
	return replace(h.identityFile, file, 0o600, h.identityFile)
}

// withKey returns the on-premises file with another key.
func (h *host) withKey(id, secret string) ([]byte, error) {
	data, err := config.ReadFile(h.identityFile)
	if err != nil {
		return nil, err
	}
	file, err := config.Set(data, map[string]string{"aws_access_key_id": id, "aws_secret_access_key": secret}, "Set by codedeploy-agent rotate-key:")
	if err != nil {
		return nil, fmt.Errorf("on-premises file %s: %w", h.identityFile, err)
	}
	return file, nil
}
