package appspec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Context is a SELinux context.
type Context struct {
	User, Type, Range string
}

// maxCategory is the highest category that SELinux has.
const maxCategory = 1023

// context reads the field context of a permission. The documentation calls the SELinux user "user", the stock agents read
// "name".
func (r *reader) context(m mapping) *Context {
	n := m.get("context")
	if n == nil {
		return nil
	}
	fields := r.mapping(n, "context", `write "context:" and below it "type: httpd_sys_content_t"`)
	if role := fields.get("role"); role != nil {
		r.fail(role, "context has a role, which files cannot be given", "remove it")
	}
	c := &Context{
		User: strings.TrimSpace(r.text(fields, "name")),
		Type: strings.TrimSpace(r.required(fields, "type", "context", "httpd_sys_content_t")),
	}
	if c.User == "" {
		c.User = strings.TrimSpace(r.text(fields, "user"))
	}
	if n := fields.get("range"); n != nil {
		normal, err := normaliseRange(strings.TrimSpace(r.text(fields, "range")))
		if err != nil {
			r.fail(n, fmt.Sprintf("range %q: %v", n.Value, err), "the form is s0-s1:c0.c3,c7")
		}
		c.Range = normal
	}
	return c
}

var rangeForm = regexp.MustCompile(`^s([0-9]{1,9})(?:-s([0-9]{1,9}))?(?::(.*))?$`)

// normaliseRange checks a SELinux range, s<n>[-s<m>][:categories], and returns it in its shortest form (agent.md 7.2).
func normaliseRange(text string) (string, error) {
	parts := rangeForm.FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Errorf("it does not begin with a sensitivity such as s0 or s0-s1")
	}
	low, high := number(parts[1]), number(parts[1])
	if parts[2] != "" {
		high = number(parts[2])
	}
	if high < low {
		return "", fmt.Errorf("its sensitivities are in the wrong order")
	}
	normal := fmt.Sprintf("s%d", low)
	if high != low {
		normal += fmt.Sprintf("-s%d", high)
	}
	if !strings.Contains(text, ":") {
		return normal, nil
	}
	categories, err := normaliseCategories(parts[3])
	return normal + ":" + categories, err
}

var categoryForm = regexp.MustCompile(`^c([0-9]{1,9})(?:\.c([0-9]{1,9}))?$`)

// normaliseCategories checks a comma list of c<n> and c<a>.c<b>, and merges neighbours.
func normaliseCategories(text string) (string, error) {
	var set [maxCategory + 1]bool
	for _, item := range strings.Split(text, ",") {
		parts := categoryForm.FindStringSubmatch(item)
		if parts == nil {
			return "", fmt.Errorf("%q is not a category such as c3 or c0.c5", item)
		}
		first, last := number(parts[1]), number(parts[1])
		if parts[2] != "" {
			last = number(parts[2])
		}
		if last > maxCategory || first > maxCategory {
			return "", fmt.Errorf("%q is above c%d", item, maxCategory)
		}
		if last < first {
			return "", fmt.Errorf("%q is in the wrong order", item)
		}
		for c := first; c <= last; c++ {
			if set[c] {
				return "", fmt.Errorf("category c%d is there twice", c)
			}
			set[c] = true
		}
	}
	return joinRuns(set[:]), nil
}

// joinRuns writes the members of a set, runs of them as first.last.
func joinRuns(set []bool) string {
	var runs []string
	for first := 0; first < len(set); first++ {
		if !set[first] {
			continue
		}
		last := first
		for last+1 < len(set) && set[last+1] {
			last++
		}
		run := fmt.Sprintf("c%d", first)
		if last > first {
			run += fmt.Sprintf(".c%d", last)
		}
		runs = append(runs, run)
		first = last
	}
	return strings.Join(runs, ",")
}

// number converts the few digits that the forms above allow.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
