package policy

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxSize is the longest document in bytes.
const MaxSize = 20 << 10

// Policy is an identity policy. The zero Policy says nothing.
type Policy struct{ statements []statement }

type statement struct {
	rule
	resources set[arn]
}

// rule is what statements of both kinds of documents have.
type rule struct {
	sid     string
	answer  Answer // Allowed or Denied
	actions set[string]
}

// covers reports whether the rule is about an action in lower case.
func (r rule) covers(action string) bool {
	return r.actions.has(func(pattern string) bool { return match(pattern, action) })
}

// set is the elements that a statement lists, or all others when it has the element's Not form.
type set[T any] struct {
	listed []T
	others bool
}

func (s set[T]) has(matches func(T) bool) bool {
	for _, element := range s.listed {
		if matches(element) {
			return !s.others
		}
	}
	return s.others
}

// Parse reads an identity policy. The error says what is wrong with the document, and what to write instead.
func Parse(text string) (Policy, error) {
	raw, err := statements(text)
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	for i, members := range raw {
		s, err := parseStatement(members)
		if err != nil {
			return Policy{}, fmt.Errorf("statement %d: %w", i+1, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func parseStatement(m object) (s statement, err error) {
	if err := m.only("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"); err != nil {
		return s, err
	}
	if s.rule, err = m.rule(); err != nil {
		return s, err
	}
	texts, err := m.either("Resource", "NotResource")
	if err != nil {
		return s, err
	}
	s.resources.others = texts.others
	for _, text := range texts.listed {
		pattern, err := parsePattern(text)
		if err != nil {
			return s, err
		}
		s.resources.listed = append(s.resources.listed, pattern)
	}
	return s, nil
}

var effects = map[string]Answer{"Allow": Allowed, "Deny": Denied}

func (m object) rule() (r rule, err error) {
	if r.sid, err = m.text("Sid"); err != nil {
		return r, err
	}
	effect, err := m.text("Effect")
	if err != nil {
		return r, err
	}
	known := false
	if r.answer, known = effects[effect]; !known {
		return r, fmt.Errorf("its Effect must be Allow or Deny, got %q", effect)
	}
	if r.actions, err = m.either("Action", "NotAction"); err != nil {
		return r, err
	}
	for i, action := range r.actions.listed {
		if !actionPattern.MatchString(action) {
			return r, fmt.Errorf("the action %q must look like s3:GetObject or s3:Get*, or be *", action)
		}
		r.actions.listed[i] = strings.ToLower(action)
	}
	return r, nil
}

// actionPattern is a service, which has no wildcards, and the name of its operation. The actions of the host-command
// protocol have one colon more than others.
var actionPattern = regexp.MustCompile(`^(\*|(\*|[A-Za-z0-9-]+):[A-Za-z0-9*?:_-]+)$`)

// Evaluate returns what the policy says about an action ("service:Operation") on a resource, an ARN or "*", and the Sid of
// the statement that says so.
func (p Policy) Evaluate(action, resource string) (answer Answer, sid string) {
	action = strings.ToLower(action)
	asked := splitARN(resource)
	for _, s := range p.statements {
		if s.answer > answer && s.covers(action) && s.resources.has(func(pattern arn) bool { return pattern.matches(asked) }) {
			answer, sid = s.answer, s.sid
		}
	}
	return answer, sid
}

// arn is the six parts of an ARN: "arn", partition, service, region, account, and the rest, which may hold more colons. A
// text that is none, such as "*", stands alone in the first.
type arn [6]string

func splitARN(text string) (a arn) {
	parts := strings.SplitN(text, ":", len(a))
	if len(parts) != len(a) || parts[0] != "arn" {
		return arn{text}
	}
	return arn(parts)
}

// parsePattern reads a resource of a statement.
func parsePattern(text string) (arn, error) {
	a := splitARN(text)
	switch {
	case text == "*":
		return a, nil
	case a[0] != "arn" || a[1] == "" || a[2] == "" || a[5] == "":
		return a, fmt.Errorf("the resource %q must be * or an ARN with six parts, such as arn:aws:s3:::bundles/*", text)
	case strings.Contains(text, "${"):
		return a, fmt.Errorf("the resource %q has a policy variable; this server knows none, so write the name itself, in a policy for each user", text)
	case strings.ContainsAny(a[2], "*?"):
		return a, fmt.Errorf("the resource %q has a wildcard in the name of its service; write one resource for each service, or *", text)
	case a[2] == "codedeploy" && strings.ContainsAny(a[3]+a[4], "*?"):
		return a, fmt.Errorf("the resource %q has a wildcard in its region or account, where CodeDeploy takes none; write them out, or *", text)
	}
	return a, nil
}

// matches reports whether the pattern names the resource that is asked for. One that is no ARN is named by * alone.
func (pattern arn) matches(asked arn) bool {
	if pattern[0] == "*" {
		return true
	}
	for i := range pattern {
		if !match(pattern[i], asked[i]) {
			return false
		}
	}
	return true
}

// match reports whether the text is the pattern, in which * stands for any text and ? for any character. After a mismatch
// only the last * has to give way, so the time is at most the product of the lengths.
func match(pattern, text string) bool {
	p, t := 0, 0
	star, resume := -1, 0 // where the last * stands, and the end of the text that it takes
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+character(text[t:])
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			resume += character(text[resume:])
			p, t = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// character is the length of the first character in bytes.
func character(text string) int {
	_, size := utf8.DecodeRuneInString(text)
	return size
}
