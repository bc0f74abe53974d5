package install

import (
	"slices"
	"strings"

	"grapnel/internal/appspec"
)

// matches implements the matching of agent.md 7.3: "**" reaches every depth, any other pattern direct children only, and
// except direct children only.
func matches(object string, entry *appspec.Permission, path string) bool {
	rest, below := strings.CutPrefix(path, strings.TrimSuffix(object, "/")+"/")
	if !below || rest == "" {
		return false
	}
	direct := !strings.Contains(rest, "/")
	if entry.Pattern != "**" && !(direct && matchStars(entry.Pattern, rest)) {
		return false
	}
	return !slices.ContainsFunc(entry.Except, func(except string) bool { return direct && matchStars(except, rest) })
}

// matchStars matches a pattern whose only special character is "*", any run of characters. It goes back to the last star
// only, which is enough and keeps the time at len(pattern)*len(name) however many stars there are.
func matchStars(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
