package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/appspec"
)

// permissions adds the instructions of the AppSpec's permissions, in its order (agent.md 7.3, 8.1). Only what this
// Install makes is touched.
func (p *installPlan) permissions(entries []appspec.Permission) error {
	owned := map[string]int{} // line of the entry that set an object's permissions
	for _, entry := range entries {
		if len(entry.ACLs) > 0 || entry.Context != nil {
			return fmt.Errorf("permissions (AppSpec line %d): acls and context are not served by this version of the agent; "+
				"nothing was changed on this host", entry.Line)
		}
		objects, err := p.objects(entry)
		if err != nil {
			return err
		}
		if len(objects) == 0 {
			continue
		}
		ids, err := lookUpOwner(entry.Owner, entry.Group)
		if err != nil {
			return fmt.Errorf("permissions (AppSpec line %d): %w; nothing was changed on this host", entry.Line, err)
		}
		for _, object := range objects {
			if line, ok := owned[object]; ok {
				return fmt.Errorf("permissions: the entries of lines %d and %d both set the permissions of %s", line, entry.Line, object)
			}
			owned[object] = entry.Line
			p.permit(object, entry, ids)
		}
	}
	return nil
}

// permit adds the instructions for one object. chown comes last, as in stock agents.
func (p *installPlan) permit(object string, entry appspec.Permission, ids ownerIDs) {
	if entry.Mode != "" {
		p.steps = append(p.steps, chmodInstruction{Type: "chmod", Mode: entry.Mode, File: object})
	}
	chown := chownInstruction{Type: "chown", File: object, ids: ids}
	if entry.Owner != "" {
		chown.Owner = &entry.Owner
	}
	if entry.Group != "" {
		chown.Group = &entry.Group
	}
	if chown.Owner != nil || chown.Group != nil {
		p.steps = append(p.steps, chown)
	}
}

// objects returns what an entry applies to: files before folders, each in alphabetical order.
func (p *installPlan) objects(entry appspec.Permission) ([]string, error) {
	object, err := filepath.Abs(entry.Object)
	if err != nil {
		return nil, err
	}
	files := slices.Contains(entry.Types, "file")
	if _, ok := p.copies[object]; ok {
		if !files {
			return nil, nil
		}
		if entry.Pattern != "**" || len(entry.Except) > 0 {
			return nil, fmt.Errorf("permissions (AppSpec line %d): %s is a file, so pattern and except cannot apply to it; remove them", entry.Line, object)
		}
		return []string{object}, nil
	}
	if info, err := os.Stat(object); !p.made[object] && (err != nil || !info.IsDir()) {
		return nil, nil
	}
	var matches []string
	if files {
		matches = append(matches, matching(object, entry, p.copies)...)
	}
	if slices.Contains(entry.Types, "directory") {
		matches = append(matches, matching(object, entry, p.made)...)
	}
	return matches, nil
}

func matching[V any](object string, entry appspec.Permission, paths map[string]V) []string {
	var matches []string
	for path := range paths {
		if matchesPermission(object, entry, path) {
			matches = append(matches, path)
		}
	}
	slices.Sort(matches)
	return matches
}

// matchesPermission implements the matching of agent.md 7.3: "**" reaches every depth, any other pattern direct children
// only, and except direct children only.
func matchesPermission(object string, entry appspec.Permission, path string) bool {
	rest, below := strings.CutPrefix(path, strings.TrimSuffix(object, "/")+"/")
	if !below || rest == "" {
		return false
	}
	direct := !strings.Contains(rest, "/")
	if entry.Pattern != "**" && !(direct && matchStars(entry.Pattern, rest)) {
		return false
	}
	return !slices.ContainsFunc(entry.Except, func(except string) bool { return direct && matchStars(except, rest) })
}

// matchStars matches a pattern whose only special character is "*", any run of characters. It goes back to the last star
// only, which is enough and keeps the time at len(pattern)*len(name) however many stars there are.
func matchStars(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
