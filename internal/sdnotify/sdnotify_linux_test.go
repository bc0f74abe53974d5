package sdnotify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/sdnotify"
)

// systemd is the receiving end: a real datagram socket. It is read without waiting, so that it fits into a bubble of
// synctest, where only time may be waited for.
type systemd struct {
	t  *testing.T
	fd int
}

// listen makes the socket and sets the environment as systemd does. Tests that call it cannot run in parallel.
func listen(t *testing.T, watchdog time.Duration) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return &systemd{t: t, fd: fd}
}

// heard returns the datagrams that have arrived since it was last asked.
func (s *systemd) heard() []string {
	s.t.Helper()
	var all []string
	for buf := make([]byte, 4096); ; {
		n, _, err := syscall.Recvfrom(s.fd, buf, syscall.MSG_DONTWAIT)
		if errors.Is(err, syscall.EAGAIN) {
			return all
		} else if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, string(buf[:n]))
	}
}

func fromEnvironment(t *testing.T) *sdnotify.Notifier {
	t.Helper()
	n, err := sdnotify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStates(t *testing.T) {
	s := listen(t, time.Minute)
	n := fromEnvironment(t)
	for _, send := range []error{n.Ready("polls\nfor commands"), n.Stopping("")} {
		if send != nil {
			t.Error(send)
		}
	}
	want := []string{"READY=1\nSTATUS=polls for commands", "STOPPING=1\nSTATUS="}
	if diff := cmp.Diff(want, s.heard()); diff != "" {
		t.Errorf("systemd heard (-want +got):\n%s", diff)
	}
}

// A script that inherited the socket could answer the watchdog of a hanging agent.
func TestNothingIsInherited(t *testing.T) {
	listen(t, time.Minute)
	fromEnvironment(t)
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "NOTIFY_") || strings.HasPrefix(v, "WATCHDOG_") {
			t.Errorf("%s is still in the environment", v)
		}
	}
}

func TestWatchdogIsAnsweredWhileAlive(t *testing.T) {
	s := listen(t, time.Minute)
	synctest.Test(t, func(t *testing.T) {
		n := fromEnvironment(t)
		ctx, cancel := context.WithCancel(t.Context())
		alive, ended := true, make(chan struct{})
		go func() {
			n.Watch(ctx, func() bool { return alive })
			close(ended)
		}()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"WATCHDOG=1", "WATCHDOG=1"}, s.heard()); diff != "" {
			t.Errorf("in the first 59 s (-want +got):\n%s", diff)
		}
		alive = false
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.heard(); got != nil {
			t.Errorf("a hanging loop told systemd %q", got)
		}
		alive = true
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"WATCHDOG=1"}, s.heard()); diff != "" {
			t.Errorf("alive again (-want +got):\n%s", diff)
		}
		cancel()
		<-ended
	})
}

func TestNoWatchdog(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"not asked for":               {"WATCHDOG_USEC": ""},
		"watches another process":     {"WATCHDOG_PID": "1"},
		"no socket to answer through": {"NOTIFY_SOCKET": ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, time.Minute)
			for k, v := range env {
				t.Setenv(k, v)
			}
			fromEnvironment(t).Watch(t.Context(), func() bool { return true }) // would not return
			if got := s.heard(); got != nil {
				t.Errorf("systemd heard %q", got)
			}
		})
	}
}

func TestNonsenseInTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{"WATCHDOG_USEC": "soon", "NOTIFY_SOCKET": "vsock:2:1234"} {
		t.Run(name, func(t *testing.T) {
			listen(t, time.Minute)
			t.Setenv(name, value)
			n, err := sdnotify.FromEnvironment()
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v does not name %s", err, name)
			}
			if err := n.Ready("goes on"); err != nil {
				t.Errorf("the Notifier is not usable: %v", err)
			}
		})
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	for _, n := range []*sdnotify.Notifier{nil, fromEnvironment(t)} {
		if err := n.Ready("nobody listens"); err != nil {
			t.Error(err)
		}
		n.Watch(t.Context(), func() bool { return true })
	}
}

func TestSystemdIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	err := fromEnvironment(t).Ready("")
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "READY=1") {
		t.Errorf("error %v, want one that names READY=1 and the missing socket", err)
	}
}
