package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
	"grapnel/internal/bundle"
)

func s3Doc() specDoc {
	return specDoc{
		"DeploymentId": "d-1", "DeploymentGroupId": "g", "DeploymentGroupName": "web", "ApplicationName": "shop", "ApplicationId": "ignored",
		"Revision": map[string]any{"RevisionType": "S3", "S3Revision": map[string]any{"Bucket": "b", "Key": "k", "BundleType": "tgz"}},
		"Surprise": map[string]any{"of": "the future"},
	}
}

func (d specDoc) json(t testing.TB) []byte {
	t.Helper()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Stock specifications name neither a host nor an expiry, their signer's certificate signs itself and may have expired, and
// what is not known in them does not matter.
//
// agent.md 16: 97-99
func TestStockSpecification(t *testing.T) {
	t.Parallel()
	key := newSigningKey(t)
	doc := s3Doc().with("DeploymentId", "arn:aws:codedeploy:us-east-1:123456789012:deployment/d-1")
	got, err := verifier{hostID: testHost}.open(key.sign(t, doc.json(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := &executor.Deployment{
		ID: "d-1", GroupID: "g", GroupName: "web", ApplicationName: "shop", Creator: "user", Type: "IN_PLACE",
		AppSpecFilename: "appspec.yml", FileExistsBehavior: "DISALLOW",
		Revision: source.Revision{S3: &source.S3{Bucket: "b", Key: "k", Type: bundle.Tgz}},
	}
	if diff := cmp.Diff(want, got.Deployment); diff != "" {
		t.Errorf("specification (-want +got):\n%s", diff)
	}
}

// What a specification may say, and what it means when it does not.
//
// agent.md 16: 105-109
func TestOptionalMembersOfASpecification(t *testing.T) {
	t.Parallel()
	key := newSigningKey(t)
	overrides := func(o any) specDoc { return specDoc{"AgentActionOverrides": o} }
	behavior := func(b any) specDoc {
		return overrides(map[string]any{"AgentOverrides": map[string]any{"FileExistsBehavior": b}})
	}
	for name, test := range map[string]struct {
		members specDoc
		want    func(*executor.Deployment)
	}{
		"no overrides":              {overrides(nil), nil},
		"empty overrides":           {overrides(map[string]any{}), nil},
		"no agent overrides":        {overrides(map[string]any{"AgentOverrides": nil}), nil},
		"empty agent overrides":     {overrides(map[string]any{"AgentOverrides": map[string]any{}}), nil},
		"no behaviour":              {behavior(nil), nil},
		"empty behaviour":           {behavior(""), nil},
		"behaviour":                 {behavior("OVERWRITE"), func(d *executor.Deployment) { d.FileExistsBehavior = "OVERWRITE" }},
		"behaviour in small":        {behavior("retain"), func(d *executor.Deployment) { d.FileExistsBehavior = "RETAIN" }},
		"behaviour in any letters":  {behavior("OverWrite"), func(d *executor.Deployment) { d.FileExistsBehavior = "OVERWRITE" }},
		"AppSpec file":              {specDoc{"AppSpecFilename": "ops/deploy.yml"}, func(d *executor.Deployment) { d.AppSpecFilename = "ops/deploy.yml" }},
		"empty name of the AppSpec": {specDoc{"AppSpecFilename": ""}, nil},
		"no events":                 {specDoc{"AllPossibleLifecycleEvents": nil}, nil},
		"events":                    {specDoc{"AllPossibleLifecycleEvents": []string{"Install", "WarmUp"}}, func(d *executor.Deployment) { d.PossibleEvents = []string{"Install", "WarmUp"} }},
		"token for GitHub": {
			specDoc{"GitHubAccessToken": "hush", "Revision": map[string]any{"RevisionType": "GitHub", "GitHubRevision": map[string]any{"Account": "a", "Repository": "r", "CommitId": "c"}}},
			func(d *executor.Deployment) {
				d.Revision = source.Revision{GitHub: &source.GitHub{Account: "a", Repository: "r", Commit: "c", Token: "hush"}}
			},
		},
		"creator and type": {specDoc{"DeploymentCreator": "codeDeployRollback", "DeploymentType": "BLUE_GREEN"},
			func(d *executor.Deployment) { d.Creator, d.Type = "codeDeployRollback", "BLUE_GREEN" }},
	} {
		want := &executor.Deployment{
			ID: "d-1", GroupID: "g", GroupName: "web", ApplicationName: "shop", Creator: "user", Type: "IN_PLACE",
			AppSpecFilename: "appspec.yml", FileExistsBehavior: "DISALLOW",
			Revision: source.Revision{S3: &source.S3{Bucket: "b", Key: "k", Type: bundle.Tgz}},
		}
		if test.want != nil {
			test.want(want)
		}
		doc := s3Doc()
		maps.Copy(doc, test.members)
		got, err := verifier{hostID: testHost}.open(key.sign(t, doc.json(t)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got.Deployment); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// agent.md 17: 2
func TestPinnedSigner(t *testing.T) {
	t.Parallel()
	key, other := newSigningKey(t), newSigningKey(t)
	v := verifier{hostID: testHost, signer: key.fingerprint()}
	bound := s3Doc().with("HostIdentifier", testHost).with("ExpiresAt", time.Now().Add(time.Minute).Format(time.RFC3339))
	if _, err := v.open(key.sign(t, bound.json(t))); err != nil {
		t.Errorf("the pinned signer is refused: %v", err)
	}
	for _, test := range []struct {
		name     string
		envelope *awsapi.Envelope
		want     string
	}{
		{"another signer", other.sign(t, bound.json(t)), "not the one pinned by specification_signer_sha256"},
		{"no host", key.sign(t, bound.with("HostIdentifier", nil).json(t)), `it is for the host ""`},
		{"no expiry", key.sign(t, bound.with("ExpiresAt", nil).json(t)), "does not say when it expires"},
	} {
		if _, err := v.open(test.envelope); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want %q", test.name, err, test.want)
		}
	}
}

// agent.md 16: 92-96, 100-104
func TestRefusedSpecifications(t *testing.T) {
	t.Parallel()
	key := newSigningKey(t)
	good := key.sign(t, s3Doc().json(t))
	tests := []struct {
		name     string
		envelope *awsapi.Envelope
		want     string
	}{
		{"nil", nil, "is empty"},
		{"empty", &awsapi.Envelope{Format: aws.String(awsapi.FormatPKCS7), Payload: aws.String("")}, "is empty"},
		{"no format", &awsapi.Envelope{Payload: good.Payload}, `has the format ""`},
		{"unknown format", &awsapi.Envelope{Format: aws.String("PKCS8/JSON"), Payload: good.Payload}, `has the format "PKCS8/JSON"`},
		{"plain", &awsapi.Envelope{Format: aws.String(awsapi.FormatText), Payload: aws.String("{}")}, `has the format "TEXT/JSON"`},
		{"plain in disguise", &awsapi.Envelope{Format: aws.String(awsapi.FormatPKCS7), Payload: aws.String(string(s3Doc().json(t)))}, "not a signed message"},
		{"garbage in PEM", &awsapi.Envelope{Format: aws.String(awsapi.FormatPKCS7), Payload: aws.String(string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte("garbage")})))}, "cannot be read"},
		{"tampered", tampered(t, good, "shop", "shot"), "its signature is wrong"},
		{"for another host", key.sign(t, s3Doc().with("HostIdentifier", testHost+"0").json(t)), "it is for the host"},
		{"expired", key.sign(t, s3Doc().with("ExpiresAt", time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano)).json(t)), "it expired at"},
		{"not JSON", key.sign(t, []byte("{")), "not the JSON"},
		{"a list", key.sign(t, []byte("[]")), "not the JSON"},
		{"folder names", key.sign(t, s3Doc().with("DeploymentGroupId", "../../etc").json(t)), "cannot be the name of a folder"},
		{"a folder of the agent", key.sign(t, s3Doc().with("DeploymentGroupId", "deployment-instructions").json(t)), "cannot be the name of a folder"},
		{"AppSpec elsewhere", key.sign(t, s3Doc().with("AppSpecFilename", "../appspec.yml").json(t)), "leads out of the bundle"},
		{"revision type", key.sign(t, s3Doc().with("Revision", map[string]any{"RevisionType": "Floppy"}).json(t)), `"Floppy"`},
		{"revision of null", key.sign(t, s3Doc().with("Revision", nil).json(t)), "lacks Revision, or its RevisionType"},
		{"no revision", key.sign(t, s3Doc().without("Revision").json(t)), "lacks Revision, or its RevisionType"},
		{"no revision type", key.sign(t, s3Doc().with("Revision", map[string]any{"S3Revision": map[string]any{}}).json(t)), "lacks Revision, or its RevisionType"},
		{"rar", key.sign(t, s3Doc().with("Revision", map[string]any{"RevisionType": "S3",
			"S3Revision": map[string]any{"Bucket": "b", "Key": "k", "BundleType": "rar"}}).json(t)), `"rar" is none of tar, tgz, zip`},
		{"no location", key.sign(t, s3Doc().with("Revision", map[string]any{"RevisionType": "Local File",
			"LocalRevision": map[string]any{"BundleType": "zip"}}).json(t)), "a local revision lacks Location"},
		{"no bundle type", key.sign(t, s3Doc().with("Revision", map[string]any{"RevisionType": "Local Directory",
			"LocalRevision": map[string]any{"Location": "/app"}}).json(t)), "a local revision lacks BundleType"},
	}
	for _, name := range []string{"DeploymentId", "DeploymentGroupId", "DeploymentGroupName", "ApplicationName"} {
		for what, doc := range map[string]specDoc{"no ": s3Doc().without(name), "null as ": s3Doc().with(name, nil), "empty ": s3Doc().with(name, "")} {
			tests = append(tests, struct {
				name     string
				envelope *awsapi.Envelope
				want     string
			}{what + name, key.sign(t, doc.json(t)), name + " is missing"})
		}
	}
	for _, member := range []string{"Bucket", "Key", "BundleType"} {
		s3 := map[string]any{"Bucket": "b", "Key": "k", "BundleType": "zip"}
		delete(s3, member)
		doc := s3Doc().with("Revision", map[string]any{"RevisionType": "S3", "S3Revision": s3})
		tests = append(tests, struct {
			name     string
			envelope *awsapi.Envelope
			want     string
		}{"no " + member, key.sign(t, doc.json(t)), "an S3 revision lacks " + member})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := verifier{hostID: testHost}.open(test.envelope)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
}

// tampered replaces bytes of the signed content without touching anything else.
func tampered(t *testing.T, e *awsapi.Envelope, from, to string) *awsapi.Envelope {
	t.Helper()
	block, _ := pem.Decode([]byte(*e.Payload))
	changed := bytes.Replace(block.Bytes, []byte(from), []byte(to), 1)
	if bytes.Equal(changed, block.Bytes) {
		t.Fatalf("%q is not in %s", from, base64.StdEncoding.EncodeToString(block.Bytes))
	}
	payload := string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: changed}))
	return &awsapi.Envelope{Format: e.Format, Payload: &payload}
}

// A refused specification is reported, and nothing of it is run or acknowledged.
//
// agent.md 16: 96
// agent.md 17: 2
func TestTamperedSpecificationIsReported(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	doc := h.put("d-EVIL", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
	id := h.sendEnvelope("DownloadBundle", tampered(t, h.signer.sign(t, doc.json(t)), "shop", "shot"))
	h.wait("the report", func() bool { return len(h.commands[id].completed) == 1 })
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.commands[id]
	if c.completed[0].ErrorCode != awsapi.CodeUnknownError || len(c.acknowledged) != 0 {
		t.Errorf("command = %+v, want code 5 and no acknowledgement", c)
	}
	wantContains(t, "message", c.completed[0].Message, "its signature is wrong")
	if exists(h.path("root/group-1")) {
		t.Error("a folder was made for a refused specification")
	}
}
