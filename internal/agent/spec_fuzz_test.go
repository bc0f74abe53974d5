package agent

import (
	"encoding/pem"
	"testing"

	"grapnel/internal/agent/executor"
	"grapnel/internal/awsapi"
)

// FuzzSpecification: whatever comes as a signed specification is refused with an error or is what the signer signed; the agent
// never panics, and never takes the names of folders from it that lead elsewhere.
func FuzzSpecification(f *testing.F) {
	key := newSigningKey(f)
	doc := s3Doc()
	content := doc.json(f)
	good := key.sign(f, content)
	block, _ := pem.Decode([]byte(*good.Payload))
	f.Add(block.Bytes, content)
	f.Add([]byte("0\x80"), []byte("{}"))
	f.Add([]byte{}, []byte(`{"DeploymentId":"../x","DeploymentGroupId":"g"}`))
	v := verifier{hostID: testHost}
	f.Fuzz(func(t *testing.T, message, signed []byte) {
		payload := string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message}))
		format := awsapi.FormatPKCS7
		spec, err := v.open(&awsapi.Envelope{Format: &format, Payload: &payload})
		if (spec == nil) == (err == nil) {
			t.Errorf("%v and %v: want one of them", spec, err)
		}
		raw := string(message)
		if _, err := v.open(&awsapi.Envelope{Format: &format, Payload: &raw}); err == nil {
			t.Error("a message that is not PEM was taken")
		}
		if spec, err := v.parse(signed); err == nil && (!executor.IsFolderName(spec.ID) || !executor.IsGroup(spec.GroupID)) {
			t.Errorf("%q and %q are names of folders", spec.ID, spec.GroupID)
		}
	})
}
