package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// accessKey is an access key of a user. Only the call that makes it tells the secret.
type accessKey struct {
	ID      string    `xml:"AccessKeyId" json:"accessKeyId"`
	Secret  string    `xml:"SecretAccessKey" json:"secretAccessKey,omitzero"`
	Status  string    `xml:"Status" json:"status"`
	Created time.Time `xml:"CreateDate" json:"created"`
}

func keyCommand() *cobra.Command {
	return group("key", "Access keys of users", "Access keys are what requests are signed with. A user has at most two, so that one can be replaced while the other is in use.",
		keyCreate("create USER", "Make an access key for a user", "Make an access key for a user and print it. Its secret is told this once.", nothingBefore),
		keyCreate("rotate USER", "Make a new access key beside the old one",
			"Make a new access key beside the old one and print it. The old one goes on to work until it is deactivated and deleted,\nwhich is said then how.\n\n"+
				"A host renews its own: codedeploy-agent rotate-key.", oneBefore),
		keyList(),
		keyStatus("activate", "Active", "Have a key accepted again"),
		keyStatus("deactivate", "Inactive", "Have a key refused until it is activated again"),
		remote("delete USER KEY", "Delete an access key", "Delete an access key. Requests signed with it are refused from then on.", 2,
			func(cmd *cobra.Command, c *client, args []string) error {
				return c.iam(cmd.Context(), nil, "Action", "DeleteAccessKey", "UserName", args[0], "AccessKeyId", args[1])
			}),
	)
}

// nothingBefore lets every user have another key, as far as the server does.
func nothingBefore(context.Context, *client, string) ([]accessKey, error) { return nil, nil }

// oneBefore returns the only key of a user.
func oneBefore(ctx context.Context, c *client, user string) ([]accessKey, error) {
	keys, err := c.keys(ctx, user)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, fmt.Errorf("%s has no access key to replace; make one with: grapnel key create %[1]s", user)
	case len(keys) > 1:
		return nil, fmt.Errorf("%s has two access keys already, %s and %s; delete the one that is not in use: grapnel key delete %[1]s KEY", user, keys[0].ID, keys[1].ID)
	}
	return keys, nil
}

// keyCreate is a command that makes an access key; before returns those that it replaces.
func keyCreate(use, short, long string, before func(context.Context, *client, string) ([]accessKey, error)) *cobra.Command {
	var path string
	var asJSON bool
	cmd := remote(use, short, long, 1, func(cmd *cobra.Command, c *client, args []string) error {
		ctx, user := cmd.Context(), args[0]
		old, err := before(ctx, c, user)
		if err != nil {
			return err
		}
		key, err := c.newKey(ctx, user, path)
		if err != nil {
			return err
		}
		if path != "" {
			key.Secret = "" // it has gone where it was wanted
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return writeJSON(out, key)
		}
		if path != "" {
			fmt.Fprintf(out, "The access key %s of %s is in %[3]s. Use it: export AWS_SHARED_CREDENTIALS_FILE=%[3]s\n", key.ID, user, path)
		} else {
			fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", key.ID, key.Secret)
		}
		for _, k := range old {
			fmt.Fprintf(cmd.ErrOrStderr(), "When everything uses it, end the old one: grapnel key deactivate %[1]s %[2]s, and later grapnel key delete %[1]s %[2]s\n", user, k.ID)
		}
		return nil
	})
	cmd.Flags().StringVar(&path, "out", "", "write a credentials file, which must not be there yet, and do not print the secret")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// newKey makes an access key for a user, and writes it into a new credentials file unless path is "". The file is made first:
// a secret that could be kept nowhere would be lost.
func (c *client) newKey(ctx context.Context, user, path string) (accessKey, error) {
	var made struct {
		Key accessKey `xml:"CreateAccessKeyResult>AccessKey"`
	}
	create := func() error {
		return c.iam(ctx, &made, "Action", "CreateAccessKey", "UserName", user)
	}
	if path == "" {
		err := create()
		return made.Key, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return accessKey{}, fmt.Errorf("%s is there already, and other keys may be in it; name another file, or remove it", path)
	} else if err != nil {
		return accessKey{}, err
	}
	if err := create(); err != nil {
		return accessKey{}, errors.Join(err, f.Close(), os.Remove(path))
	}
	_, err = fmt.Fprintf(f, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", made.Key.ID, made.Key.Secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return accessKey{}, fmt.Errorf("the access key %s was made, but cannot be written: %w; delete it: grapnel key delete %s %[1]s", made.Key.ID, err, user)
	}
	return made.Key, nil
}

func keyList() *cobra.Command {
	var asJSON bool
	cmd := remote("list USER", "List the access keys of a user", "List the access keys of a user, without their secrets.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			keys, err := c.keys(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), keys)
			}
			return writeKeys(cmd.OutOrStdout(), keys)
		})
	jsonFlag(cmd, &asJSON)
	return cmd
}

func writeKeys(w io.Writer, keys []accessKey) error {
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{k.ID, strings.ToLower(k.Status), shownTime(k.Created)})
	}
	return writeTable(w, []string{"KEY", "STATUS", "CREATED"}, rows)
}

// keys returns the access keys of a user; never nil.
func (c *client) keys(ctx context.Context, user string) (keys []accessKey, err error) {
	keys = []accessKey{}
	err = pages(func(marker []string) (string, error) {
		var page struct {
			Keys   []accessKey `xml:"ListAccessKeysResult>AccessKeyMetadata>member"`
			Marker string      `xml:"ListAccessKeysResult>Marker"`
		}
		err := c.iam(ctx, &page, append(marker, "Action", "ListAccessKeys", "UserName", user)...)
		keys = append(keys, page.Keys...)
		return page.Marker, err
	})
	return keys, err
}

func keyStatus(verb, status, short string) *cobra.Command {
	return remote(verb+" USER KEY", short, short+".", 2, func(cmd *cobra.Command, c *client, args []string) error {
		return c.iam(cmd.Context(), nil, "Action", "UpdateAccessKey", "UserName", args[0], "AccessKeyId", args[1], "Status", status)
	})
}
