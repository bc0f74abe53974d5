package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/audit"
	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// rows is a store in memory.
type rows struct {
	mu      sync.Mutex
	records []awsapi.AuditRecord
	writes  int
	broken  error
}

func (r *rows) AppendAudit(_ context.Context, records []awsapi.AuditRecord) error {
	time.Sleep(time.Millisecond) // a disk takes its time
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	if r.broken == nil {
		r.records = append(r.records, records...)
	}
	return r.broken
}

func (r *rows) AuditRecords(context.Context, store.AuditFilter) ([]awsapi.AuditRecord, error) {
	return nil, nil
}

func (r *rows) PruneAudit(_ context.Context, before time.Time, limit int) (n int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.records) > 0 && r.records[0].Time.Before(before) && n < int64(limit) {
		r.records = r.records[1:]
		n++
	}
	return n, nil
}

// kept returns what is stored, and in how many writes it came.
func (r *rows) kept() (records []awsapi.AuditRecord, writes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records), r.writes
}

// run runs a log in a bubble; stop ends it and waits.
func run(r *rows, log *slog.Logger) (l *audit.Log, stop func()) {
	l = audit.New(audit.Options{Store: r, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	return l, func() { cancel(); <-ended }
}

// request is one that was refused.
func request(ctx context.Context, l *audit.Log, action string) {
	l.End(audit.Begin(ctx, awsapi.AuditRecord{Action: action}), "AccessDeniedException", strings.Repeat("é", 400))
}

// Nothing that has ended is lost when the server stops: neither what waits for the writer nor what comes after it.
func TestEverythingIsWrittenBeforeTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(rows)
		l, stop := run(r, slog.New(slog.DiscardHandler))
		const requests = 3000 // more than wait for the writer
		var group sync.WaitGroup
		for range requests {
			group.Go(func() { request(t.Context(), l, "iam:CreateUser") })
		}
		time.Sleep(2 * time.Millisecond) // the writer has begun
		stop()
		group.Wait()
		request(t.Context(), l, "iam:CreateUser")
		if records, _ := r.kept(); len(records) != requests+1 {
			t.Errorf("%d of %d records were written", len(records), requests+1)
		}
	})
}

// Those that come at once are written together.
func TestRecordsShareWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(rows)
		l, stop := run(r, slog.New(slog.DiscardHandler))
		for range 1000 {
			request(t.Context(), l, "iam:CreateUser")
		}
		stop()
		if records, writes := r.kept(); len(records) != 1000 || writes > 10 {
			t.Errorf("%d writes for %d of 1000 records", writes, len(records))
		}
	})
}

func TestMessagesAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(rows)
		l, stop := run(r, slog.New(slog.DiscardHandler))
		request(t.Context(), l, "iam:CreateUser")
		stop()
		records, _ := r.kept()
		if got, want := records[0].Message, strings.Repeat("é", 250)+"…"; got != want {
			t.Errorf("got %d bytes: %q", len(got), got)
		}
	})
}

// What the store does not take is in the log of the server.
func TestWhatCannotBeStoredIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		r := &rows{broken: errors.New("disk full")}
		l, stop := run(r, slog.New(slog.NewTextHandler(&text, nil)))
		request(t.Context(), l, "iam:CreateUser")
		stop()
		if !strings.Contains(text.String(), "disk full") || !strings.Contains(text.String(), "iam:CreateUser") {
			t.Errorf("the log says: %s", text.String())
		}
	})
}

func TestOldRecordsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(rows)
		l, stop := run(r, slog.New(slog.DiscardHandler))
		for range 2500 { // more than one write deletes
			request(t.Context(), l, "iam:CreateUser")
		}
		time.Sleep(audit.DefaultKeep - time.Hour)
		request(t.Context(), l, "iam:DeleteUser")
		time.Sleep(time.Second) // until it is written
		if records, _ := r.kept(); len(records) != 2501 {
			t.Errorf("%d records are there before their time", len(records))
		}
		time.Sleep(3 * time.Hour)
		if records, _ := r.kept(); len(records) != 1 || records[0].Action != "iam:DeleteUser" {
			t.Errorf("%d records are left", len(records))
		}
		stop()
	})
}

func TestReadsAreNotRecorded(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]bool{
		"codedeploy:GetDeployment": false, "codedeploy:BatchGetDeployments": false, "codedeploy:ListDeployments": false, "s3:HeadBucket": false,
		"codedeploy:CreateDeployment": true, "sts:AssumeRole": true, "s3:DeleteObject": true,
	} {
		if got := audit.Changes(action); got != want {
			t.Errorf("%s changes something: %v", action, got)
		}
		ctx := audit.Begin(t.Context(), awsapi.AuditRecord{})
		audit.Note(ctx, action, "arn")
		if _, ok := store.AuditOf(ctx).End(time.Now(), store.AuditOK, ""); ok != want {
			t.Errorf("%s is on record: %v", action, ok)
		}
	}
}
