package packages

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"grapnel/test/harness"
)

// base is the folder of a small Debian system, which the chroots share and do not change. Making one takes most of a minute
// and the network, so it is kept between runs as a tar file.
var base = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	tar := filepath.Join(cache, "grapnel-ci", "bookworm-1.tar") // a higher number when makeBase changes
	if _, err := os.Stat(tar); err != nil {
		if err := makeBase(tar); err != nil {
			return "", err
		}
	}
	dir := harness.Path("bookworm")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if out, err := exec.Command("tar", "-C", dir, "-xf", tar).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot unpack %s: %w\n%s", tar, err, out)
	}
	return dir, nil
})

// makeBase leaves out what the tests do not need. The name of the finished file appears only when it is whole.
func makeBase(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "grapnel-bookworm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	script := `set -e
debootstrap --variant=minbase --include=rpm,curl,wget bookworm "$1"
rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/var/cache/apt "$1"/var/lib/apt/lists
tar -C "$1" -cf "$2.part" .
mv "$2.part" "$2"`
	if out, err := exec.Command("sh", "-c", script, "sh", dir, path).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a Debian system: %w\n%s", err, out)
	}
	return nil
}

// chroot is a Debian system of its own, without a service manager, and with the packages in /packages.
type chroot struct {
	dir string
	// files are those inside, by paths without a leading slash. Links that lead out are refused: followed from here, an
	// absolute one inside (/var/run is one) would end in this machine's own folders.
	files *os.Root
}

func newChroot(t *testing.T) *chroot {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a chroot: sudo go test ./test/packages")
	}
	harness.Need(t, "debootstrap", "apt install debootstrap")
	lower, err := base()
	if err != nil {
		t.Fatal(err)
	}
	c := &chroot{dir: filepath.Join(t.TempDir(), "root")}
	upper, work := c.dir+".upper", c.dir+".work"
	for _, dir := range []string{c.dir, upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := mount(t, "overlay", c.dir, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)); err != nil {
		output(t, "cp", "-a", lower+"/.", c.dir) // an overlay does not lie on another
	}
	if err := mount(t, "proc", filepath.Join(c.dir, "proc"), ""); errors.Is(err, unix.EPERM) {
		t.Skip("needs the right to mount: run it as root outside of a container without that right")
	} else if err != nil {
		t.Fatal(err)
	}
	if c.files, err = os.OpenRoot(c.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.files.Close() })
	output(t, "cp", "-a", dist(t), filepath.Join(c.dir, "packages"))
	return c
}

// mount mounts a filesystem until the test ends.
func mount(t *testing.T, kind, dir, options string) error {
	t.Helper()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		return fmt.Errorf("cannot mount %s at %s: %w", kind, dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return nil
}

func (c *chroot) read(t *testing.T, name string) string {
	t.Helper()
	data, err := c.files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (c *chroot) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := c.files.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.files.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (c *chroot) exists(name string) bool {
	_, err := c.files.Lstat(name)
	return err == nil
}

// command prepares a shell command inside. Nothing of this process's environment is passed on.
func (c *chroot) command(script string, env ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.dir}
	return cmd
}

// sh runs a shell command inside and returns its output and exit code. What it leaves running keeps no pipe open: the output
// goes through a file.
func (c *chroot) sh(t *testing.T, script string, env ...string) (string, int) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := c.command(script, env...)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", script, err)
	}
	return read(t, out.Name()), cmd.ProcessState.ExitCode()
}

// expect runs a shell command that must end with a code and say each of the texts.
func (c *chroot) expect(t *testing.T, code int, script string, texts ...string) {
	t.Helper()
	got, exit := c.sh(t, script)
	if exit != code {
		t.Fatalf("%s: exit code %d, want %d\n%s", script, exit, code, got)
	}
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%s: it did not say %q:\n%s", script, text, got)
		}
	}
}
