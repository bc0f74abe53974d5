package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// RegisterHost implements store.Hosts.
func (s *Store) RegisterHost(ctx context.Context, h store.Host) error {
	err := s.updateIdentities(ctx, func(t *tx) error { return registerHost(t, h) })
	return about(err, "host %s", awsapi.Value(h.Info.InstanceName))
}

// registerHost registers a host. A deregistered one of the same name gives way.
func registerHost(t *tx, h store.Host) error {
	i := h.Info
	name, arn := awsapi.Value(i.InstanceName), cmp.Or(awsapi.Value(i.IamUserArn), awsapi.Value(i.IamSessionArn))
	i.Tags = nil
	holder, err := one(t, column[string], `SELECT name FROM hosts WHERE arn = $1 AND deregistered_at = 0 {{lock}}`, arn)
	switch {
	case err == nil && holder == name:
		return store.ErrExists
	case err == nil:
		return &store.ARNInUseError{Host: holder}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	n, err := t.exec(`INSERT INTO hosts (name, arn, registered_at, info, tags) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO UPDATE SET arn = excluded.arn, registered_at = excluded.registered_at, deregistered_at = 0,
			last_seen_at = 0, agent = '', info = excluded.info, tags = excluded.tags
		WHERE hosts.deregistered_at <> 0`,
		name, arn, micros(i.RegisterTime.Time), document{i}, document{h.Info.Tags})
	if err == nil && n == 0 {
		err = store.ErrExists
	}
	return err
}

const selectHost = `SELECT name, registered_at, deregistered_at, last_seen_at, agent, info, tags FROM hosts `

func scanHost(row scanner) (h store.Host, err error) {
	var name string
	var registered, deregistered awsapi.Epoch
	err = row.Scan(&name, instant{&registered.Time}, instant{&deregistered.Time}, instant{&h.LastSeen}, &h.Agent,
		document{&h.Info}, document{&h.Info.Tags})
	h.Info.InstanceName, h.Info.RegisterTime, h.Info.DeregisterTime = &name, registered, deregistered
	return h, err
}

// Host implements store.Hosts.
func (s *Store) Host(ctx context.Context, name string) (store.Host, error) {
	h, err := readOne(ctx, s, scanHost, selectHost+`WHERE name = $1`, name)
	return h, about(err, "host %s", name)
}

// HostByARN implements store.Hosts.
func (s *Store) HostByARN(ctx context.Context, arn string) (store.Host, error) {
	h, err := readOne(ctx, s, scanHost, selectHost+`WHERE arn = $1 AND deregistered_at = 0`, arn)
	return h, about(err, "host with ARN %s", arn)
}

// Hosts implements store.Hosts.
func (s *Store) Hosts(ctx context.Context) ([]store.Host, error) {
	return readList(ctx, s, scanHost, selectHost+`ORDER BY name`)
}

// deregistered is what a Work says that ends with the registration of its host.
const deregistered = "the host was deregistered while it ran this"

// DeregisterHost implements store.Hosts.
func (s *Store) DeregisterHost(ctx context.Context, name string, at time.Time) (deployments []string, err error) {
	err = s.updateIdentities(ctx, func(t *tx) error {
		err := t.must(`UPDATE hosts SET deregistered_at = $2 WHERE name = $1 AND deregistered_at = 0`, name, micros(at))
		if err != nil {
			return err
		}
		deployments, err = list(t, column[string], `UPDATE work SET status = 'Failed', ended_at = $2, error_code = 'UnknownError', message = $3
			WHERE target = $1 AND NOT settled AND runner = 0 AND status IN ('Pending', 'Running') RETURNING deployment_id`,
			name, micros(at), deregistered)
		return err
	})
	return deployments, about(err, "host %s", name)
}

// TagHosts implements store.Hosts.
func (s *Store) TagHosts(ctx context.Context, names []string, change store.TagChange) error {
	// In one order everywhere, so that two changes of the same hosts do not wait for each other.
	names = slices.Sorted(slices.Values(names))
	return s.update(ctx, func(t *tx) error {
		for _, name := range names {
			if err := tagHost(t, name, change); err != nil {
				return fmt.Errorf("tag host %s: %w", name, err)
			}
		}
		return nil
	})
}

func tagHost(t *tx, name string, change store.TagChange) error {
	h, err := one(t, scanHost, selectHost+`WHERE name = $1 AND deregistered_at = 0 {{lock}}`, name)
	if errors.Is(err, store.ErrNotFound) {
		return &store.NotRegisteredError{Host: name}
	}
	if err != nil {
		return err
	}
	tags := slices.DeleteFunc(h.Info.Tags, func(tag awsapi.Tag) bool { return hasTag(change.Remove, tag) })
	for _, tag := range change.Add {
		if !hasTag(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) > change.Limit {
		return &store.TagLimitError{Host: name}
	}
	return t.must(`UPDATE hosts SET tags = $2 WHERE name = $1`, name, document{tags})
}

// hasTag compares key and value; an absent one equals an empty one.
func hasTag(tags []awsapi.Tag, tag awsapi.Tag) bool {
	return slices.ContainsFunc(tags, func(t awsapi.Tag) bool {
		return awsapi.Value(t.Key) == awsapi.Value(tag.Key) && awsapi.Value(t.Value) == awsapi.Value(tag.Value)
	})
}

// HostsSeen implements store.Hosts.
func (s *Store) HostsSeen(ctx context.Context, seen []store.Presence) error {
	var rows [][]any
	for _, p := range seen {
		rows = append(rows, []any{p.Host, micros(p.At), p.Agent})
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
	return s.update(ctx, func(t *tx) error {
		_, err := t.many(`WITH v (name, at, agent) AS (VALUES `, `(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT))`,
			`) UPDATE hosts SET last_seen_at = v.at, agent = v.agent FROM v WHERE hosts.name = v.name AND hosts.last_seen_at < v.at`,
			rows)
		return err
	})
}
