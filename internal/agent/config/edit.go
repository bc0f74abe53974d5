package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Set returns a flat YAML mapping, such as Mapping reads, with other values for some of its keys. What people wrote into it
// stays: the order, the comments, keys in the symbol style. Keys that were not there come at the end, in alphabetical order
// below the remark. A file that is written in a way it cannot change safely is an error that says which form it needs.
func Set(data []byte, values map[string]string, remark string) ([]byte, error) {
	before, err := Mapping(data)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(data), "\n")
	there := map[string]bool{}
	for _, p := range before {
		value, wanted := values[p.Key]
		if !wanted {
			continue
		}
		there[p.Key] = true
		changed, ok := setLine(lines[p.Line-1], p.Key, value)
		if !ok {
			return nil, errForm
		}
		lines[p.Line-1] = changed
	}
	text := strings.Join(lines, "")
	absent := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(key string) bool { return there[key] })
	if len(absent) > 0 {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += "# " + remark + "\n"
	}
	for _, key := range absent {
		text += key + ": " + strconv.Quote(values[key]) + "\n"
	}
	if !unchanged(before, []byte(text), values) {
		return nil, errForm
	}
	return []byte(text), nil
}

// errForm does not quote the file, which may hold keys.
var errForm = errors.New("it cannot be changed safely in the form it has; write each key and its value on one line, as in \"key: value\"")

// setLine replaces the value in a line that holds a whole pair, and keeps the key's spelling and the comment.
func setLine(line, key, value string) (changed string, ok bool) {
	pair := regexp.MustCompile(`^(\s*:?` + regexp.QuoteMeta(key) + `:?\s*:)(?:\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'|>&*!{\[]\S*(?:\s+[^\s#]\S*)*))?(\s+#[^\r\n]*)?(\s*)$`)
	parts := pair.FindStringSubmatch(line)
	if parts == nil {
		return "", false
	}
	return parts[1] + " " + strconv.Quote(value) + parts[2] + parts[3], true
}

// unchanged reports whether a file says after a change what it said before, and the new values: YAML has more forms than a
// line can show.
func unchanged(before []Pair, after []byte, values map[string]string) bool {
	pairs, err := Mapping(after)
	if err != nil {
		return false
	}
	said := func(all []Pair) (kept []string) {
		for _, p := range all {
			if _, set := values[p.Key]; !set {
				kept = append(kept, p.Key+": "+p.Value)
			}
		}
		return kept
	}
	set := map[string]string{}
	for _, p := range pairs {
		if _, wanted := values[p.Key]; wanted {
			set[p.Key] = p.Value
		}
	}
	return maps.Equal(set, values) && slices.Equal(said(before), said(pairs))
}
