package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	key, again := mustLoad(t, path), mustLoad(t, path)
	other := mustLoad(t, filepath.Join(t.TempDir(), "key"))
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed := key.Seal(name, plain)
		if got, err := again.Open(name, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, error %v; want %x", got, err, plain)
		}
		if bytes.Equal(sealed, key.Seal(name, plain)) {
			t.Fatal("sealing twice gave the same bytes")
		}
		if _, err := key.Open(name+"x", sealed); err == nil {
			t.Fatal("opened under another name")
		}
		if _, err := other.Open(name, sealed); err == nil {
			t.Fatal("opened with another key")
		}
		changed := bytes.Clone(sealed)
		changed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := key.Open(name, changed); err == nil {
			t.Fatal("opened although changed")
		}
		if _, err := key.Open(name, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")]); err == nil {
			t.Fatal("opened although cut short")
		}
	})
}

func mustLoad(t *testing.T, path string) *Key {
	t.Helper()
	key, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestStartsAtOnceShareOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	keys := make([]*Key, 8)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() { keys[i], _ = LoadOrCreateKey(path) })
	}
	group.Wait()
	sealed := mustLoad(t, path).Seal("name", []byte("secret"))
	for i, key := range keys {
		if key == nil {
			t.Fatalf("start %d got no key", i)
		}
		if _, err := key.Open("name", sealed); err != nil {
			t.Errorf("start %d: %v", i, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, error %v; want 0600", info.Mode(), err)
	}
}

func TestRefusedKeyFiles(t *testing.T) {
	t.Parallel()
	const good = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		want          string // "" = accepted
	}{
		{"right", good, 0o600, ""},
		{"read-only", good, 0o400, ""},
		{"readable by the group", good, 0o640, "chmod 600"},
		{"readable by all", good, 0o604, "chmod 600"},
		{"empty", "", 0o600, "restore it"},
		{"too short", "MDEy\n", 0o600, "restore it"},
		{"not base64", strings.Repeat("?", 44), 0o600, "restore it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreateKey(path)
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want one that says %q", err, tt.want)
			}
			if got, _ := os.ReadFile(path); string(got) != tt.content {
				t.Error("the key file was changed")
			}
		})
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	first, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := first.Derive("tokens"), again.Derive("tokens"); !bytes.Equal(a, b) || len(a) != 32 {
		t.Errorf("one purpose gives %x and %x", a, b)
	}
	if bytes.Equal(first.Derive("tokens"), first.Derive("cookies")) {
		t.Error("two purposes give one key")
	}
}
