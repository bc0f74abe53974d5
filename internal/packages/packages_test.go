package packages_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/packages"
)

// folder makes a packages folder with the real install script.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("../../packaging/install")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"install": string(script), "codedeploy-agent_1_amd64.deb": "0123456789", ".hidden": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"uninstall": "install", "passwd": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ask sends a request for a file and returns the reply, or the error before it.
func ask(t *testing.T, o packages.Options, name string, change func(*http.Request)) (*http.Response, string, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, packages.Prefix+"x", nil)
	r.Host = "deploy.example.com:8700"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	err := packages.New(o).Serve(w, r, name)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(body), err
}

func TestTheScriptNamesTheServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	public, err := packages.CheckPublicURL("https://public.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, host, public, want string }{
		{"install", "deploy.example.com:8700", "", "http://deploy.example.com:8700/latest"},
		{"install", "[::1]:8700", "", "http://[::1]:8700/latest"},
		{"install", "10.0.0.5", "", "http://10.0.0.5/latest"},
		{"uninstall", "host_1.", "", "http://host_1./latest"},
		{"install", "deploy.example.com:8700", public, "https://public.example.com/latest"},
	}
	for _, test := range tests {
		_, body, err := ask(t, packages.Options{Dir: dir, PublicURL: test.public}, test.name, func(r *http.Request) { r.Host = test.host })
		if want := "\nserved_from='" + test.want + "'\n"; err != nil || !strings.Contains(body, want) {
			t.Errorf("for %s the script does not say %q: %v", test.host, want, err)
		}
	}
}

// The script is run by root: a Host header must not be able to add anything to it.
func TestNothingButAHostGetsIntoTheScript(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, host := range []string{
		"", "a'b", "a;reboot", "$(reboot)", "`reboot`", "a b", "a\nb", "a/b", "a@b", "a:b", "a:123456", "a:1:2", "..", "a..b", "-a", "a-", "[::1", "[a'b]",
		"[::1]x", "a\\b", `a"b`, "a&b", "a%20b", "ä", "a?b", "a#b", strings.Repeat("a", 300), "@BASE@",
	} {
		_, body, err := ask(t, packages.Options{Dir: dir}, "install", func(r *http.Request) { r.Host = host })
		if !errors.Is(err, fs.ErrNotExist) || body != "" {
			t.Errorf("for the host %q: %v, and %d bytes of script", host, err, len(body))
		}
		if _, err := packages.CheckPublicURL("https://" + host); err == nil && host != "" {
			t.Errorf("the public address https://%s is accepted", host)
		}
	}
	for _, address := range []string{"", "deploy.example.com", "ftp://a", "https://", "https://a/b", "https://a?b", "https://a#b", "https://u:p@a", "javascript:1"} {
		if got, err := packages.CheckPublicURL(address); err == nil {
			t.Errorf("the public address %q is accepted as %q", address, got)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	o := packages.Options{Dir: folder(t)}
	const deb = "codedeploy-agent_1_amd64.deb"
	resp, body, err := ask(t, o, deb, nil)
	tag := resp.Header.Get("ETag")
	if err != nil || body != "0123456789" || len(tag) < 10 || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("the package: %q, ETag %s, %v", body, tag, err)
	}
	tests := []struct {
		name, header, value string
		status              int
		want                string
	}{
		{"a range", "Range", "bytes=2-4", 206, "234"},
		{"a range that is not there", "Range", "bytes=20-", 416, "invalid range: failed to overlap\n"},
		{"known already", "If-None-Match", tag, 304, ""},
		{"known in another version", "If-None-Match", `"other"`, 200, "0123456789"},
		{"wanted in another version", "If-Match", `"other"`, 412, ""},
	}
	for _, test := range tests {
		resp, body, err := ask(t, o, deb, func(r *http.Request) { r.Header.Set(test.header, test.value) })
		if err != nil || resp.StatusCode != test.status || body != test.want {
			t.Errorf("%s: %d %q, %v, want %d %q", test.name, resp.StatusCode, body, err, test.status, test.want)
		}
	}
	resp, body, err = ask(t, o, deb, func(r *http.Request) { r.Method = http.MethodHead })
	if err != nil || body != "" || resp.Header.Get("Content-Length") != "10" || resp.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %q, %v, %v", body, resp.Header, err)
	}
}

func TestWhatIsNotServed(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, name := range []string{"", ".", "..", "../install", "sub", ".hidden", "a/b", "none.deb", "ca.pem", "passwd", "sub/../install", "a\x00b", strings.Repeat("a", 200)} {
		if _, body, err := ask(t, packages.Options{Dir: dir}, name, nil); !errors.Is(err, fs.ErrNotExist) || body != "" {
			t.Errorf("%q: %q, %v", name, body, err)
		}
	}
	if _, _, err := ask(t, packages.Options{Dir: filepath.Join(dir, "gone")}, "install", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is gone: %v", err)
	}
	if _, _, err := ask(t, packages.Options{}, "install", nil); packages.Find() == "" && (err == nil || !strings.Contains(err.Error(), "make packages")) {
		t.Errorf("without a folder the client is not told what to do: %v", err)
	}
}

func TestTheAuthority(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("-----BEGIN"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, body, err := ask(t, packages.Options{CA: ca}, packages.CAFile, nil); err != nil || body != "-----BEGIN" {
		t.Errorf("%q, %v", body, err)
	}
}
