package identity

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/singleflight"

	"grapnel/internal/agent/config"
)

const (
	// fileKeysHold is how long keys from a file are used without having been read again (agent.md 3.1).
	fileKeysHold = 30 * time.Minute
	// renewBefore is how long before their end keys are renewed (agent.md 3.1, 3.2).
	renewBefore = 5 * time.Minute
	// renewPause must pass after a failed renewal while the keys in hand still hold.
	renewPause = 5 * time.Second
	// renewLimit ends a renewal that hangs.
	renewLimit = 30 * time.Second
)

// keys are credentials and when to get new ones.
type keys struct {
	aws.Credentials
	changed func() bool // reports that they have been replaced before their end; nil = cannot be known
}

// replaced reports that newer keys are there to be read.
func (k keys) replaced() bool { return k.changed != nil && k.changed() }

// renewing is a provider of keys that change.
//
//	none ──read──▶ held ──less than 5 minutes left──▶ renewed behind the caller, who gets the ones in hand
//	  ▲              │  ╲─replaced in their file─────▶ read before the caller goes on
//	  └───expired────┘
//
// One renewal is under way at a time. When it fails, the keys in hand are used to their end: a file that is just being
// written, or a metadata service that is busy, must not cost a poll.
type renewing struct {
	read func(context.Context) (keys, error)
	log  *slog.Logger

	renewal singleflight.Group
	mu      sync.Mutex
	held    keys
	again   time.Time // no renewal before, as long as held holds
}

// Retrieve returns the keys that hold now. Its error says what to set.
func (r *renewing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	held, again := r.held, r.again
	r.mu.Unlock()
	now := time.Now()
	holds, replaced := held.Expires.After(now), held.replaced()
	if holds && (now.Before(again) || !replaced && held.Expires.Sub(now) >= renewBefore) {
		return held.Credentials, nil
	}
	result := r.renewal.DoChan("", func() (any, error) { return r.renew(holds) })
	if holds && !replaced {
		return held.Credentials, nil
	}
	select {
	case <-ctx.Done():
		return aws.Credentials{}, fmt.Errorf("waiting for credentials: %w", context.Cause(ctx))
	case got := <-result:
		if got.Err != nil && holds {
			return held.Credentials, nil
		} else if got.Err != nil {
			return aws.Credentials{}, got.Err
		}
		return got.Val.(aws.Credentials), nil
	}
}

// renew reads the keys. It belongs to no request, since several may wait for it and each may end.
func (r *renewing) renew(holds bool) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), renewLimit)
	defer cancel()
	got, err := r.read(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		if r.held.AccessKeyID != "" && r.held.AccessKeyID != got.AccessKeyID {
			r.log.Info("new credentials are in use", slog.String("source", got.Source), slog.String("access_key_id", got.AccessKeyID))
		}
		r.held, r.again = got, time.Time{}
		return got.Credentials, nil
	}
	r.again = time.Now().Add(renewPause)
	if holds {
		r.log.Warn("credentials cannot be renewed; those in hand are used while they hold",
			slog.Time("until", r.held.Expires), slog.Any("error", err))
	}
	return aws.Credentials{}, err
}

// userKeys reads the keys of the user arn from the on-premises file.
func userKeys(path, arn string) func(context.Context) (keys, error) {
	return func(context.Context) (keys, error) {
		changed := watch(path)
		file, absent, err := readOnPremises(path)
		switch {
		case err != nil:
			return keys{}, err
		case absent != nil:
			return keys{}, fmt.Errorf("on-premises file %s, which held the keys of %s: %w; restore it", path, arn, absent)
		case file[userMode] != arn:
			return keys{}, fmt.Errorf("on-premises file %s names %s now, and this agent was started as %s; restart it", path, file.arn(), arn)
		}
		return fromFile(path, file, changed), nil
	}
}

// sessionKeys reads the default profile of an AWS credentials file, which something else renews.
func sessionKeys(path string) func(context.Context) (keys, error) {
	return func(context.Context) (keys, error) {
		changed := watch(path)
		data, err := config.ReadFile(path)
		if err != nil {
			return keys{}, fmt.Errorf("aws_credentials_file of the on-premises file: %w; it is written by what renews the session's keys", err)
		}
		profile := iniSection(data, "default")
		if profile["aws_access_key_id"] == "" || profile["aws_secret_access_key"] == "" {
			return keys{}, fmt.Errorf("aws_credentials_file %s has no [default] profile with aws_access_key_id and aws_secret_access_key; add it", path)
		}
		return fromFile(path, profile, changed), nil
	}
}

func fromFile(path string, values map[string]string, changed func() bool) keys {
	return keys{changed: changed, Credentials: aws.Credentials{
		AccessKeyID:     values["aws_access_key_id"],
		SecretAccessKey: values["aws_secret_access_key"],
		SessionToken:    values["aws_session_token"],
		Source:          path,
		CanExpire:       true,
		Expires:         time.Now().Add(fileKeysHold),
	}}
}

// watch returns a function that reports whether the file may differ from what it is now. A file that was written just
// before counts as changed: within the coarseness of its time stamp it may be written again without a trace.
func watch(path string) (changed func() bool) {
	const coarse = 2 * time.Second // of FAT; every other file system is finer
	then, err := os.Stat(path)
	if err != nil || time.Since(then.ModTime()) < coarse {
		return func() bool { return true }
	}
	return func() bool {
		now, err := os.Stat(path)
		return err != nil || !os.SameFile(then, now) || now.Size() != then.Size() || !now.ModTime().Equal(then.ModTime())
	}
}

// iniSection returns the values of a section by lower-case key.
func iniSection(data []byte, name string) map[string]string {
	values := map[string]string{}
	inside := false
	for raw := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		line := strings.TrimSpace(string(raw))
		if section, ok := strings.CutPrefix(line, "["); ok {
			inside = strings.TrimSpace(strings.TrimSuffix(section, "]")) == name
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if inside && ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values
}
