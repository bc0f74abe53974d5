// Package packages serves what a host needs to become one: the install script, and the agent's packages and programs as
// `make packages` writes them into a folder. All of it is public, so that a host which has nothing yet can fetch it.
package packages

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Prefix is the path below which the files are: what follows it is a file's name.
const Prefix = "/latest/"

// CAFile is the name by which the certificate authority of the server is served.
const CAFile = "ca.pem"

// Options are the settings of Files.
type Options struct {
	Dir       string // the folder; "" for the usual places, see Find
	PublicURL string // the server's address for the install script; "" for the one that a request came to
	CA        string // file of the certificate authority that clients must trust; "" when there is none of the server's own
}

// Files are the files that hosts fetch.
type Files struct {
	opts Options
}

// New returns the files of a folder. It does not have to be there yet: it is looked for with each request.
func New(opts Options) *Files { return &Files{opts: opts} }

// missing is the error of a file that is not there: why, and what to do about it. It is fs.ErrNotExist.
type missing struct{ text string }

func (e missing) Error() string { return e.text }

// Is makes it known without its text becoming longer by that.
func (e missing) Is(target error) bool { return target == fs.ErrNotExist }

func missingf(format string, args ...any) error { return missing{fmt.Sprintf(format, args...)} }

// fileName is what a served file may be called: it has no folder, and does not begin with a dot.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}$`)

// Serve answers a GET or HEAD with the file of a name, ranges and conditions included. When it returns an error,
// nothing has been written; fs.ErrNotExist has a text for the client, any other is the server's own.
func (f *Files) Serve(w http.ResponseWriter, r *http.Request, name string) error {
	switch {
	case !fileName.MatchString(name):
		return missingf("%q is not the name of a file here", name)
	case name == CAFile:
		return f.serveCA(w, r)
	}
	file, info, err := f.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if name == "install" || name == "uninstall" {
		return f.serveScript(w, r, file, info)
	}
	send(w, r, name, info.ModTime(), fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size()), file)
	return nil
}

// open opens a file of the folder; a link in it leads nowhere else.
func (f *Files) open(name string) (*os.File, fs.FileInfo, error) {
	dir := cmp.Or(f.opts.Dir, Find())
	if dir == "" {
		return nil, nil, missingf("this server has no packages of the agent: put the folder that `make packages` writes (dist) beside the program as \"packages\", "+
			"or at %s, or name it with grapnel server --packages DIR; no restart is needed for the first two", systemDir)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, missingf("the packages folder of this server is gone; `make packages` writes it")
	} else if err != nil {
		return nil, nil, fmt.Errorf("packages folder: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(name) // before it is opened: opening a pipe waits for somebody who writes to it
	link, linkErr := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, missingf("the packages folder of this server has no %q; its SHA256SUMS lists what there should be, and `make packages` writes it", name)
	case err != nil && linkErr == nil && link.Mode()&fs.ModeSymlink != 0 && !errors.Is(err, fs.ErrPermission):
		return nil, nil, missingf("%q is a link that leads to no file of the packages folder", name)
	case err != nil:
		return nil, nil, fmt.Errorf("packages folder: %w", err)
	case !info.Mode().IsRegular():
		return nil, nil, missingf("%q is not a file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("packages folder: %w", err)
	}
	if info, err = file.Stat(); err != nil { // of what is sent, should another have come in between
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// systemDir is where a package of the server itself would put those of the agent.
const systemDir = "/usr/share/grapnel/packages"

// Find returns the folder of packages: "packages" beside the program, else the system's; "" when there is neither.
func Find() string {
	places := []string{systemDir}
	if program, err := os.Executable(); err == nil {
		places = []string{filepath.Join(filepath.Dir(program), "packages"), systemDir}
	}
	for _, dir := range places {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// placeholder stands in the script for where it came from.
const placeholder = "@BASE@"

// maxScript bounds the script, which is held in memory, in bytes.
const maxScript = 1 << 20

// serveScript sends the script with the server's address filled in. A cache between must not hand it to those who know the
// server by another name.
func (f *Files) serveScript(w http.ResponseWriter, r *http.Request, file io.Reader, info fs.FileInfo) error {
	address, err := f.address(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxScript))
	if err != nil {
		return fmt.Errorf("packages folder: %w", err)
	}
	script := strings.Replace(string(text), placeholder, address+strings.TrimSuffix(Prefix, "/"), 1)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/x-shellscript; charset=utf-8")
	send(w, r, "install.sh", info.ModTime(), fmt.Sprintf("%x", sha256.Sum256([]byte(script))), strings.NewReader(script))
	return nil
}

func (f *Files) serveCA(w http.ResponseWriter, r *http.Request) error {
	if f.opts.CA == "" {
		return missingf("this server has no certificate authority of its own: either its certificate is from one that hosts trust already, or whoever runs it has the file")
	}
	file, err := os.Open(f.opts.CA)
	if err != nil {
		return fmt.Errorf("the certificate authority: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("the certificate authority: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	send(w, r, CAFile, info.ModTime(), fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size()), file)
	return nil
}

func send(w http.ResponseWriter, r *http.Request, name string, modified time.Time, tag string, content io.ReadSeeker) {
	h := w.Header()
	h.Set("ETag", `"`+tag+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	http.ServeContent(w, r, name, modified, content)
}
