// Package seal encrypts the secrets that Grapnel keeps, under a key that lies outside the database: whoever gets a copy of
// the database alone, such as a backup, learns no secret.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"grapnel/internal/atomicfile"
)

// keySize is that of AES-256, in bytes.
const keySize = 32

// format is the first byte of every sealed value, so that another cipher can follow this one.
const format = 1

// Key seals and opens. It may be used by many goroutines.
type Key struct {
	aead   cipher.AEAD
	secret []byte
}

// LoadOrCreateKey returns the key that the file holds, a line of base64 with mode 0600. It makes the file when there is
// none; of several servers that start at once, one makes it and all use it.
func LoadOrCreateKey(path string) (*Key, error) {
	key, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var secret [keySize]byte
	rand.Read(secret[:]) //nolint:errcheck // never fails since Go 1.24
	line := base64.StdEncoding.EncodeToString(secret[:]) + "\n"
	if err := atomicfile.CreateFile(path, []byte(line), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the key that seals secrets: %w", err)
	}
	return load(path)
}

func load(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load the key that seals secrets: %w", err)
	}
	// Windows has no such bits; there the folder's access list decides.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("others can read the key that seals secrets: %s has mode %04o; run chmod 600 %s, and "+
			"if somebody may have read it, replace the secrets that it seals", path, mode, path)
	}
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load the key that seals secrets: %w", err)
	}
	secret, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
	if err != nil || len(secret) != keySize {
		return nil, fmt.Errorf("%s does not hold the base64 of %d bytes, which is what a key that seals secrets looks like; "+
			"restore it from a backup", path, keySize)
	}
	return newKey(secret)
}

func newKey(secret []byte) (*Key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Key{aead, secret}, nil
}

// Derive returns a key of 32 bytes for another purpose, always the same for the same purpose, from which neither this
// key nor that of any other purpose can be told.
func (k *Key) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, purpose, keySize)
	if err != nil {
		panic(err) // only for lengths that HKDF cannot give
	}
	return derived
}

// Seal encrypts plain. The name says what the value is and where it belongs; only the same name opens it, so a sealed
// value that somebody moves to another row is worthless there.
func (k *Key) Seal(name string, plain []byte) []byte {
	return k.aead.Seal([]byte{format}, nil, plain, []byte(name))
}

// Open returns what was sealed under this name with this key.
func (k *Key) Open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return nil, fmt.Errorf("open the secret %q: it was not sealed by this version of Grapnel", name)
	}
	plain, err := k.aead.Open(nil, nil, sealed[1:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("open the secret %q: the key file is not the one that sealed it, or the value was changed; "+
			"restore the key file that belongs to this database", name)
	}
	return plain, nil
}
