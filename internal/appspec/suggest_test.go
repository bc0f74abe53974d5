package appspec

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSuggest(t *testing.T) {
	t.Parallel()
	scripts := []string{"appspec.yml", "scripts/start_application.sh", "scripts/stop_application.sh", "old/start_application.sh", "README.md"}
	events := []string{"BeforeInstall", "AfterInstall", "ApplicationStart", "ApplicationStop", "ValidateService"}
	for _, c := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"AfterInstal", events, "AfterInstall"},
		{"afterinstall", events, "AfterInstall"},
		{"AplicationStart", events, "ApplicationStart"},
		{"ApplicationStopp", events, "ApplicationStop"},
		{"SomethingElse", events, ""},
		{"", events, ""},
		{"scripts/start_aplication.sh", scripts, "scripts/start_application.sh"},
		{"./scripts/strat_application.sh", scripts, "scripts/start_application.sh"},
		{"start_application.sh", scripts, "old/start_application.sh"}, // the nearer path
		{"old/start_application.sh", scripts, "old/start_application.sh"},
		{"scrpts/start_application.sh", scripts, "scripts/start_application.sh"},
		{"x", nil, ""},
	} {
		if got := Suggest(c.name, c.candidates); got != c.want {
			t.Errorf("Suggest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEditDistanceIsADistance(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[ab]{0,7}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		there, back := editDistance(a, b, 9), editDistance(b, a, 9)
		if there != back || (there == 0) != (a == b) || there > max(len(a), len(b)) {
			t.Fatalf("%q to %q is %d, back %d", a, b, there, back)
		}
		if slow := slowDistance(a, b); there != slow {
			t.Fatalf("%q to %q is %d, the recursive definition says %d", a, b, there, slow)
		}
	})
}

// slowDistance is the definition of the distance, without a table.
func slowDistance(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	best := min(slowDistance(a[1:], b)+1, slowDistance(a, b[1:])+1)
	if a[0] == b[0] {
		best = min(best, slowDistance(a[1:], b[1:]))
	} else {
		best = min(best, slowDistance(a[1:], b[1:])+1)
	}
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		best = min(best, slowDistance(a[2:], b[2:])+1)
	}
	return best
}
