// Package audit keeps a record of every change: who asked for what, from where, and what became of it
// (docs/design/audit.md).
//
//	request ─► Begin: store.Audit in its context ─► Note: action, resources ─► first write: record in its transaction
//	                                                                                  │ or, when there was none
//	                                                            End ─► queue ─► Run ─► AppendAudit
//
// A change of something in the database and its record are one transaction. What changes nothing there (a refusal, a change
// that was made before, an object in the bundle store) is appended by one writer, many records at a time.
package audit

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

const (
	// maxQueue is how many records may wait for the writer. A request that finds it full waits: nothing is dropped.
	maxQueue = 1024
	// maxBatch is how many of them one write stores.
	maxBatch = 256
	// storeLimit bounds one write.
	storeLimit = 10 * time.Second
	// maxMessage is the longest message that is kept, in bytes: messages repeat what the caller sent.
	maxMessage = 500

	// DefaultKeep is how long records are kept.
	DefaultKeep = 400 * 24 * time.Hour
	// pruneEvery is how often records that are too old are looked for.
	pruneEvery = time.Hour
	// pruneAtOnce is how many records one write deletes; the writes of others wait for it.
	pruneAtOnce = 1000
)

// Options are the settings of a Log.
type Options struct {
	Store store.AuditLog
	Keep  time.Duration // how long records are kept; 0 means DefaultKeep
	Log   *slog.Logger  // nil means slog.Default
}

// Log is the audit log. Make one with New, and run it with Run.
type Log struct {
	store store.AuditLog
	keep  time.Duration
	log   *slog.Logger

	queueing sync.RWMutex // held for reading while a record is queued
	queue    chan awsapi.AuditRecord
	stopped  chan struct{} // closed when nothing is queued any more
}

// New returns a Log.
func New(o Options) *Log {
	return &Log{
		store: o.Store, keep: cmp.Or(o.Keep, DefaultKeep), log: cmp.Or(o.Log, slog.Default()),
		queue: make(chan awsapi.AuditRecord, maxQueue), stopped: make(chan struct{}),
	}
}

// Changes reports whether an action ("iam:CreateUser") changes something, as far as its name tells: AWS names reads with one
// of four verbs.
func Changes(action string) bool {
	_, operation, _ := strings.Cut(action, ":")
	for _, read := range []string{"Get", "List", "BatchGet", "Head"} {
		if strings.HasPrefix(operation, read) {
			return false
		}
	}
	return true
}

// Begin returns the context of a request that may change something. r is what is known of it so far; with an empty Action
// nothing is recorded until Note names one.
func Begin(ctx context.Context, r awsapi.AuditRecord) context.Context {
	return store.WithAudit(ctx, store.NewAudit(r))
}

// Note tells the record of the request what it asks for, where that is found out: where it is asked whether its sender may.
// It is for changes; a read that is part of one is not worth telling.
func Note(ctx context.Context, action string, resources ...string) {
	if Changes(action) {
		store.AuditOf(ctx).Note(action, resources...)
	}
}

// End records how a request ended, unless the record of its change says it already. result is store.AuditOK, or the name of
// the error that its sender was told, with its message.
func (l *Log) End(ctx context.Context, result, message string) {
	audit := store.AuditOf(ctx)
	if audit == nil {
		return
	}
	if r, ok := audit.End(time.Now(), result, head(message)); ok {
		l.append(r)
	}
}

// append queues a record for Run; once Run has ended, because the request outlived the draining of the server, it is written
// here.
func (l *Log) append(r awsapi.AuditRecord) {
	if !l.enqueue(r) {
		l.write(r)
	}
}

func (l *Log) enqueue(r awsapi.AuditRecord) bool {
	l.queueing.RLock()
	defer l.queueing.RUnlock()
	select {
	case <-l.stopped:
		return false
	default:
	}
	select {
	case l.queue <- r:
		return true
	case <-l.stopped:
		return false
	}
}

// Run appends what ends and deletes what is too old, until ctx ends; then it appends what still waits. It returns nil.
func (l *Log) Run(ctx context.Context) error {
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	l.prune(ctx)
	for {
		select {
		case first := <-l.queue:
			l.write(l.batch(first)...)
		case <-prune.C:
			l.prune(ctx)
		case <-ctx.Done():
			l.finish()
			return nil
		}
	}
}

// finish ends the queue. After it nothing is in it: who was about to queue a record has done so, or writes it without it.
func (l *Log) finish() {
	close(l.stopped)
	l.queueing.Lock()
	defer l.queueing.Unlock()
	for len(l.queue) > 0 {
		l.write(l.batch(<-l.queue)...)
	}
}

// batch returns first and what waits behind it.
func (l *Log) batch(first awsapi.AuditRecord) []awsapi.AuditRecord {
	batch := []awsapi.AuditRecord{first}
	for len(batch) < maxBatch && len(l.queue) > 0 {
		batch = append(batch, <-l.queue)
	}
	return batch
}

// write stores records. What cannot be stored goes to the log of the server, which then is the only place that has it.
func (l *Log) write(records ...awsapi.AuditRecord) {
	ctx, cancel := context.WithTimeout(context.Background(), storeLimit)
	defer cancel()
	err := l.store.AppendAudit(ctx, records)
	if err == nil {
		return
	}
	for _, r := range records {
		l.log.Error("an audit record could not be stored", "error", err, "who", r.Who, "access_key", r.AccessKey, "source", r.Source,
			"action", r.Action, "resources", r.Resources, "request", r.RequestId, "result", r.Result)
	}
}

func (l *Log) prune(ctx context.Context) {
	for {
		n, err := l.store.PruneAudit(ctx, time.Now().Add(-l.keep), pruneAtOnce)
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			l.log.Error("old audit records could not be deleted; it is tried again", "error", err)
			return
		case n < pruneAtOnce:
			return
		}
	}
}

// head cuts a message to maxMessage bytes, between characters.
func head(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}
