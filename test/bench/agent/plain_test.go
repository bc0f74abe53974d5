package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// plainTools does with the tools of the system, one after the other, what a deployment of a bundle does, in new folders. It is
// the lower bound for the agent, which besides removes what the revision before installed.
func (l *lab) plainTools(b *testing.B, key string, kind types.BundleType) (wall, cpu time.Duration) {
	b.Helper()
	dir, err := os.MkdirTemp(l.dir, "tools-")
	check(b, err)
	defer os.RemoveAll(dir)
	packed, archive, destination := filepath.Join(dir, "bundle"), filepath.Join(dir, "archive"), filepath.Join(dir, "destination")
	unpack := []string{"tar", "xzf", packed, "-C", archive}
	if kind == types.BundleTypeZip {
		unpack = []string{"unzip", "-q", packed, "-d", archive}
	}
	commands := [][]string{
		{"curl", "-sf", "-o", packed, l.presigned(b, key)},
		{"mkdir", archive},
		unpack,
		{"cp", "-a", filepath.Join(archive, "app"), destination},
	}
	for range scripted {
		commands = append(commands, []string{filepath.Join(archive, "scripts", "hook.sh")})
	}
	start := time.Now()
	for _, command := range commands {
		cmd := exec.Command(command[0], command[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", command, err, out)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return time.Since(start), cpu
}

func (l *lab) presigned(b *testing.B, key string) string {
	b.Helper()
	request, err := s3.NewPresignClient(l.server.S3(b)).PresignGetObject(context.Background(),
		&s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	check(b, err)
	return request.URL
}
