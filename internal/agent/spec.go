package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
)

// specification is what the service wants of this host, verified and checked (agent.md 5.2).
type specification struct {
	*executor.Deployment
	outputLimit int64 // bytes of scripts' output that the service wants to see while they run; 0 = none, as with AWS
}

// verifier knows which specifications this host obeys.
type verifier struct {
	hostID string
	signer string // SHA-256 of the only certificate trusted to sign, in hex; "" trusts any
}

// open verifies an envelope's signature and reads the specification in it. As in stock agents the signer's certificate is
// taken from the message and neither its chain nor its dates count (agent.md 5.1): who wants to know the signer pins it.
func (v verifier) open(e *awsapi.Envelope) (*specification, error) {
	if e == nil || awsapi.Value(e.Payload) == "" {
		return nil, errors.New("the deployment specification is empty")
	}
	if format := awsapi.Value(e.Format); format != awsapi.FormatPKCS7 {
		return nil, fmt.Errorf("the deployment specification has the format %q; this agent obeys signed ones only (%s)", format, awsapi.FormatPKCS7)
	}
	content, err := v.verify([]byte(*e.Payload))
	if err != nil {
		return nil, fmt.Errorf("the deployment specification is refused: %w", err)
	}
	spec, err := v.parse(content)
	if err != nil {
		return nil, fmt.Errorf("the deployment specification is refused: %w", err)
	}
	return spec, nil
}

func (v verifier) verify(payload []byte) ([]byte, error) {
	block, _ := pem.Decode(payload)
	if block == nil {
		return nil, errors.New("it is not a signed message in PEM form")
	}
	message, err := pkcs7.Parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("its signed message cannot be read: %w", err)
	}
	signer := message.GetOnlySigner()
	if signer == nil {
		return nil, errors.New("it must have exactly one signer and carry that one's certificate")
	}
	// The library compares a signing time with the certificate's dates, which must not count (agent.md 5.1): the
	// service's certificate may have expired.
	signer.NotBefore, signer.NotAfter = time.Time{}, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if err := message.Verify(); err != nil {
		return nil, fmt.Errorf("its signature is wrong: %w", err)
	}
	if sum := sha256.Sum256(signer.Raw); v.signer != "" && hex.EncodeToString(sum[:]) != v.signer {
		return nil, fmt.Errorf("its signer (certificate %x) is not the one pinned by specification_signer_sha256", sum)
	}
	return message.Content, nil
}

// wireSpec is the signed document (agent.md 5.2).
type wireSpec struct {
	DeploymentId, DeploymentGroupId, DeploymentGroupName, ApplicationName string
	DeploymentCreator, DeploymentType, AppSpecFilename                    string
	AgentActionOverrides                                                  struct {
		AgentOverrides struct{ FileExistsBehavior string }
	}
	AllPossibleLifecycleEvents []string
	Revision                   json.RawMessage
	GitHubAccessToken          string

	// ReuseArchiveFromDeploymentId names a deployment whose archive is the same (agent.md 10.5).
	ReuseArchiveFromDeploymentId string

	// LogStream says that the service wants to see the output of scripts while they run (awsapi.UpdateDiagnostics): a
	// Grapnel server does, AWS does not.
	LogStream struct{ MaxBytes int64 }

	// HostIdentifier and ExpiresAt bind the document to one host and one time. A Grapnel server adds them, AWS does not.
	HostIdentifier string
	ExpiresAt      *time.Time
}

func (v verifier) parse(content []byte) (*specification, error) {
	var w wireSpec
	if err := json.Unmarshal(content, &w); err != nil {
		return nil, fmt.Errorf("it is not the JSON it should be: %w", err)
	}
	if err := v.checkBinding(&w); err != nil {
		return nil, err
	}
	for _, required := range []struct{ name, value string }{
		{"DeploymentId", w.DeploymentId}, {"DeploymentGroupId", w.DeploymentGroupId},
		{"DeploymentGroupName", w.DeploymentGroupName}, {"ApplicationName", w.ApplicationName},
	} {
		if required.value == "" {
			return nil, fmt.Errorf("%s is missing", required.name)
		}
	}
	revision, err := source.ParseRevision(orEmpty(w.Revision), w.GitHubAccessToken)
	if err != nil {
		return nil, err
	}
	d := &executor.Deployment{
		ID:                 shortID(w.DeploymentId),
		GroupID:            w.DeploymentGroupId,
		GroupName:          w.DeploymentGroupName,
		ApplicationName:    w.ApplicationName,
		Creator:            cmp.Or(w.DeploymentCreator, "user"),
		Type:               cmp.Or(w.DeploymentType, "IN_PLACE"),
		AppSpecFilename:    cmp.Or(w.AppSpecFilename, "appspec.yml"),
		FileExistsBehavior: strings.ToUpper(cmp.Or(w.AgentActionOverrides.AgentOverrides.FileExistsBehavior, "DISALLOW")),
		PossibleEvents:     w.AllPossibleLifecycleEvents,
		Revision:           revision,
		ReuseArchiveFrom:   w.ReuseArchiveFromDeploymentId,
	}
	if !executor.IsFolderName(d.ID) || !executor.IsGroup(d.GroupID) {
		return nil, fmt.Errorf("%q or %q cannot be the name of a folder", d.ID, d.GroupID)
	}
	if !filepath.IsLocal(d.AppSpecFilename) {
		return nil, fmt.Errorf("AppSpecFilename %q leads out of the bundle", d.AppSpecFilename)
	}
	return &specification{d, w.LogStream.MaxBytes}, nil
}

// orEmpty makes a member that is not there one without content.
func orEmpty(document json.RawMessage) []byte {
	if document == nil {
		return []byte("{}")
	}
	return document
}

// checkBinding refuses a genuine document that was meant for another host or another time. Who pins the signer has a
// Grapnel server, which always binds, so that a document without binding is an old or a foreign one.
func (v verifier) checkBinding(w *wireSpec) error {
	pinned := v.signer != ""
	if w.HostIdentifier != v.hostID && (w.HostIdentifier != "" || pinned) {
		return fmt.Errorf("it is for the host %q, and this is %q", w.HostIdentifier, v.hostID)
	}
	if w.ExpiresAt == nil {
		if pinned {
			return errors.New("it does not say when it expires, which is required when specification_signer_sha256 is set")
		}
		return nil
	}
	if now := time.Now(); now.After(*w.ExpiresAt) {
		return fmt.Errorf("it expired at %s and this host's clock says %s",
			w.ExpiresAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// shortID takes the id out of an ARN that ends in "deployment/<id>".
func shortID(id string) string {
	if !strings.HasPrefix(id, "arn:") {
		return id
	}
	return id[strings.LastIndexAny(id, ":/")+1:]
}
