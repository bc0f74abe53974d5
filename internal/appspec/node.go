package appspec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds the work for one file: aliases let a few lines of YAML stand for billions of entries.
const maxNodes = 200_000

// reader walks the nodes of one document. Like bufio.Scanner it keeps its first failure, and what is read after that is
// meaningless; so the code that reads an entry needs no check after each of its fields.
type reader struct {
	file    string
	failure *Error
	budget  int
}

// fail notes a mistake at a node.
func (r *reader) fail(n *yaml.Node, message, fix string) {
	if r.failure == nil {
		r.failure = &Error{File: r.file, Line: n.Line, Column: n.Column, Message: message, Fix: fix}
	}
}

// follow returns the node that an alias stands for, or n itself.
func (r *reader) follow(n *yaml.Node) *yaml.Node {
	if r.budget--; r.budget < 0 {
		r.fail(n, "the file expands to far too many entries", "write the entries out instead of repeating aliases")
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// field is one key of a mapping with its value.
type field struct {
	name  string
	value *yaml.Node // alias followed
}

// mapping is the content of a YAML mapping, with merge keys resolved.
type mapping struct {
	node   *yaml.Node
	fields []field // a later field of the same name replaces an earlier one
}

// mapping reads n as a mapping; what says what it is, in errors, and shape how it should look.
func (r *reader) mapping(n *yaml.Node, what, shape string) mapping {
	n = r.follow(n)
	m := mapping{node: n}
	if n.Kind != yaml.MappingNode {
		r.fail(n, fmt.Sprintf("%s must be a mapping, not %s", what, describe(n)), shape)
		return m
	}
	var merged []field
	for i := 0; i+1 < len(n.Content) && r.failure == nil; i += 2 {
		key, value := r.follow(n.Content[i]), n.Content[i+1]
		if key.Tag == "!!merge" {
			merged = append(r.merge(value), merged...)
			continue
		}
		m.fields = append(m.fields, field{name: key.Value, value: r.follow(value)})
	}
	m.fields = append(merged, m.fields...)
	return m
}

// merge returns the fields that a "<<" key brings in: those of a mapping, or of several, of which the first counts most.
func (r *reader) merge(n *yaml.Node) []field {
	const shape = `"<<" takes a mapping or a list of mappings`
	n = r.follow(n)
	if n.Kind != yaml.SequenceNode {
		return r.mapping(n, `the value of "<<"`, shape).fields
	}
	var fields []field
	for _, item := range n.Content {
		fields = append(r.mapping(item, `the value of "<<"`, shape).fields, fields...)
	}
	return fields
}

// get returns the value of a field, or nil when it is absent or null.
func (m mapping) get(name string) *yaml.Node {
	for i := len(m.fields) - 1; i >= 0; i-- {
		if f := m.fields[i]; f.name == name {
			if isNull(f.value) {
				return nil
			}
			return f.value
		}
	}
	return nil
}

// names returns the names of all fields, each once, in the order of the file.
func (m mapping) names() []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range m.fields {
		if !seen[f.name] {
			seen[f.name] = true
			names = append(names, f.name)
		}
	}
	return names
}

// list reads a field that holds a list; absent or null is an empty one.
func (r *reader) list(m mapping, name, shape string) []*yaml.Node {
	n := m.get(name)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, fmt.Sprintf("%s must be a list, not %s", name, describe(n)), shape)
		return nil
	}
	return n.Content
}

// text reads a field that holds a single value, and returns it as it stands in the file. Absent or null is "".
func (r *reader) text(m mapping, name string) string {
	n := m.get(name)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.fail(n, fmt.Sprintf("%s must be a single value, not %s", name, describe(n)), "")
		return ""
	}
	return n.Value
}

// required reads a field like text; when it is absent, null or blank, entry says what lacks it and example how it looks.
func (r *reader) required(m mapping, name, entry, example string) string {
	value := r.text(m, name)
	if strings.TrimSpace(value) != "" {
		return value
	}
	at := m.node
	if n := m.get(name); n != nil {
		at = n
	}
	fix := fmt.Sprintf("add %q", name+": "+example)
	if similar := Suggest(name, m.names()); similar != "" && similar != name {
		fix = fmt.Sprintf("it has %q; did you mean %q?", similar, name)
	}
	r.fail(at, fmt.Sprintf("%s has no %s", entry, name), fix)
	return ""
}

// scalars reads a field that holds a list of single values.
func (r *reader) scalars(m mapping, name, shape string) []*yaml.Node {
	var values []*yaml.Node
	for _, item := range r.list(m, name, shape) {
		item = r.follow(item)
		if item.Kind != yaml.ScalarNode || isNull(item) {
			r.fail(item, fmt.Sprintf("an entry of %s must be a single value, not %s", name, describe(item)), shape)
			return nil
		}
		values = append(values, item)
	}
	return values
}

// texts returns the values as they stand in the file.
func texts(scalars []*yaml.Node) []string {
	var values []string
	for _, n := range scalars {
		values = append(values, n.Value)
	}
	return values
}

// describe names the kind of a node for people.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	}
	return "a single value"
}
