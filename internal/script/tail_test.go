package script

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The first 2 KB of output were kept instead of the last.
//
// agent.md 16: 194
// users.md mistakes: 7
func TestMistake7TailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var tail Tail
	for i := range 10_000 {
		tail.Add("", []byte(fmt.Sprintf("[stdout]line %d", i)))
	}
	got := tail.String()
	if !strings.HasSuffix(got, "[stdout]line 9999\n") || !strings.HasPrefix(got, "[stdout]line ") {
		t.Errorf("tail = %q", got)
	}
	const entry = len("[stdout]line 9999\n")
	if len(got) >= TailLimit || len(got) < TailLimit-entry {
		t.Errorf("tail has %d bytes, want as many whole lines as stay below %d", len(got), TailLimit)
	}
}

// The stock agent sends nothing at all when one entry is too long, such as an error message that is one line of JSON.
//
// agent.md 16: 194
func TestTailShortensLongEntries(t *testing.T) {
	t.Parallel()
	var tail Tail
	tail.Add("", []byte("before"))
	tail.Add("", []byte(strings.Repeat("ä", 5000)+"end"))
	got := tail.String()
	if len(got) >= TailLimit || len(got) < TailLimit-4 || !strings.HasPrefix(got, "…ä") || !strings.HasSuffix(got, "ääend\n") {
		t.Errorf("tail of %d bytes = %.20q...%.20q", len(got), got, got[max(0, len(got)-20):])
	}
	tail.Add("", []byte("after"))
	got = tail.String()
	if len(got) >= TailLimit || len(got) < TailLimit-4 || !strings.HasPrefix(got, "…ä") || !strings.HasSuffix(got, "ääend\nafter\n") {
		t.Errorf("tail of %d bytes = %.20q...%.20q, want the end of the long line before the last", len(got), got, got[max(0, len(got)-20):])
	}
}

// The name of the stream stays in front of what a progress bar ends with.
func TestTailKeepsThePrefixOfAProgressBar(t *testing.T) {
	t.Parallel()
	var tail Tail
	tail.Add("[stdout]", []byte("  1%\r 50%\r100% done\x1b[K\r"))
	tail.Add("[stdout]", []byte("with a Windows line end\r"))
	tail.Add("[stdout]", []byte("\rnpm\r\x1b[K"))
	if got, want := tail.String(), "[stdout]100% done\n[stdout]with a Windows line end\n[stdout]npm\n"; got != want {
		t.Errorf("tail = %q, want %q", got, want)
	}
}

// Nothing is shown as a line that is only the end of one.
func TestTailForgetsWholeLines(t *testing.T) {
	t.Parallel()
	var tail Tail
	hidden := strings.Repeat("\x1b[0m", 100) // the lines are short as text, so all that is kept is shown
	for range 1000 {
		tail.Add("", []byte("begin"+hidden+"end"))
	}
	if got := tail.String(); strings.ReplaceAll(got, "beginend\n", "") != "" || got == "" {
		t.Errorf("tail = %q", got)
	}
}

// agent.md 17: 12
func TestTailReplacesInvalidBytes(t *testing.T) {
	t.Parallel()
	var tail Tail
	tail.Add("", []byte("caf\xe9 ok"))
	if got := tail.String(); got != "caf\uFFFD ok\n" {
		t.Errorf("tail = %q", got)
	}
}

// Build tools colour what they say; the service's console shows the codes as garbage.
func TestTailIsPlainText(t *testing.T) {
	t.Parallel()
	var tail Tail
	tail.Add("[stderr]", []byte("\x1b[31mERROR\x1b[0m no such module"))
	if got := tail.String(); got != "[stderr]ERROR no such module\n" {
		t.Errorf("tail = %q", got)
	}
}

// agent.md 16: 194
//
// Whatever is added, the tail is valid text below its limit and holds the newest entries: the model keeps all of them.
func TestTailAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tail := Tail{Limit: rapid.IntRange(1, 40).Draw(t, "limit")}
		text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P), rapid.SampledFrom([]rune{'\n', '\t', ' '})))
		entries := rapid.SliceOf(text).Draw(t, "entries")
		var all []string
		for _, entry := range entries {
			tail.Add("", []byte(entry))
			for line := range strings.SplitSeq(entry, "\n") {
				all = append(all, line+"\n")
			}
		}
		got := tail.String()
		if len(got) >= tail.Limit || !utf8.ValidString(got) {
			t.Fatalf("%q is not valid text below %d bytes", got, tail.Limit)
		}
		want := ""
		for i := len(all) - 1; i >= 0 && len(all[i])+len(want) < tail.Limit; i-- {
			want = all[i] + want
		}
		if want != "" && !strings.HasSuffix(got, want) {
			t.Fatalf("tail = %q, want the newest whole entries %q", got, want)
		}
	})
}
