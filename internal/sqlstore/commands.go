package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

const commandColumns = workColumns + `, deployment_id, handed_at, handovers`

func scanCommand(row scanner) (c store.Command, err error) {
	err = row.Scan(append(workFields(&c.Work), &c.Deployment, instant{&c.HandedAt}, &c.Handovers)...)
	return c, err
}

// nextCommand selects what a host ($1) may be handed at $2: Pending host Work not handed over since $3. Work past its Due
// is left to the engine.
const nextCommand = `SELECT id FROM work WHERE target = $1 AND NOT settled AND runner = 0 AND status = 'Pending'
	AND handed_at < $3 AND (due = 0 OR due > $2) ORDER BY issued_at, id LIMIT 1 `

// HandOver implements store.Commands. It looks before it writes: most polls find nothing, and a write costs a sync.
func (s *Store) HandOver(ctx context.Context, host string, at, again time.Time) (c store.Command, err error) {
	_, err = readOne(ctx, s, column[string], nextCommand, host, micros(at), micros(again))
	if err == nil {
		err = s.update(ctx, func(t *tx) error {
			c, err = one(t, scanCommand, `UPDATE work SET handed_at = $2, handovers = handovers + 1
				WHERE id = (`+nextCommand+`{{skip}}) RETURNING `+commandColumns, host, micros(at), micros(again))
			return err
		})
	}
	if err != nil {
		return store.Command{}, fmt.Errorf("command for host %s: %w", host, err)
	}
	return c, nil
}

// HandBack implements store.Commands. A Work that was taken or handed over again since is left alone.
func (s *Store) HandBack(ctx context.Context, work string, at time.Time) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE work SET handed_at = 0
			WHERE id = $1 AND handed_at = $2 AND status = 'Pending'`, work, micros(at))
		return err
	})
}

// Command implements store.Commands.
func (s *Store) Command(ctx context.Context, work string) (c store.Command, err error) {
	err = s.look(ctx, func(t *tx) error {
		c, err = loadCommand(t, work)
		return err
	})
	return c, err
}

func loadCommand(t *tx, work string) (store.Command, error) {
	c, err := one(t, scanCommand, `SELECT `+commandColumns+` FROM work w WHERE w.id = $1`, work)
	if err != nil {
		err = fmt.Errorf("command %s: %w", work, err)
	}
	return c, err
}

// Acknowledge implements store.Commands. A no-op is a success, and says so (service.md 3.4).
func (s *Store) Acknowledge(ctx context.Context, work string, noop bool, at time.Time) (c store.Command, first bool, err error) {
	move := `UPDATE work SET status = 'Running', acked_at = $2, due = $2 + timeout / 1000`
	if noop {
		move = `UPDATE work SET status = 'Succeeded', acked_at = $2, ended_at = $2, error_code = 'Success'`
	}
	err = s.update(ctx, func(t *tx) error {
		c, err = one(t, scanCommand, move+` WHERE id = $1 AND status = 'Pending' AND NOT settled AND (due = 0 OR due > $2)
			RETURNING `+commandColumns, work, micros(at))
		first = err == nil
		if errors.Is(err, store.ErrNotFound) {
			c, err = loadCommand(t, work)
		}
		return err
	})
	return c, first, err
}

// Complete implements store.Commands.
func (s *Store) Complete(ctx context.Context, work string, status deploy.WorkStatus, d deploy.Diagnostics, at time.Time) error {
	return s.update(ctx, func(t *tx) error {
		err := t.must(`UPDATE work SET status = $2, ended_at = $3, error_code = $4, script_name = $5, message = $6, log_tail = $7
			WHERE id = $1 AND status IN ('Pending', 'Running') AND NOT settled`,
			work, string(status), micros(at), d.ErrorCode, d.ScriptName, d.Message, d.LogTail)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err := loadCommand(t, work); err != nil {
			return err
		}
		return fmt.Errorf("command %s: %w", work, store.ErrEnded)
	})
}

// selectOpenBundles selects the revisions of which a host ($1) has open Work.
const selectOpenBundles = `SELECT DISTINCT r.location FROM work w
	JOIN deployments d ON d.id = w.deployment_id
	JOIN deployment_groups g ON g.id = d.group_id
	JOIN revisions r ON r.application_id = g.application_id AND r.key = d.revision_key
	WHERE w.target = $1 AND NOT w.settled AND w.runner = 0 AND w.status IN ('Pending', 'Running') ORDER BY r.location`

// OpenBundles implements store.Commands.
func (s *Store) OpenBundles(ctx context.Context, host string) (bundles []awsapi.S3Location, err error) {
	revisions, err := readList(ctx, s, func(row scanner) (r awsapi.RevisionLocation, err error) {
		err = row.Scan(document{&r})
		return r, err
	}, selectOpenBundles, host)
	for _, r := range revisions {
		if r.S3Location != nil {
			bundles = append(bundles, *r.S3Location)
		}
	}
	return bundles, err
}
