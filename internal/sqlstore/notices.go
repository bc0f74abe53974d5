package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// updateNoticing runs a write that may queue notices, and tells that it did.
func (s *Store) updateNoticing(ctx context.Context, fn func(*tx) (noticed bool, err error)) error {
	var noticed bool
	err := s.update(ctx, func(t *tx) (err error) {
		noticed, err = fn(t)
		return err
	})
	if err == nil && noticed {
		s.Noticed()
	}
	return err
}

// notice queues what triggers of the deployment's group ask for of what can be told, and reports whether that was anything.
// Without a Noticed nothing is looked at, and the group only when there is something to tell: most rounds have nothing.
func (s *Store) notice(t *tx, deployment string, tell func() []store.Notice) (bool, error) {
	if s.Noticed == nil {
		return false, nil
	}
	notices := tell()
	if len(notices) == 0 {
		return false, nil
	}
	groups, err := list(t, func(row scanner) (g awsapi.DeploymentGroupInfo, err error) {
		err = row.Scan(document{&g})
		return g, err
	}, `SELECT g.info FROM deployments d JOIN deployment_groups g ON g.id = d.group_id WHERE d.id = $1 AND g.triggered`, deployment)
	if err != nil || len(groups) == 0 {
		return false, err
	}
	var rows [][]any
	for _, n := range notices {
		for _, trigger := range groups[0].TriggerConfigurations {
			if slices.Contains(trigger.TriggerEvents, n.Event) {
				rows = append(rows, []any{awsapi.Value(trigger.TriggerTargetArn), awsapi.Value(trigger.TriggerName), string(n.Event),
					n.Deployment, n.Target, n.Status, micros(n.At)})
			}
		}
	}
	n, err := t.many(`INSERT INTO notices (topic, trigger_name, event, deployment_id, target, status, at) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?)`, ``, rows)
	if err != nil {
		return false, fmt.Errorf("queue notices: %w", err)
	}
	return n > 0, nil
}

const firstOfTopics = ` FROM notices WHERE place IN (SELECT min(place) FROM notices GROUP BY topic)`

// TakeNotices implements store.Notices. It writes only when there is one to take.
func (s *Store) TakeNotices(ctx context.Context, now, until time.Time) (taken []store.Notice, wake time.Time, err error) {
	dues, err := readList(ctx, s, func(row scanner) (due time.Time, err error) {
		err = row.Scan(instant{&due})
		return due, err
	}, `SELECT due`+firstOfTopics)
	if err != nil {
		return nil, wake, fmt.Errorf("look for notices: %w", err)
	}
	ready := false
	for _, due := range dues {
		switch {
		case !due.After(now):
			ready = true
		case wake.IsZero() || due.Before(wake):
			wake = due
		}
	}
	if !ready {
		return nil, wake, nil
	}
	err = s.update(ctx, func(t *tx) (err error) {
		taken, err = list(t, scanNotice, `UPDATE notices SET due = $2 WHERE due <= $1 AND place IN (SELECT place`+firstOfTopics+`)
			RETURNING place, topic, trigger_name, event, deployment_id, target, status, at, failures`, micros(now), micros(until))
		return err
	})
	if err != nil {
		return nil, wake, fmt.Errorf("take notices: %w", err)
	}
	slices.SortFunc(taken, func(a, b store.Notice) int { return cmp.Compare(a.Place, b.Place) })
	return taken, wake, nil
}

func scanNotice(row scanner) (n store.Notice, err error) {
	err = row.Scan(&n.Place, &n.Topic, &n.Trigger, &n.Event, &n.Deployment, &n.Target, &n.Status, instant{&n.At}, &n.Failures)
	return n, err
}

// DelayNotice implements store.Notices.
func (s *Store) DelayNotice(ctx context.Context, place int64, until time.Time) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE notices SET due = $2, failures = failures + 1 WHERE place = $1`, place, micros(until))
		return about(err, "delay notice %d", place)
	})
}

// DropNotice implements store.Notices.
func (s *Store) DropNotice(ctx context.Context, place int64) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM notices WHERE place = $1`, place)
		return about(err, "drop notice %d", place)
	})
}

// TriggeredGroups implements store.Notices.
func (s *Store) TriggeredGroups(ctx context.Context) (int, error) {
	return readOne(ctx, s, column[int], `SELECT count(*) FROM deployment_groups WHERE triggered`)
}
