package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sample is one figure, measured several times.
type sample []float64

func (s *sample) add(v float64) { *s = append(*s, v) }

func (s *sample) addTime(d time.Duration) { s.add(d.Seconds()) }

func (s sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// format returns "median (least-most) unit", or nothing when nothing was measured.
func (s sample) format(unit string) string {
	if len(s) == 0 {
		return ""
	}
	digits := 1
	if unit == "s" {
		digits = 3
	}
	return fmt.Sprintf("%.*f (%.*f-%.*f) %s", digits, s.median(), digits, slices.Min(s), digits, slices.Max(s), unit)
}

// over divides run by run: what was measured one after the other has seen the same noise.
func (s sample) over(bound sample) sample {
	ratios := make(sample, len(s))
	for i := range s {
		ratios[i] = s[i] / bound[i]
	}
	return ratios
}

// row is one line of the table. Its samples are in the same unit.
type row struct {
	figure, aim, unit      string
	measured, bound, stock sample
	note                   string // behind what was measured
}

// table prints Markdown, a line as soon as it is known.
type table struct{ withStock bool }

func (t table) cells(cells ...string) {
	if !t.withStock {
		cells = cells[:len(cells)-1]
	}
	fmt.Println("| " + strings.Join(cells, " | ") + " |")
}

func (t table) head() {
	t.cells("figure", "aim", "measured", "lower bound", "ratio", "stock agent")
	t.cells("---", "---", "---", "---", "---", "---")
}

func (t table) row(r row) {
	ratio := ""
	if len(r.bound) > 0 {
		ratio = fmt.Sprintf("%.2f", r.measured.over(r.bound).median())
	}
	t.cells(r.figure, r.aim, r.measured.format(r.unit)+r.note, r.bound.format(r.unit), ratio, r.stock.format(r.unit))
}
