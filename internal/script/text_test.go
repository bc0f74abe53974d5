package script

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\ttext":                     "plain\ttext",
		"\x1b[31mred\x1b[0m":              "red",
		"\x1b[1;38;5;12mbold\x1b[K end":   "bold end",
		"\x1b[38:2:1:2:3mtrue\x1b[?25h":   "true",
		"\x1b]0;title\x07text":            "text",
		"\x1b]8;;http://x\x1b\\link":      "link",
		"\x1b]8;;http://x\u009clink":      "link",
		"\u009b31mred\u009b0m":            "red",
		"\u009d0;title\x07text":           "text",
		"\x1b(Bascii\x1b=":                "ascii",
		"cut \x1b[31":                     "cut ",
		"cut \x1b":                        "cut ",
		"cut \x1b]0;title":                "cut ",
		"stray \x1b[31ä":                  "stray ä",
		"stray \x1bä":                     "stray ä",
		"two \x1b]0;a\x1b[31mb":           "two b",
		"\x1bP1$r0m\x1b\\text":            "text",
		"invalid \xff\x1b[0m\xfe bytes":   "invalid \uFFFD\uFFFD bytes",
		"a character \xc2\x1b[0m\x9bcut":  "a character \uFFFD\uFFFDcut",
		"bell \x07 nul \x00 del \x7f nel": "bell  nul  del  nel",
		"Stra\u00dfe 5\u00b0 \u4e16":      "Straße 5° 世",
		"10%\r 50%\r100%":                 "100%",
		"10%\r100%\r\x1b[K":               "100%",
		"windows\r":                       "windows",
		"\r":                              "",
	} {
		if got := Text([]byte(in)); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\r\u009b0m\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := string(line)
		got := Text(line)
		isControl := func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r <= 0x9f }
		if !utf8.ValidString(got) || strings.ContainsFunc(got, isControl) {
			t.Fatalf("%q became %q", line, got)
		}
		if string(line) != before {
			t.Fatal("the line was changed")
		}
	})
}

// lines returns what readLines makes of a stream.
func lines(t *testing.T, write func(*os.File)) []string {
	t.Helper()
	read, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		defer end.Close()
		write(end)
	}()
	var got []string
	o := &output{name: Stdout, pipe: read, done: make(chan struct{})}
	o.readLines(&receiver{line: func(_ string, line []byte) { got = append(got, string(line)) }})
	if !o.ended {
		t.Error("the stream is not at its end")
	}
	return got
}

// What an over-long line is split into must still be recognized: an escape sequence or a character that is cut in two is
// garbage, and a progress bar has a frame at every carriage return.
func TestOverlongLinesAreSplitBetweenWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{
		"colours":    "\x1b[1;38;5;196mred\x1b[0m",
		"link":       "\x1b]8;;https://example.com/a/b/c\x1b\\x\x1b]8;;\x1b\\",
		"characters": "世界",
		"progress":   " 50% of it\r",
	} {
		for shift := range len(unit) {
			text := strings.Repeat(".", shift) + strings.Repeat(unit, 3*MaxLine/len(unit))
			whole := lines(t, func(w *os.File) { w.WriteString(text) })
			var got strings.Builder
			for _, piece := range whole {
				if len(piece) > MaxLine {
					t.Errorf("%s: a piece of %d bytes", name, len(piece))
				}
				if name == "progress" && Text([]byte(piece)) != " 50% of it" {
					t.Errorf("%s, shifted by %d: piece ends with %q", name, shift, Text([]byte(piece)))
				}
				got.WriteString(Text([]byte(piece)))
			}
			if want := Text([]byte(text)); name != "progress" && got.String() != want {
				t.Errorf("%s, shifted by %d: the pieces' text differs from the line's", name, shift)
			}
		}
	}
}

// However a script writes, what arrives is what it wrote.
func TestLinesAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "\n", "\r", "\x1b[", "ä", strings.Repeat("b", MaxLine-1), strings.Repeat("c", 100)}), 0, 30).Draw(r, "writes")
		got := lines(t, func(w *os.File) {
			for _, piece := range pieces {
				w.WriteString(piece)
			}
		})
		all := strings.Join(pieces, "")
		if joined := strings.Join(got, ""); joined != strings.ReplaceAll(all, "\n", "") {
			r.Fatalf("%d bytes arrived of %d", len(joined), len(all))
		}
		if short := strings.ReplaceAll(all, strings.Repeat("b", MaxLine-1), "b"); len(short) == len(all) {
			want := strings.Split(strings.TrimSuffix(all, "\n"), "\n")
			if all == "" {
				want = nil
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
				r.Fatalf("got lines %q, want %q", got, want)
			}
		}
	})
}
