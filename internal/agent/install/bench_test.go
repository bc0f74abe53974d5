package install

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"grapnel/internal/appspec"
)

// benchFolder is on a RAM disk where there is one.
func benchFolder(b *testing.B) string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "install")
	must(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func noise(b *testing.B, size int) string {
	data := make([]byte, size)
	_, err := rand.Read(data)
	must(b, err)
	return string(data)
}

// BenchmarkInstall installs over the previous Install of the same, which is what deployments do, and compares with
// rm -rf and cp -a.
func BenchmarkInstall(b *testing.B) {
	small := files{}
	for i := range 3500 {
		small[fmt.Sprintf("d%03d/file%04d", i/35, i)] = noise(b, 1000+i%6000)
	}
	for name, content := range map[string]files{"small": small, "jar": {"app.jar": noise(b, 60<<20)}} {
		dir := benchFolder(b)
		archive, app := filepath.Join(dir, "archive"), filepath.Join(dir, "app")
		content.write(b, archive)
		b.Run(name+"/cp", func(b *testing.B) {
			for b.Loop() {
				must(b, os.RemoveAll(app), exec.Command("cp", "-a", archive, app).Run())
			}
		})
		must(b, os.RemoveAll(app))
		o := Options{
			Archive: archive, CleanupFile: filepath.Join(dir, "g-cleanup"), InstructionsFile: filepath.Join(dir, "g-install.json"),
			AppSpec: &appspec.AppSpec{Files: []appspec.File{{Source: "/", Destination: app}}},
		}
		run := func(b *testing.B) {
			for b.Loop() {
				p, err := New(context.Background(), o)
				must(b, err, p.Run(context.Background()))
			}
		}
		b.Run(name+"/install", run)
		o.AppSpec.Permissions = []appspec.Permission{{
			Object: app, Pattern: "**", Types: []string{"file", "directory"}, Mode: "0750", Owner: "root", Group: "daemon",
		}}
		b.Run(name+"/install+permissions", run)
		o.AppSpec.Permissions[0].ACLs = []appspec.ACL{{Tag: "user", Name: "daemon", Perms: 6}}
		b.Run(name+"/install+acls", run)
	}
}
