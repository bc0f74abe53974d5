package appspec

import (
	"strings"
	"testing"
)

// agent.md 16: 131, 132
func TestACLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"bob:rw":             "user:bob:rw-",
		"bob:7":              "user:bob:rwx",
		"bob:":               "user:bob:---",
		"u:bob:xr":           "user:bob:r-x",
		"user:bob:rwx":       "user:bob:rwx",
		"g:ops:4":            "group:ops:r--",
		"m:rw":               "mask::rw-",
		"mask::r-x":          "mask::r-x",
		"d:bob:rw":           "default:user:bob:rw-",
		"default:bob:rw":     "default:user:bob:rw-",
		"d:m:5":              "default:mask::r-x",
		"d:o:r":              "default:other::r--",
		"d:u:bob:rw":         "default:user:bob:rw-",
		"default:g::r":       "default:group::r--",
		"d:other::-":         "default:other::---",
		"u:rw":               "user:u:rw-",
		"d:rw":               "user:d:rw-",
		"o:bob:rw":           "error: other takes no name",
		"m:bob:rw":           "error: mask takes no name",
		"u::rw":              "error: use mode instead",
		"g::rw":              "error: use mode instead",
		"o:rw":               "error: use mode instead",
		"other::rw":          "error: use mode instead",
		":rw":                "error: use mode instead",
		"rw":                 "error: 1 fields",
		"a:b:c:d:e":          "error: 5 fields",
		"a:u:bob:rw":         `error: its first field is "a"`,
		"x:bob:rw":           `error: type "x" is unknown`,
		"d:d:bob:rw":         "error: default twice",
		"d:default:bob:rw":   "error: default twice",
		"bob:rwq":            "error: character 'q'",
		"bob:8":              "error: character '8'",
		"bob:77":             "error: character '7'",
		"default:u:bob:rw:x": "error: 5 fields",
	} {
		acl, err := parseACL(text)
		if part, isError := strings.CutPrefix(want, "error: "); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q = %v, %v; want an error with %q", text, acl, err, part)
			}
			continue
		}
		if err != nil || acl.String() != want {
			t.Errorf("%q = %v, %v; want %s", text, acl, err, want)
		}
	}
}

// agent.md 16: 134
func TestRanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"s0":                   "s0",
		"s0-s0":                "s0",
		"s0-s3":                "s0-s3",
		"s0:c1":                "s0:c1",
		"s0:c1,c2,c3":          "s0:c1.c3",
		"s0:c3,c1,c2,c9":       "s0:c1.c3,c9",
		"s0-s0:c0.c1023":       "s0:c0.c1023",
		"s1-s2:c5.c5,c0.c3,c4": "s1-s2:c0.c5",
		"s2-s1":                "error: wrong order",
		"s0-":                  "error: does not begin",
		"-s0":                  "error: does not begin",
		"s-1":                  "error: does not begin",
		"sx":                   "error: does not begin",
		"0":                    "error: does not begin",
		"":                     "error: does not begin",
		"s0:":                  "error: is not a category",
		"s0:c":                 "error: is not a category",
		"s0:c1,":               "error: is not a category",
		"s0:c-1":               "error: is not a category",
		"s0:c1.":               "error: is not a category",
		"s0:c1.c2.c3":          "error: is not a category",
		"s0:cx":                "error: is not a category",
		"s0:c1024":             "error: above c1023",
		"s0:c0.c1024":          "error: above c1023",
		"s0:c999999999":        "error: above c1023",
		"s0:c3.c1":             "error: wrong order",
		"s0:c1,c1":             "error: twice",
		"s0:c0.c4,c3":          "error: twice",
		"s99999999999999":      "error: does not begin",
	} {
		got, err := normaliseRange(text)
		if part, isError := strings.CutPrefix(want, "error: "); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q = %q, %v; want an error with %q", text, got, err, part)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q = %q, %v; want %s", text, got, err, want)
		}
	}
}
