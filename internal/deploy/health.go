package deploy

// tally counts the targets of a phase by where they stand.
type tally struct {
	total   int
	waiting int // not begun
	flying  int // begun, not ended
	good    int // past the phase
	bad     int // failed
}

// standing is where a target stands in the current phase.
type standing int

const (
	waiting standing = iota
	flying
	good
	bad
	left // skipped: the deployment is ending
)

func (r *round) standing(t *Target) standing {
	switch t.Status {
	case TargetPending:
		return waiting
	case TargetInProgress:
		return flying
	case TargetSucceeded:
		return good
	case TargetFailed:
		return bad
	case TargetReady:
		if t.Step == len(r.current().Steps) {
			return good
		}
		return waiting
	default:
		return left
	}
}

func (r *round) waiting(t *Target) bool { return r.standing(t) == waiting }

func (r *round) tally() tally {
	count := tally{total: len(r.current().Targets)}
	for _, id := range r.current().Targets {
		count.add(r.standing(r.targets[id]))
	}
	return count
}

func (c *tally) add(s standing) {
	switch s {
	case waiting:
		c.waiting++
	case flying:
		c.flying++
	case good:
		c.good++
	case bad:
		c.bad++
	}
}

// minimum is M of service.md 5.2: how many of n targets stay in service.
func (h Health) minimum(n int) int {
	switch h.Type {
	case OneAtATime:
		return max(n-1, 0)
	case FleetPercent:
		return (n*h.Value + 99) / 100
	default:
		return h.Value
	}
}

// possible reports whether the rule lets any of n targets be taken out of service.
func (h Health) possible(n int) bool { return n == 0 || h.minimum(n) < n }

// mayStart reports whether one more target fits into the health budget: those in flight and those that failed, which are
// both out of service, never exceed it.
func (h Health) mayStart(c tally) bool {
	budget := c.total - h.minimum(c.total)
	return c.waiting > 0 && c.flying+c.bad < budget
}

// kept reports, once nothing is in flight, whether the phase ends well. Targets may still wait then: failures have used up
// the budget, so they may never start, and too few have succeeded. (To test instead whether failures exceed the budget hangs
// when they use up exactly all of it.) With none waiting, failures that spent the last of the budget are forgiven, but one
// target must have succeeded.
func (h Health) kept(c tally) bool { return c.good >= min(max(h.minimum(c.total), 1), c.total) }
