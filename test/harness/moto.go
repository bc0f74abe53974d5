package harness

import (
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// StartMoto starts moto's server, a fake of AWS, and returns its address; false when it is not installed.
func StartMoto(t testing.TB) (url string, ok bool) {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		return "", false
	}
	// It cannot say which port it took, so it is told one that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	p := StartCommand(t, exec.Command(path, "-H", "127.0.0.1", "-p", port))
	Eventually(t, Patience, "moto's server to answer", func() bool {
		if p.Exited() {
			t.Fatalf("moto's server ended:\n%s", p.Output.String())
		}
		client := http.Client{Timeout: time.Second}
		resp, err := client.Get("http://" + addr + "/moto-api/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return "http://" + addr, true
}
