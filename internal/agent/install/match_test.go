package install

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/appspec"
)

func TestMatchStars(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "abc", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false}, {"*.sh", "a.sh.sh", true},
		{"***", "x", true}, {"a?c", "abc", false}, {"a?c", "a?c", true}, {"[ab]", "a", false}, {"", "", true}, {"", "a", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false},
	} {
		if got := matchStars(test.pattern, test.name); got != test.want {
			t.Errorf("matchStars(%q, %q) = %v, want %v", test.pattern, test.name, got, test.want)
		}
	}
}

// slowMatch is the definition: a star is any run.
func slowMatch(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	}
	return name != "" && pattern[0] == name[0] && slowMatch(pattern[1:], name[1:])
}

func TestMatchStarsIsWhatAStarMeans(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern"), rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
		if got, want := matchStars(pattern, name), slowMatch(pattern, name); got != want {
			t.Fatalf("matchStars(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

// The matcher of another agent takes exponential time: here that would be longer than the universe has.
// users.md mistakes: 11
func TestMistakeGlobTakesExponentialTime(t *testing.T) {
	t.Parallel()
	done := make(chan bool, 1)
	go func() { done <- matchStars(strings.Repeat("*a", 60)+"b", strings.Repeat("a", 4000)) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matched")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still matching after 30 s")
	}
}

// agent.md 16: 135, 136
func TestMatches(t *testing.T) {
	t.Parallel()
	entry := func(pattern string, except ...string) *appspec.Permission {
		return &appspec.Permission{Pattern: pattern, Except: except}
	}
	for _, test := range []struct {
		entry *appspec.Permission
		path  string
		want  bool
	}{
		{entry("**"), "/app", false}, {entry("**"), "/app/a", true}, {entry("**"), "/app/a/b", true}, {entry("**"), "/apple", false},
		{entry("*"), "/app/a", true}, {entry("*"), "/app/a/b", false}, {entry("***"), "/app/a/b", false},
		{entry("**", "a"), "/app/a", false}, {entry("**", "b"), "/app/a/b", true}, {entry("**", "a/b"), "/app/a/b", true},
	} {
		if got := matches("/app", test.entry, test.path); got != test.want {
			t.Errorf("pattern %q except %q: %s = %v, want %v", test.entry.Pattern, test.entry.Except, test.path, got, test.want)
		}
	}
	if !matches("/", entry("**"), "/app") {
		t.Error("nothing lies below the object /")
	}
}
