package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSetKeepsWhatPeopleWrote(t *testing.T) {
	t.Parallel()
	const remark = "Added."
	values := map[string]string{"ca_file": "/etc/a b.pem", "deploy_control_endpoint": "https://host:8700"}
	for name, test := range map[string]struct{ before, after string }{
		"nothing": {"", "# Added.\nca_file: \"/etc/a b.pem\"\ndeploy_control_endpoint: \"https://host:8700\"\n"},
		"comments, order and the symbol style": {
			"---\n# Ours.\n:deploy_control_endpoint: 'https://old' # was #1\n:log_dir: '/var/log'\n",
			"---\n# Ours.\n:deploy_control_endpoint: \"https://host:8700\" # was #1\n:log_dir: '/var/log'\n# Added.\nca_file: \"/etc/a b.pem\"\n",
		},
		"a key without a value, no newline at the end": {
			"ca_file:\ndeploy_control_endpoint: \"x#y\" # z",
			"ca_file: \"/etc/a b.pem\"\ndeploy_control_endpoint: \"https://host:8700\" # z",
		},
		"a comment in place of a value": {
			"ca_file: # none\r\ndeploy_control_endpoint: http://a#b\r\n",
			"ca_file: \"/etc/a b.pem\" # none\r\ndeploy_control_endpoint: \"https://host:8700\"\r\n",
		},
		"a key that comes twice": {
			"ca_file: a\nca_file: b\ndeploy_control_endpoint: c d\n",
			"ca_file: \"/etc/a b.pem\"\nca_file: \"/etc/a b.pem\"\ndeploy_control_endpoint: \"https://host:8700\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Set([]byte(test.before), values, remark)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, string(got)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetRefusesWhatItCannotChange(t *testing.T) {
	t.Parallel()
	for before, want := range map[string]string{
		"ca_file: >\n  folded\n  text\n": "write each key",
		"{ca_file: a, log_dir: b}\n":     "write each key",
		"ca_file:\n  below\n":            "write each key",
		"{log_dir: b}\n":                 "write each key",
		"- a list\n":                     "want lines of the form",
	} {
		got, err := Set([]byte(before), map[string]string{"ca_file": "/new"}, "Added.")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Set(%q) = %q, %v; want an error with %q", before, got, err, want)
		}
	}
}

// Whatever text a value has, reading gives it back, and the other keys stay.
func TestSetIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := strings.TrimSpace(rapid.StringOf(rapid.RuneFrom([]rune("aZ0 :#'\"\\/|>-é{}[]&*!%@,?"))).Draw(t, "value"))
		old := rapid.SampledFrom([]string{"plain", "'single''s'", `"double \" one"`, "two words", "a#b", ""}).Draw(t, "old")
		text, err := Set([]byte("root_dir: /r\nca_file: "+old+" # why\nlog_dir: /l\n"), map[string]string{"ca_file": value}, "Added.")
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := Mapping(text)
		if err != nil {
			t.Fatal(err)
		}
		want := []Pair{{Key: "root_dir", Value: "/r", Line: 1}, {Key: "ca_file", Value: value, Line: 2}, {Key: "log_dir", Value: "/l", Line: 3}}
		if diff := cmp.Diff(want, pairs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	})
}
