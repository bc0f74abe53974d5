package appspec

import (
	"path"
	"strings"
	"unicode/utf8"
)

// Suggest returns the candidate that name was most likely meant to be, or "" if none is close. Case does not matter, and of
// paths the last element counts first, so that a script is found in another folder as well.
func Suggest(name string, candidates []string) string {
	name = normalise(name)
	base := path.Base(name)
	limit := max(1, utf8.RuneCountInString(base)/3)
	best, bestBase, bestWhole := "", limit+1, 0
	for _, candidate := range candidates {
		other := normalise(candidate)
		distance := editDistance(base, path.Base(other), limit)
		if distance > bestBase || distance > limit {
			continue
		}
		whole := editDistance(name, other, len(name)+len(other))
		if distance < bestBase || whole < bestWhole {
			best, bestBase, bestWhole = candidate, distance, whole
		}
	}
	return best
}

func normalise(name string) string { return strings.ToLower(path.Clean(name)) }

// editDistance returns how many characters must be inserted, deleted, replaced or swapped with their neighbour to turn a into
// b, or limit+1 when that is seen to be more than limit.
func editDistance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > limit || len(y)-len(x) > limit {
		return limit + 1
	}
	before, above, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			replace := above[j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(y)]
}
