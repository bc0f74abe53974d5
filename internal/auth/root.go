package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	"grapnel/internal/atomicfile"
	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// What a root access key that an operator chooses must look like: ids as IAM defines them (service.md 9 tells what breaks
// on shorter ones), secrets that fit on a line of a credentials file.
var (
	accessKeyID = regexp.MustCompile(`^[A-Za-z0-9_]{16,128}$`)
	secretKey   = regexp.MustCompile(`^[!-~]{16,128}$`)
)

// EnsureRoot returns the root access key. It makes one at the first start. An id and a secret that are not "" are the
// operator's choice and take the place of every other root key.
func (a *Auth) EnsureRoot(ctx context.Context, id, secret string) (sigv4.Credentials, error) {
	switch {
	case id == "" && secret == "":
		return a.keepRoot(ctx)
	case !accessKeyID.MatchString(id):
		return sigv4.Credentials{}, fmt.Errorf("the root access key id %q must be 16 to 128 letters, digits or underscores", id)
	case !secretKey.MatchString(secret):
		return sigv4.Credentials{}, errors.New("the root secret access key must be 16 to 128 printable ASCII characters without spaces")
	}
	chosen := sigv4.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	if err := a.replaceRoot(ctx, chosen); err != nil {
		return sigv4.Credentials{}, fmt.Errorf("store the root access key: %w", err)
	}
	return chosen, nil
}

// keepRoot returns the root key that is stored, or makes one.
func (a *Auth) keepRoot(ctx context.Context) (sigv4.Credentials, error) {
	rows, err := a.store.AccessKeys(ctx, "")
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("find the root access key: %w", err)
	}
	if len(rows) > 0 {
		secret, err := a.open(rows[0])
		if err != nil {
			return sigv4.Credentials{}, fmt.Errorf("%w, or choose a new root access key in the server's settings", err)
		}
		return sigv4.Credentials{AccessKeyID: rows[0].ID, SecretAccessKey: secret}, nil
	}
	made := newCredentials(permanent)
	if err := a.store.CreateAccessKey(ctx, a.row("", made), 0); err != nil {
		return sigv4.Credentials{}, fmt.Errorf("store the root access key: %w", err)
	}
	return made, nil
}

// replaceRoot makes c the only root key. It stores the new one before it deletes the others: a crash in between leaves
// one too many, which the next start deletes, rather than none.
func (a *Auth) replaceRoot(ctx context.Context, c sigv4.Credentials) error {
	if err := a.putRoot(ctx, c); err != nil {
		return err
	}
	rows, err := a.store.AccessKeys(ctx, "")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.ID == c.AccessKeyID {
			continue
		}
		if err := a.DeleteAccessKey(ctx, "", row.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// putRoot stores c, in place of a root key with the same id and another secret.
func (a *Auth) putRoot(ctx context.Context, c sigv4.Credentials) error {
	row, err := a.store.AccessKey(ctx, c.AccessKeyID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return a.store.CreateAccessKey(ctx, a.row("", c), 0)
	case err != nil:
		return err
	case row.User != "":
		return fmt.Errorf("%s is the access key of the user %s; choose another id", row.ID, row.User)
	}
	if secret, err := a.open(row); err == nil && secret == c.SecretAccessKey {
		return nil
	}
	if err := a.DeleteAccessKey(ctx, "", row.ID); err != nil {
		return err
	}
	return a.store.CreateAccessKey(ctx, a.row("", c), 0)
}

// WriteCredentials makes path a shared-credentials file of the AWS CLI and SDKs, with c as the default profile and
// readable by its owner alone. A file that is right already is left alone: on a full disk, which somebody starts the server
// to make room on, writing it again would fail.
func WriteCredentials(path string, c sigv4.Credentials) error {
	text := "[default]\naws_access_key_id = " + c.AccessKeyID + "\naws_secret_access_key = " + c.SecretAccessKey + "\n"
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return os.Chmod(path, 0o600)
	}
	return atomicfile.WriteFile(path, []byte(text), 0o600)
}
