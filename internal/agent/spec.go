package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"grapnel/internal/awsapi"
	"grapnel/internal/bundle"
)

// specification is what the service wants of this host, verified and checked (agent.md 5.2).
type specification struct {
	DeploymentID       string
	GroupID            string
	GroupName          string
	ApplicationName    string
	Creator            string
	DeploymentType     string
	AppSpecFilename    string
	FileExistsBehavior string   // of the deployment; the AppSpec's own goes before it
	PossibleEvents     []string // nil when the service did not say
	Revision           revision
}

// revision says where the bundle comes from.
type revision struct {
	Type string // S3, GitHub, Local File, Local Directory
	S3   s3Revision
}

type s3Revision struct {
	Bucket, Key   string
	BundleType    bundle.Type
	Version, ETag string
}

// String is the revision's address as people write it.
func (r s3Revision) String() string { return "s3://" + r.Bucket + "/" + r.Key }

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
	Revision                   *struct {
		RevisionType string
		S3Revision   *struct{ Bucket, Key, BundleType, Version, ETag string }
	}

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
	spec := &specification{
		DeploymentID:       shortID(w.DeploymentId),
		GroupID:            w.DeploymentGroupId,
		GroupName:          w.DeploymentGroupName,
		ApplicationName:    w.ApplicationName,
		Creator:            orElse(w.DeploymentCreator, "user"),
		DeploymentType:     orElse(w.DeploymentType, "IN_PLACE"),
		AppSpecFilename:    orElse(w.AppSpecFilename, "appspec.yml"),
		FileExistsBehavior: strings.ToUpper(orElse(w.AgentActionOverrides.AgentOverrides.FileExistsBehavior, disallow)),
		PossibleEvents:     w.AllPossibleLifecycleEvents,
	}
	for _, name := range []string{spec.DeploymentID, spec.GroupID} {
		if !isFolderName(name) {
			return nil, fmt.Errorf("%q cannot be the name of a folder", name)
		}
	}
	if !filepath.IsLocal(spec.AppSpecFilename) {
		return nil, fmt.Errorf("AppSpecFilename %q leads out of the bundle", spec.AppSpecFilename)
	}
	revision, err := w.revision()
	if err != nil {
		return nil, err
	}
	spec.Revision = revision
	return spec, nil
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

// bundleTypes are the formats of bundles in S3.
var bundleTypes = []bundle.Type{bundle.Tar, bundle.Tgz, bundle.Zip}

func (w *wireSpec) revision() (revision, error) {
	if w.Revision == nil || w.Revision.RevisionType == "" {
		return revision{}, errors.New("the specification lacks Revision, or its RevisionType")
	}
	r := revision{Type: w.Revision.RevisionType}
	switch r.Type {
	case "GitHub", "Local File", "Local Directory":
		return r, nil
	case "S3":
	default:
		return revision{}, fmt.Errorf("RevisionType %q is none of S3, GitHub, Local File and Local Directory", r.Type)
	}
	s3 := w.Revision.S3Revision
	if s3 == nil || s3.Bucket == "" || s3.Key == "" || s3.BundleType == "" {
		return revision{}, errors.New("an S3 revision needs Bucket, Key and BundleType")
	}
	r.S3 = s3Revision{Bucket: s3.Bucket, Key: s3.Key, BundleType: bundle.Type(s3.BundleType), Version: s3.Version, ETag: s3.ETag}
	if !slices.Contains(bundleTypes, r.S3.BundleType) {
		return revision{}, fmt.Errorf("BundleType %q is none of tar, tgz and zip", s3.BundleType)
	}
	return r, nil
}

// shortID takes the id out of an ARN that ends in "deployment/<id>".
func shortID(id string) string {
	if !strings.HasPrefix(id, "arn:") {
		return id
	}
	return id[strings.LastIndexAny(id, ":/")+1:]
}

func isFolderName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00\n")
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
