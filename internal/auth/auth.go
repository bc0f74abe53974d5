// Package auth knows who calls and what they may do: identities, their access keys, and the one question Allow.
//
// Who may do what: root everything; a registered host the host-command protocol (that a command is its own is checked by
// package hosts, which knows the command) and s3:GetObject of the bundles of its open Work; everybody with a valid key
// sts:GetCallerIdentity; nobody anything else. Inline policies are stored but not evaluated.
package auth

import (
	"context"
	"sync"

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
	Key       *seal.Key // seals the secrets of access keys
	AccountID string    // twelve digits
}

// Auth finds identities and judges what they ask for. It may be used by many goroutines.
type Auth struct {
	store   Store
	key     *seal.Key
	account string
	cache   cache
	issuing sync.Mutex // held while keys are counted and one is added, so that two requests cannot pass the limit
}

// New returns an Auth.
func New(opts Options) *Auth {
	return &Auth{store: opts.Store, key: opts.Key, account: opts.AccountID}
}
