// Package identity says who this host is to the services it calls (agent.md 3): an on-premises host that names itself in a
// file, or an EC2 instance that is named by its metadata; with which keys it signs, and where the services are.
package identity

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/agent/config"
)

// Variables of the environment that say who the host is (agent.md 2). The standard variables with keys are not among them:
// stray keys of a login shell are never used.
const (
	regionVariable   = "AWS_REGION"
	hostVariable     = "AWS_HOST_IDENTIFIER"
	metadataVariable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
)

// Options are what decides who the host is and whom it calls: the configuration, and the environment.
type Options struct {
	config.Config

	Environ func(name string) string // nil = os.Getenv
	Log     *slog.Logger             // nil = silence
}

// Identity is who the host is. It does not change while the agent runs; the keys that Credentials hands out do.
type Identity struct {
	HostID     string // the ARN that the host polls as
	Region     string
	Partition  string // of ARNs, such as aws-cn
	Domain     string // of the region's services, such as amazonaws.com.cn
	OnPremises bool   // named by the on-premises file

	CommandEndpoint string // base URL of the host-command service
	S3Endpoint      string // base URL of S3 in this region; package source puts a bucket into the name or the path

	// Credentials hands out the keys that hold now. It keeps them itself and knows when they have changed: ask it before
	// each request, and put no cache of the SDK around it. It may be used concurrently.
	Credentials aws.CredentialsProvider
}

// Load finds out who this host is: from the on-premises file, from the environment, from EC2 instance metadata, in this
// order (agent.md 13). The keys of a session or of an instance's role may come later. On a host that is neither on premises nor
// on EC2 it fails within ten seconds, most often three, and says what to set.
func Load(ctx context.Context, o Options) (Identity, error) {
	if o.Environ == nil {
		o.Environ = os.Getenv
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	file, absent, err := readOnPremises(o.OnPremisesConfigFile)
	if err != nil {
		return Identity{}, err
	}
	var id Identity
	if absent == nil {
		id = o.onPremises(file)
	} else if id, err = o.instance(ctx, absent); err != nil {
		return Identity{}, err
	}
	if err := id.locate(o.Config); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// onPremises is the identity that the file gives. The file wins over the environment, as its values overwrite the
// environment of stock agents.
func (o Options) onPremises(file onPremises) Identity {
	id := Identity{HostID: file.arn(), Region: file["region"], OnPremises: true}
	if host := o.env(hostVariable); host != "" && host != id.HostID {
		o.Log.Warn("the on-premises file wins over the environment", slog.String("variable", hostVariable),
			slog.String("ignored", host), slog.String("host", id.HostID))
	}
	read := userKeys(o.OnPremisesConfigFile, id.HostID)
	if path := file["aws_credentials_file"]; file.mode() == sessionMode {
		read = sessionKeys(path)
	}
	id.Credentials = &renewing{read: read, log: o.Log}
	return id
}

// instance is the identity of an EC2 instance; absent says why the on-premises file gave none.
func (o Options) instance(ctx context.Context, absent error) (Identity, error) {
	o.Log.Info("this host takes its identity from EC2 instance metadata", slog.Any("reason", absent))
	m, err := newMetadata(cmp.Or(o.env(metadataVariable), metadataAddress), o.DisableIMDSv1, o.Log)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{
		HostID: o.env(hostVariable), Region: o.env(regionVariable),
		Credentials: &renewing{read: m.roleKeys, log: o.Log},
	}
	if id.HostID != "" && id.Region != "" {
		return id, nil
	}
	found, err := m.instance(ctx)
	if ctx.Err() != nil {
		return Identity{}, fmt.Errorf("asking EC2 instance metadata who this host is: %w", context.Cause(ctx))
	} else if err != nil {
		return Identity{}, fmt.Errorf("it is not known who this host is: outside EC2, join a Grapnel server (codedeploy-agent join URL --token TOKEN), or write region, %s, aws_access_key_id and aws_secret_access_key "+
			"into %s (%w); on EC2, turn the instance's metadata service on (%w)", userMode, o.OnPremisesConfigFile, absent, err)
	}
	id.HostID = cmp.Or(id.HostID, found.arn())
	id.Region = cmp.Or(id.Region, found.Region)
	if id.Region == found.Region {
		id.Partition, id.Domain = found.partition, found.domain
	}
	return id, nil
}

func (o Options) env(name string) string { return strings.TrimSpace(o.Environ(name)) }
