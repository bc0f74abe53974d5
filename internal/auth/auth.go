// Package auth knows who calls and what they may do: identities, their credentials, and the one question Allow.
//
// Who may do what:
//
//   - Root may do everything.
//   - A user, and a session of a role, may do what the inline policies of the user or the role allow (package policy).
//   - A registered host, which is a user or a session whose ARN it is registered with, may use the host-command protocol (that
//     a command is its own is checked by package hosts, which knows the command), read the bundles of its open Work and the
//     agent's installer, and replace its own key. No policy gives it more: `aws deploy register` allows every host to read
//     all of S3.
//   - Everybody with valid credentials may ask who they are. Nobody else may do anything.
//
// Credentials are access keys, kept in the store, and those of sessions, which are kept nowhere: the session token holds
// everything, sealed. A session ends with its time, or with its role.
//
// What the store says about credentials and policies is remembered for a few seconds (cache), so that a burst of requests
// costs no reads. A write on this server counts at once, one on another server of the same database when that time is over.
package auth

import (
	"context"

	"grapnel/internal/awsapi"
	"grapnel/internal/seal"
	"grapnel/internal/store"
)

// Store is what of store.Store this package needs.
type Store interface {
	store.Identities
	HostByARN(ctx context.Context, arn string) (store.Host, error)
	OpenBundles(ctx context.Context, host string) ([]awsapi.S3Location, error)
}

// Options are the settings of an Auth; all are required.
type Options struct {
	Store     Store
	Key       *seal.Key // seals the secrets of access keys, and session tokens
	Region    string    // names the bucket of the agent's installer
	AccountID string    // twelve digits
}

// Auth finds identities and judges what they ask for. It may be used by many goroutines.
type Auth struct {
	store     Store
	key       *seal.Key
	account   string
	installer string // begins the ARNs of the agent's installer

	credentials cache[credential] // by access key id and session token
	policies    cache[[]inline]   // by their owner
}

// New returns an Auth.
func New(opts Options) *Auth {
	return &Auth{
		store: opts.Store, key: opts.Key, account: opts.AccountID,
		installer: ObjectARN("aws-codedeploy-"+opts.Region, "latest/"),
	}
}
