package engine

import (
	"errors"
	"time"

	"grapnel/internal/store"
)

// Observation is what one round was: for metrics.
type Observation struct {
	Outcome  Outcome
	Decide   time.Duration // that the core took
	Commit   time.Duration // that the store took; zero when there was nothing to commit
	Issued   int           // Work committed for somebody to take
	Rollback bool          // a rollback was started
}

// Outcome is how a round ended.
type Outcome string

// Outcomes of a round.
const (
	Changed   Outcome = "changed"   // committed
	Unchanged Outcome = "unchanged" // nothing was wanted
	Conflict  Outcome = "conflict"  // something moved between load and commit
	Failed    Outcome = "failed"    // the store could not be reached, or the core panicked
)

// failure tells how a round ended that returned an error.
func failure(err error) Outcome {
	if errors.Is(err, store.ErrConflict) {
		return Conflict
	}
	return Failed
}
