package appspec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Values of Permission.Types.
const (
	TypeFile      = "file"
	TypeDirectory = "directory"
)

// AllDepths is the default of Permission.Pattern: everything below the object, at any depth (agent.md 7.3).
const AllDepths = "**"

func (r *reader) permissions(m mapping) []Permission {
	var permissions []Permission
	for _, n := range r.list(m, "permissions", permissionsShape) {
		entry := r.mapping(n, "an entry of permissions", permissionsShape)
		permissions = append(permissions, Permission{
			Object:  strings.TrimSpace(r.required(entry, "object", "this entry of permissions", "/var/app")),
			Pattern: r.pattern(entry),
			Except:  texts(r.scalars(entry, "except", `write "except: [a.txt, b.txt]"`)),
			Types:   r.types(entry),
			Owner:   strings.TrimSpace(r.text(entry, "owner")),
			Group:   strings.TrimSpace(r.text(entry, "group")),
			Mode:    r.mode(entry),
			ACLs:    r.acls(entry),
			Context: r.context(entry),
			Line:    entry.node.Line,
		})
		if r.failure != nil {
			return nil
		}
	}
	return permissions
}

func (r *reader) pattern(m mapping) string {
	if pattern := r.text(m, "pattern"); pattern != "" {
		return pattern
	}
	return AllDepths
}

func (r *reader) types(m mapping) []string {
	const shape = `write "type: [file]", "type: [directory]" or "type: [file, directory]"`
	known := []string{TypeFile, TypeDirectory}
	nodes := r.scalars(m, "type", shape)
	for _, n := range nodes {
		if !slices.Contains(known, n.Value) {
			r.fail(n, fmt.Sprintf("type %q is unknown", n.Value), shape)
		}
	}
	if m.get("type") == nil {
		return known
	}
	return texts(nodes)
}

var octalMode = regexp.MustCompile(`^[0-7]{1,4}$`)

// mode takes the text of the value and not its YAML meaning: an unquoted 0644 is the number 420 to YAML 1.1, and the stock
// agent then silently sets mode 0420 (agent.md 7.2).
func (r *reader) mode(m mapping) string {
	n := m.get("mode")
	if n == nil {
		return ""
	}
	mode := r.text(m, "mode")
	if !octalMode.MatchString(mode) {
		r.fail(n, fmt.Sprintf("mode %q is not one to four octal digits", mode), `write for example mode: "0644"`)
		return ""
	}
	return strings.Repeat("0", max(0, 3-len(mode))) + mode
}
