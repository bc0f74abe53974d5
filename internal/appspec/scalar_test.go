package appspec

import (
	"math"
	"testing"

	"go.yaml.in/yaml/v4"
)

// The expected values are what Psych 4.0.4 gives (safe loading, as the stock agent on Ruby 3.1).
func TestResolveAgreesWithPsych(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"12:30": 45000.0, "190:20:30.15": 685230.15, "0:0": 0.0,
		"0300": 192.0, "-010": -8.0, "0855": "0855", "09": "09", "00": 0.0, "0_": 0.0, "0o755": "0o755",
		"1_000": 1000.0, "1,000": 1000.0, "1__0": "1__0", "1,,0": "1,,0", "0,0": 0.0, "_1": "_1",
		"+5": 5.0, "-0": 0.0, "0x1F": 31.0, "0b11": 3.0, "0x": "0x",
		".5": 0.5, "+.5": 0.5, "1.": 1.0, "0.0": 0.0, "-0.0": 0.0, "1_000.5": 1000.5, "0.0.0": "0.0.0", ".": ".",
		"1e3": "1e3", "1.5e3": "1.5e3", "0.0e0": "0.0e0", "1.5e+3": 1500.0,
		".inf": math.Inf(1), "-.INF": math.Inf(-1),
		"~": nil, "": nil, "null": nil, "Null": nil, `""`: "", "'~'": "~",
		"yes": true, "tRue": true, "ON": true, "no": false, "off": false, "y": "y", "n": "n", `"yes"`: "yes",
		"!!str 5": "5", "!!float '5'": 5.0, "!!int '7'": 7.0, "!!str ": "",
		"linux": "linux", "a b": "a b", "|\n 5": "5",
	} {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte("v: "+text+"\n"), &document); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := resolve(document.Content[0].Content[1]); got != want && text != "|\n 5" || text == "|\n 5" && got != "5\n" {
			t.Errorf("%q is %#v, want %#v", text, got, want)
		}
	}
}
