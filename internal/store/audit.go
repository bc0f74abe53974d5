package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"grapnel/internal/awsapi"
)

// Audit becomes the audit record of one request. It travels in the request's context: the first write that is made with
// that context stores the record in its own transaction, so that no change can exist without its record
// (docs/design/audit.md). A request's writes come one after the other.
type Audit struct {
	mu     sync.Mutex
	record awsapi.AuditRecord
	size   int  // bytes of its resources
	left   int  // resources left out
	stored bool // by the transaction of a write
}

// Bounds of a record in bytes, so that refused calls do not fill the disk: deleting a thousand objects is one request, and
// names that callers make up are as long as they like. No ARN is longer than that of an object, whose key has up to 1,024.
const (
	maxAuditResource  = 1100
	maxAuditResources = 4 << 10 // together
)

// NewAudit returns the record of a request as far as it is known when the request arrives. With an empty action nothing is
// recorded until Note names one.
func NewAudit(r awsapi.AuditRecord) *Audit { return &Audit{record: r} }

type auditKey struct{}

// WithAudit returns a context of a request that is audited.
func WithAudit(ctx context.Context, a *Audit) context.Context {
	return context.WithValue(ctx, auditKey{}, a)
}

// AuditOf returns the Audit of a request, nil when it is not audited.
func AuditOf(ctx context.Context) *Audit {
	a, _ := ctx.Value(auditKey{}).(*Audit)
	return a
}

// Note tells what the request asks for. The first action counts; resources add up. On nil it does nothing.
func (a *Audit) Note(action string, resources ...string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.record.Action == "" {
		a.record.Action = action
	}
	for _, r := range resources {
		switch {
		case slices.Contains(a.record.Resources, r):
		case len(r) > maxAuditResource, a.size+len(r) > maxAuditResources:
			a.left++
		default:
			a.size += len(r)
			a.record.Resources = append(a.record.Resources, r)
		}
	}
}

// Change returns the record that the transaction of a write has to store; false when there is none, because an earlier one
// has stored it or nothing is recorded. Stored is called when the transaction is durable.
func (a *Audit) Change(at time.Time) (awsapi.AuditRecord, bool) {
	if a == nil {
		return awsapi.AuditRecord{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stored || a.record.Action == "" {
		return awsapi.AuditRecord{}, false
	}
	return a.ended(at, AuditOK, ""), true
}

// Stored says that the record of the change is durable.
func (a *Audit) Stored() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored = true
}

// AuditOK is the result of a request that succeeded.
const AuditOK = "ok"

// End returns the record that is to be appended when the request has ended; false when there is none. A request that changed
// something and failed after that has two: that of the change stays as it is, records never change.
func (a *Audit) End(at time.Time, result, message string) (awsapi.AuditRecord, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.record.Action == "" || a.stored && result == AuditOK {
		return awsapi.AuditRecord{}, false
	}
	return a.ended(at, result, message), true
}

func (a *Audit) ended(at time.Time, result, message string) awsapi.AuditRecord {
	r := a.record
	r.Time, r.Result, r.Message = awsapi.At(at), result, message
	r.Resources = slices.Clone(r.Resources)
	if a.left > 0 {
		r.Resources = append(r.Resources, fmt.Sprintf("(%d more)", a.left))
	}
	return r
}

// AuditFilter selects audit records; zero members select all.
type AuditFilter struct {
	After, Before int64     // places, both exclusive
	Oldest        bool      // first; else the newest
	Who           string    // an ARN, or its part after the last slash
	Action        string    // whole
	Prefix        string    // of the action
	Since, Until  time.Time // the first inclusive, the second not
	Limit         int
}

// AuditLog keeps audit records. Their places grow in the order in which they become visible: who has seen one has missed none
// before it.
type AuditLog interface {
	AppendAudit(ctx context.Context, records []awsapi.AuditRecord) error // in this order; their places are given here
	AuditRecords(ctx context.Context, f AuditFilter) ([]awsapi.AuditRecord, error)
	// PruneAudit deletes records that are older than before, at most limit, and returns how many.
	PruneAudit(ctx context.Context, before time.Time, limit int) (int64, error)
}
