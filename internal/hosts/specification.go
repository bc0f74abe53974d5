package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/logs"
	"grapnel/internal/store"
)

const (
	// specificationLife is how long a specification is good for. It bounds how long a stolen one can be played to its host;
	// an agent fetches it anew for every command.
	specificationLife = 24 * time.Hour
	// resignBefore is how long before its end a specification is no longer given out.
	resignBefore = time.Hour
	// maxSpecs bounds the memory of the cache, at about 3 KB each.
	maxSpecs = 20_000
	// maxLoaded bounds the memory of deployments kept to make specifications of.
	maxLoaded = 64
)

// GetDeploymentSpecification answers with the signed specification of a deployment. AllPossibleLifecycleEvents is left out: no deployment has custom events
// yet, and stock agents up to 1.8.1 fail at it (agent.md 17).
func (s *Service) GetDeploymentSpecification(ctx context.Context, caller Caller, in *awsapi.GetDeploymentSpecificationInput) (*awsapi.GetDeploymentSpecificationOutput, error) {
	if err := caller.is(in.HostIdentifier); err != nil {
		return nil, err
	}
	id, err := s.deploymentID(in.DeploymentExecutionId, caller)
	if err != nil {
		return nil, err
	}
	payload, err := s.specs.get(ctx, specKey{id, caller}, time.Now())
	if err != nil {
		return nil, err
	}
	return &awsapi.GetDeploymentSpecificationOutput{
		DeploymentSystem: new("CodeDeploy"), // agents insist on it (agent.md 4.4)
		DeploymentSpecification: &awsapi.DeploymentSpecification{
			GenericEnvelope: &awsapi.Envelope{Format: new(awsapi.FormatPKCS7), Payload: &payload},
		},
	}, nil
}

// specs signs specifications and keeps them: the seven commands of a deployment ask for the same one.
type specs struct {
	store  Store
	signer *Signer
	sealer Sealer
	output bool // of scripts is wanted while they run

	mu   sync.Mutex
	kept map[specKey]spec

	loading sync.Mutex                  // held while a deployment is loaded, so that a thousand hosts load it once
	loaded  map[string]store.Deployment // as they were created: what moves in them is out of date
}

type specKey struct {
	deployment string
	caller     Caller
}

type spec struct {
	payload string
	expires time.Time
}

func newSpecs(o Options) *specs {
	return &specs{
		store: o.Store, signer: o.Signer, sealer: o.Sealer, output: o.Logs != nil,
		kept: map[specKey]spec{}, loaded: map[string]store.Deployment{},
	}
}

// get returns the signed specification of a deployment for one of its hosts. A deployment is frozen, so a kept one stays
// right; but for one from GitHub, whose token may be replaced or deleted at any time.
func (s *specs) get(ctx context.Context, key specKey, now time.Time) (string, error) {
	s.mu.Lock()
	kept, ok := s.kept[key]
	s.mu.Unlock()
	if ok && now.Before(kept.expires.Add(-resignBefore)) {
		return kept.payload, nil
	}
	d, err := s.deployment(ctx, key.deployment)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if err != nil || !hasTarget(d, key.caller.Name) {
		return "", refused("host %s is not a target of deployment %s; it may have been deleted", key.caller.Name, key.deployment)
	}
	token, err := s.gitHubToken(ctx, d)
	if err != nil {
		return "", err
	}
	made, err := s.sign(d, key.caller, token, now)
	if err != nil {
		return "", fmt.Errorf("specification of deployment %s: %w", key.deployment, err)
	}
	if awsapi.Value(d.Info.Revision).GitHubLocation != nil {
		return made.payload, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxSpecs {
		clear(s.kept) // signing again is cheap, and most of these belong to deployments that have ended
	}
	s.kept[key] = made
	return made.payload, nil
}

func (s *specs) deployment(ctx context.Context, id string) (store.Deployment, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if d, ok := s.loaded[id]; ok {
		return d, nil
	}
	d, err := s.store.Deployment(ctx, id)
	if err != nil {
		return d, err
	}
	if len(s.loaded) >= maxLoaded {
		clear(s.loaded)
	}
	s.loaded[id] = d
	return d, nil
}

func hasTarget(d store.Deployment, name string) bool {
	return slices.ContainsFunc(d.Plan.Phases, func(p deploy.Phase) bool { return slices.Contains(p.Targets, name) })
}

// gitHubToken returns the token with which a deployment from GitHub fetches its bundle; "" when its application is not
// connected, and for others.
func (s *specs) gitHubToken(ctx context.Context, d store.Deployment) (string, error) {
	if awsapi.Value(d.Info.Revision).GitHubLocation == nil {
		return "", nil
	}
	token, err := s.store.GroupGitHubToken(ctx, d.GroupID)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := s.sealer.Open(token.SealName(), token.Sealed)
	return string(text), err
}

func (s *specs) sign(d store.Deployment, caller Caller, gitHubToken string, now time.Time) (spec, error) {
	expires := now.Add(specificationLife).UTC().Truncate(time.Second)
	document, err := newDocument(d, caller, expires)
	if err != nil {
		return spec{}, err
	}
	document.authenticate(gitHubToken)
	if s.output {
		document.LogStream = &logStream{MaxBytes: logs.MaxEvent}
	}
	content, err := json.Marshal(document)
	if err != nil {
		return spec{}, err
	}
	payload, err := s.signer.Sign(content)
	if err != nil {
		return spec{}, err
	}
	if len(payload) > awsapi.MaxEnvelopePayload {
		return spec{}, refused("the specification of deployment %s has %d bytes when it is signed and may have %d; "+
			"deploy from a bucket and key with shorter names", *d.Info.DeploymentId, len(payload), awsapi.MaxEnvelopePayload)
	}
	return spec{payload, expires}, nil
}

// document is the signed JSON (agent.md 5.2). HostIdentifier, ExpiresAt and LogStream are Grapnel's own, and stock agents
// ignore them. The first two bind it to one host and one time; the last asks for the output of scripts while they run
// (awsapi.UpdateDiagnostics).
type document struct {
	DeploymentId         string
	DeploymentGroupId    string
	DeploymentGroupName  string
	ApplicationName      string
	DeploymentCreator    string
	DeploymentType       string
	AgentActionOverrides actionOverrides
	Revision             revision
	GitHubAccessToken    string `json:",omitzero"`
	// ReuseArchiveFromDeploymentId names the deployment whose archive on the host is the revision (agent.md 10.5).
	ReuseArchiveFromDeploymentId string `json:",omitzero"`
	HostIdentifier               string
	ExpiresAt                    time.Time
	LogStream                    *logStream `json:",omitzero"`
}

// logStream says how many bytes of updates one command may send.
type logStream struct{ MaxBytes int64 }

type actionOverrides struct{ AgentOverrides agentOverrides }

type agentOverrides struct{ FileExistsBehavior string }

// revision has one of its two locations.
type revision struct {
	RevisionType   string
	S3Revision     *s3Revision     `json:",omitzero"`
	GitHubRevision *gitHubRevision `json:",omitzero"`
}

type s3Revision struct {
	Bucket, Key, BundleType string
	Version                 string `json:",omitzero"`
	ETag                    string `json:",omitzero"`
}

type gitHubRevision struct {
	Account, Repository, CommitId string
	Anonymous                     bool
	OAuthToken                    string `json:",omitzero"`
}

// authenticate lets the agent fetch from GitHub with a token, unless it is "". It stands in both places where agents of
// different age look for it (agent.md 5.2).
func (d *document) authenticate(token string) {
	if g := d.Revision.GitHubRevision; g != nil && token != "" {
		d.GitHubAccessToken, g.OAuthToken, g.Anonymous = token, token, false
	}
}

func newDocument(d store.Deployment, caller Caller, expires time.Time) (document, error) {
	revision, err := newRevision(awsapi.Value(d.Info.Revision))
	if err != nil {
		return document{}, err
	}
	doc := document{
		DeploymentId:        awsapi.Value(d.Info.DeploymentId),
		DeploymentGroupId:   d.GroupID,
		DeploymentGroupName: awsapi.Value(d.Info.DeploymentGroupName),
		ApplicationName:     awsapi.Value(d.Info.ApplicationName),
		DeploymentCreator:   string(d.Info.Creator),
		DeploymentType:      string(awsapi.Value(d.Info.DeploymentStyle).DeploymentType),
		Revision:            revision,
		HostIdentifier:      caller.ARN,
		ExpiresAt:           expires,
	}
	if d.Info.DeploymentMode == awsapi.DeploymentModeRestart {
		doc.ReuseArchiveFromDeploymentId = d.Facts.LastGood
	}
	if doc.DeploymentType == "" {
		doc.DeploymentType = string(awsapi.DeploymentTypeInPlace)
	}
	doc.AgentActionOverrides.AgentOverrides.FileExistsBehavior = string(d.Info.FileExistsBehavior)
	if d.Info.FileExistsBehavior == "" {
		doc.AgentActionOverrides.AgentOverrides.FileExistsBehavior = string(awsapi.FileExistsBehaviorDisallow)
	}
	return doc, nil
}

func newRevision(r awsapi.RevisionLocation) (revision, error) {
	switch {
	case r.S3Location != nil:
		s3 := r.S3Location
		return revision{RevisionType: "S3", S3Revision: &s3Revision{
			Bucket: awsapi.Value(s3.Bucket), Key: awsapi.Value(s3.Key), BundleType: string(s3.BundleType),
			Version: awsapi.Value(s3.Version), ETag: awsapi.Value(s3.ETag),
		}}, nil
	case r.GitHubLocation != nil:
		account, repository, _ := strings.Cut(awsapi.Value(r.GitHubLocation.Repository), "/")
		return revision{RevisionType: "GitHub", GitHubRevision: &gitHubRevision{
			Account: account, Repository: repository, CommitId: awsapi.Value(r.GitHubLocation.CommitId), Anonymous: true,
		}}, nil
	}
	return revision{}, refused("the revision of type %q is none that a host can fetch; it must be in S3 or on GitHub", r.RevisionType)
}
