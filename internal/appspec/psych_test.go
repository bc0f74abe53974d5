package appspec

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// psychScript says, for each scalar of a JSON list, what Psych makes of it when it stands unquoted. Dates and symbols are
// refused by safe loading, and texts here.
const psychScript = `require "psych"; require "json"
scanner = Psych::ScalarScanner.new(Psych::ClassLoader.new)
puts JSON.generate(JSON.parse(STDIN.read).map { |text|
  value = scanner.tokenize(text) rescue "text"
  case value
  when nil, true, false then value
  when Numeric then value.to_f.nan? ? "no number" : "number " + [value.to_f].pack("G").unpack1("H*")
  else "text"
  end
})`

// seedFlag chooses the scalars; 0 draws a new seed. The usual run has a fixed one: a difference between two versions of Psych
// that one seed in a hundred shows must not stop somebody's unrelated change.
var seedFlag = flag.Uint64("psych-seed", 1100293353618803631, "seed of the random scalars, 0 = a new one")

// Random scalars of the characters that numbers, times and words of YAML are made of mean what they mean to the Psych of this
// host.
func TestResolveAgreesWithTheHostsPsych(t *testing.T) {
	t.Parallel()
	if exec.Command("ruby", "-e", "require 'psych'; require 'json'").Run() != nil {
		t.Skip("ruby is not installed; apt-get install ruby")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	scalars := randomScalars(rand.New(rand.NewPCG(seed, 0)), 20_000)
	input, err := json.Marshal(scalars)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ruby", "-e", psychScript)
	cmd.Stdin = strings.NewReader(string(input))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []any
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, text := range scalars {
		got := resolve(&yaml.Node{Kind: yaml.ScalarNode, Value: text})
		switch value := got.(type) {
		case float64:
			got = fmt.Sprintf("number %016x", math.Float64bits(value))
			if math.IsNaN(value) {
				got = "no number"
			}
		case string:
			got = "text"
		}
		if got != want[i] {
			t.Errorf("seed %d: %q is %v, want %v", seed, text, got, want[i])
		}
	}
}

// randomScalars draws scalars of up to eight characters, and words with a change.
func randomScalars(random *rand.Rand, n int) []string {
	const characters = "0011223456789__,,..::+-eExobafinyYNOst~ "
	words := []string{"yes", "no", "on", "off", "true", "false", "null", "NULL", "~", ".inf", "-.inf", ".nan", "0x1F", "0b101", "0o17", "12:30:45", "1e3", "1.5e+3", "2024-01-02"}
	var scalars []string
	for range n {
		var b strings.Builder
		if random.IntN(4) == 0 {
			word := words[random.IntN(len(words))]
			at := random.IntN(len(word) + 1)
			b.WriteString(word[:at])
			b.WriteByte(characters[random.IntN(len(characters))])
			b.WriteString(word[at:])
		} else {
			for range 1 + random.IntN(8) {
				b.WriteByte(characters[random.IntN(len(characters))])
			}
		}
		scalars = append(scalars, strings.TrimSpace(b.String()))
	}
	return scalars
}
