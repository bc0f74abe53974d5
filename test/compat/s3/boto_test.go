package s3

import (
	"os"
	"os/exec"
	"testing"
)

// TestBoto runs testdata/client.py.
func TestBoto(t *testing.T) {
	if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
		t.Skip("needs boto3: pip install boto3")
	}
	bothTransports(t, func(t *testing.T, s *server) {
		cmd := exec.CommandContext(t.Context(), "python3", "testdata/client.py")
		cmd.Env = append(os.Environ(), s.environ()...)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "ok\n" {
			t.Errorf("error %v\n%s", err, out)
		}
		if s.caFile != "" && !s.saw("STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
			t.Error("no trailer was sent over TLS")
		}
	})
}
