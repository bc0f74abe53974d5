package cli

import (
	"strings"
	"testing"
)

// A name that somebody chose to forge a line, to clear the screen or to turn the writing round is one cell of one line.
func TestTablesObeyNobody(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	name := "x\n2026-11-22T00:00:00Z\tuser/root\r\x1b[2J\u202eok\u200b \"y\" \xff"
	if err := writeTable(&out, []string{"A", "B"}, [][]string{{name, "büro 日本"}}); err != nil {
		t.Fatal(err)
	}
	want := `x\n2026-11-22T00:00:00Z\tuser/root\r\x1b[2J\u202eok\u200b "y" \xff  büro 日本`
	if lines := strings.Split(out.String(), "\n"); len(lines) != 3 || lines[1] != want {
		t.Errorf("got %q, want a head and %q", lines, want)
	}
}
