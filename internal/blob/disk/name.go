package disk

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
)

// A key's file name is the key with all but lower-case letters, digits, hyphens, underscores and inner dots escaped as
// %xx. So it means the same on file systems that ignore case, and is never "." or "..", nor hidden. A name longer than
// segment is cut into folders whose names end in "+", which no escaped name holds: so a file and a folder never want the
// same name, even if one key is the beginning of another.
const segment = 200

// keyPath is where a key's file is, relative to the bucket's objects.
func keyPath(key string) string {
	name := escape(key)
	var path string
	for len(name) > segment {
		path = filepath.Join(path, name[:segment]+"+")
		name = name[segment:]
	}
	return filepath.Join(path, name)
}

// pathKey is the inverse of keyPath.
func pathKey(path string) (string, error) {
	return unescape(strings.ReplaceAll(filepath.ToSlash(path), "+/", ""))
}

func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && b.Len()%segment != 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func unescape(name string) (string, error) {
	var b strings.Builder
	for name != "" {
		plain, rest, escaped := strings.Cut(name, "%")
		b.WriteString(plain)
		if !escaped {
			break
		}
		if len(rest) < 2 {
			return "", fmt.Errorf("name %q ends within an escape", name)
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", fmt.Errorf("name %q: %w", name, err)
		}
		b.Write(c)
		name = rest[2:]
	}
	return b.String(), nil
}
