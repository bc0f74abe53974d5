package appspec

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The forms of unquoted numbers that Psych, the YAML library of the stock agent, knows (dependencies.md 2.7). They differ from
// every Go library's: 0755 is octal but 0855 a string, 1,000 is a number, and 12:30 counts in sixties.
var (
	psychInteger = regexp.MustCompile(`^[-+]?(?:0b[01_,]+|0[0-7_,]+|0|[1-9](?:[0-9]|[,_][0-9])*|0x[0-9a-fA-F_,]+)$`)
	psychFloat   = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][-+][0-9]+)?$`)
	psychSixties = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}(?:\.[0-9_]*)?$`)
)

// resolve returns what Psych makes of a scalar: nil, bool, float64 for every number, or string for all else. Quoted text is
// always a string.
func resolve(n *yaml.Node) any {
	if n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!int" && n.Tag != "!!float" {
		return n.Value
	}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quoted != 0 && n.Style&yaml.TaggedStyle == 0 {
		return n.Value
	}
	switch strings.ToLower(n.Value) {
	case "", "~", "null":
		return nil
	case "yes", "true", "on":
		return true
	case "no", "false", "off":
		return false
	case ".inf", "+.inf":
		return math.Inf(1)
	case "-.inf":
		return math.Inf(-1)
	case ".nan":
		return math.NaN()
	}
	if number, ok := parseNumber(n.Value); ok {
		return number
	}
	return n.Value
}

// parseNumber reads the forms above.
func parseNumber(s string) (float64, bool) {
	digits := strings.NewReplacer(",", "", "_", "").Replace(s)
	switch {
	case psychSixties.MatchString(s):
		return sixties(s), true
	case psychFloat.MatchString(s):
		f, err := strconv.ParseFloat(digits, 64)
		return f, err == nil || math.IsInf(f, 0)
	case psychInteger.MatchString(s):
		i, err := strconv.ParseInt(digits, 0, 64)
		if i == math.MaxInt64 || i == math.MinInt64 {
			err = nil // out of range is still a number
		}
		return float64(i), err == nil
	}
	return 0, false
}

// rubyNumber is the part of a text that Ruby's String#to_f reads: an underscore counts only between two digits, and what
// follows any other one is left out.
var rubyNumber = regexp.MustCompile(`^[-+]?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?`)

// sixties reads hours:minutes or hours:minutes:seconds, as Psych does: the first part always counts 3600, whatever its sign,
// and the others add to it.
func sixties(s string) float64 {
	var sum float64
	for i, part := range strings.Split(s, ":") {
		digits := strings.ReplaceAll(rubyNumber.FindString(part), "_", "")
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			f = 0
		}
		sum += f * []float64{3600, 60, 1}[i]
	}
	return sum
}

// isNull reports whether a node is YAML's null.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && resolve(n) == nil
}
