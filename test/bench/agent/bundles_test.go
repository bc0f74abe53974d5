package agent

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// contents are the files of an application, each told to add.
type contents func(add func(name string, size int64, content io.Reader))

// bundle is one packed application.
type bundle struct {
	kind     types.BundleType
	contents contents // below the folder app; nil for a bundle with no files and no scripts
	// permissions adds an entry that touches every file.
	permissions bool
}

const (
	jarSize   = 60 << 20
	largeSize = 1 << 30
)

// jar is one file that cannot be compressed any more.
func jar(add func(string, int64, io.Reader)) { add("app.jar", jarSize, noise(1, jarSize)) }

// large is sixteen files that cannot be compressed any more.
func large(add func(string, int64, io.Reader)) {
	for n := range uint64(16) {
		add(fmt.Sprintf("data/part-%02d.bin", n), largeSize/16, noise(n, largeSize/16))
	}
}

// noise is the same pseudo-random data each time.
func noise(seed uint64, size int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// smallFiles is how many files the application of many files has.
const smallFiles = 3500

// small is what npm and composer make: many packages of a few folders, with files of 0.5 to 20 KB, most of them small, that
// compress as program text does.
func small(add func(string, int64, io.Reader)) {
	random := rand.New(rand.NewPCG(3, 5))
	places := []string{"package.json", "README.md", "index.js", "lib/core.js", "lib/internal/streams.js", "dist/cjs/index.js", "dist/esm/index.js",
		"src/Http/Request.php", "src/Http/Message/Response.php", "src/Exception/InvalidArgument.php", "types/index.d.ts", "LICENSE"}
	for n := range smallFiles {
		pkg, place := n/len(places), places[n%len(places)]
		folder := fmt.Sprintf("node_modules/package-%03d", pkg)
		if pkg%3 == 0 {
			folder = fmt.Sprintf("vendor/company-%02d/library-%03d", pkg%40, pkg)
		}
		size := 512 + int(19_500*random.Float64()*random.Float64()*random.Float64())
		text := program(random, size)
		add(folder+"/"+place, int64(len(text)), strings.NewReader(text))
	}
}

func program(random *rand.Rand, size int) string {
	words := []string{"const ", "function ", "return ", "this.", "options", "value", " = ", "(", ") {\n  ", ";\n", "require", "exports.", "null", " === "}
	var text strings.Builder
	for text.Len() < size {
		text.WriteString(words[random.IntN(len(words))])
		if random.IntN(4) == 0 {
			fmt.Fprintf(&text, "%x", random.Uint32()) // names differ more than words do
		}
	}
	return text.String()[:size]
}

// scripted are the events that run scripts; the other two of the seven are the agent's own work.
var scripted = []string{"ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"}

const script = "#!/bin/sh\necho done\n"

// appSpec installs everything to destination.
func (d bundle) appSpec(destination string) string {
	var s strings.Builder
	s.WriteString("version: 0.0\nos: linux\n")
	if d.contents == nil {
		return s.String()
	}
	fmt.Fprintf(&s, "files:\n  - source: app\n    destination: %s\n", destination)
	if d.permissions {
		fmt.Fprintf(&s, "permissions:\n  - object: %s\n    pattern: \"**\"\n    owner: root\n    group: root\n    mode: 644\n    type: [file]\n", destination)
	}
	s.WriteString("hooks:\n")
	for _, event := range scripted {
		fmt.Fprintf(&s, "  %s:\n    - location: scripts/hook.sh\n      timeout: 60\n", event)
	}
	return s.String()
}

// write packs the bundle into a new file in folder.
func (d bundle) write(b *testing.B, folder, destination string) (path string) {
	b.Helper()
	f, err := os.CreateTemp(folder, "bundle-*."+string(d.kind))
	check(b, err)
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	pack, end := packTar(b, buffered)
	if d.kind == types.BundleTypeZip {
		pack, end = packZip(b, buffered)
	}
	text := func(name, text string, mode int64) { pack(name, mode, int64(len(text)), strings.NewReader(text)) }
	text("appspec.yml", d.appSpec(destination), 0o644)
	if d.contents != nil {
		text("scripts/hook.sh", script, 0o755)
		d.contents(func(name string, size int64, content io.Reader) { pack("app/"+name, 0o644, size, content) })
	}
	end()
	check(b, buffered.Flush())
	return filepath.Join(folder, filepath.Base(f.Name()))
}

type packer func(name string, mode, size int64, content io.Reader)

// packTar packs with the least compression, so that a gigabyte takes seconds.
func packTar(b *testing.B, to io.Writer) (packer, func()) {
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	check(b, err)
	t := tar.NewWriter(z)
	pack := func(name string, mode, size int64, content io.Reader) {
		check(b, t.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: size, Format: tar.FormatGNU}))
		_, err := io.Copy(t, content)
		check(b, err)
	}
	return pack, func() {
		check(b, t.Close())
		check(b, z.Close())
	}
}

func packZip(b *testing.B, to io.Writer) (packer, func()) {
	z := zip.NewWriter(to)
	pack := func(name string, mode, _ int64, content io.Reader) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(os.FileMode(mode))
		f, err := z.CreateHeader(header)
		check(b, err)
		_, err = io.Copy(f, content)
		check(b, err)
	}
	return pack, func() { check(b, z.Close()) }
}
