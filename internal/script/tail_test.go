package script

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Mistake 7 of users.md: the first 2 KB of output were kept instead of the last.
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

// The stock agent sends nothing at all when one entry is too long.
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
	if got := tail.String(); got != "after\n" {
		t.Errorf("tail = %.40q, want only the entry that fits", got)
	}
}

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

// Whatever is added, the tail is valid text below its limit and holds the newest entries: the model keeps all of them.
func TestTailAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tail := Tail{Limit: rapid.IntRange(1, 40).Draw(t, "limit")}
		text := rapid.OneOf(rapid.String(), rapid.StringN(0, 5, 10)).Filter(func(s string) bool { return !strings.Contains(s, "\x1b") })
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

func TestStripANSI(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                          "plain",
		"\x1b[31mred\x1b[0m":             "red",
		"\x1b[1;38;5;12mbold\x1b[K end":  "bold end",
		"\x1b]0;title\x07text":           "text",
		"\x1b]8;;http://x\x1b\\link":     "link",
		"\x1b(Bascii\x1b=":               "ascii",
		"cut \x1b[31":                    "cut ",
		"cut \x1b":                       "cut ",
		"cut \x1b]0;title":               "cut ",
		"stray \x1b[31ä":                 "stray ä",
		"two \x1b]0;a\x1b[31mb":          "two b",
		"\x1bP1$r0m\x1b\\text":           "text",
		"invalid \xff\x1b[0m\xfe kept":   "invalid \xff\xfe kept",
		"many \x1b[0m\x1b[0m\x1b[0mends": "many ends",
	} {
		if got := string(stripANSI([]byte(in))); got != want {
			t.Errorf("stripANSI(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzStripANSI(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m"))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := string(line)
		if got := stripANSI(line); strings.ContainsRune(string(got), esc) {
			t.Fatalf("%q became %q", line, got)
		}
		if string(line) != before {
			t.Fatal("the line was changed")
		}
	})
}
