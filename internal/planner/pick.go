package planner

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// revisionHealth ranks what a host runs, in the order in which hosts are picked (service.md 5.2 item 7).
type revisionHealth int

const (
	unknownRevision revisionHealth = iota
	oldRevision
	currentRevision
)

// pick returns the names of the selected hosts in the order in which a deployment takes them: unhealthy ones first, then
// by revision, otherwise at random. Chance is a hash of revision and name: the same request always gives the same plan,
// yet no host is always the first to try what is new.
//
// The order is all that item 8 of service.md 5.2 needs. When the first healthy host is taken, every unhealthy one has been
// taken before; the core then leaves at least the minimum neither failed nor in flight, and all of those are healthy.
func pick(r Request) []string {
	hosts := Select(r.Group, r.Hosts)
	if r.UpdateOutdatedInstancesOnly {
		hosts = slices.DeleteFunc(hosts, func(h Host) bool { return h.upToDate(r.RevisionKey) })
	}
	slices.SortFunc(hosts, func(a, b Host) int {
		return cmp.Or(
			cmp.Compare(a.rank(r.CurrentKey), b.rank(r.CurrentKey)),
			cmp.Compare(chance(r.RevisionKey, a.Name), chance(r.RevisionKey, b.Name)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	return names
}

// upToDate reports whether a deployment of the revision would change nothing. A host whose last attempt failed may have
// been left between two revisions, whatever succeeded on it before.
func (h Host) upToDate(revision string) bool { return h.Healthy && h.RevisionKey == revision }

// rank orders by health, then by revision health.
func (h Host) rank(current string) int {
	rank := int(h.revisionHealth(current))
	if h.Healthy {
		rank += int(currentRevision) + 1
	}
	return rank
}

func (h Host) revisionHealth(current string) revisionHealth {
	switch h.RevisionKey {
	case "":
		return unknownRevision
	case current:
		return currentRevision
	default:
		return oldRevision
	}
}

func chance(revision, name string) uint64 {
	sum := sha256.Sum256([]byte(revision + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}
