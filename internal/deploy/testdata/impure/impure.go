// Package impure does everything that the core may not; TestPureCatches reads it.
package impure

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Order offends six times, and not where it sorts.
func Order(m map[string]int) (out []string) {
	start := time.Now()
	for k := range m {
		out = append(out, k)
	}
	for k := range maps.Keys(m) {
		out = append(out, k)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k)
	}
	go rand.Int()
	if time.Since(start) > 0 {
		return nil
	}
	return out
}
