package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Trust is the trust policy of a role. The zero Trust says nothing.
type Trust struct{ statements []trustStatement }

type trustStatement struct {
	rule
	principals []string // "*", ARNs, and accounts as the ARN of their root
}

// ParseTrust reads a trust policy. The error says what is wrong with the document, and what to write instead.
func ParseTrust(text string) (Trust, error) {
	raw, err := statements(text)
	if err != nil {
		return Trust{}, err
	}
	var t Trust
	for i, members := range raw {
		s, err := parseTrustStatement(members)
		if err != nil {
			return Trust{}, fmt.Errorf("statement %d: %w", i+1, err)
		}
		t.statements = append(t.statements, s)
	}
	return t, nil
}

func parseTrustStatement(m object) (s trustStatement, err error) {
	if err := m.only("Sid", "Effect", "Principal", "Action", "NotAction"); err != nil {
		return s, err
	}
	if s.rule, err = m.rule(); err != nil {
		return s, err
	}
	for _, action := range s.actions.listed {
		if action != "*" && !strings.HasPrefix(action, "sts:") {
			return s, fmt.Errorf("a trust policy is about actions of sts, such as sts:AssumeRole, got %q", action)
		}
	}
	s.principals, err = m.principals()
	return s, err
}

// principals reads "Principal": "*" or {"AWS": one or several}. Services may be named, because the trust policy of a CodeDeploy
// service role names one, but are nobody here.
func (m object) principals() ([]string, error) {
	value, ok := m["Principal"]
	if !ok {
		return nil, errors.New(`it has no Principal; write who may take the role on, such as "Principal": {"AWS": "arn:aws:iam::123456789012:user/ann"}`)
	}
	if string(value) == `"*"` {
		return []string{"*"}, nil
	}
	var kinds object
	if err := json.Unmarshal(value, &kinds); err != nil {
		return nil, errors.New(`the Principal must be "*" or an object such as {"AWS": "123456789012"}`)
	}
	if err := kinds.only("AWS", "Service"); err != nil {
		return nil, fmt.Errorf("in the Principal: %w", err)
	}
	if _, err := kinds.list("Service"); err != nil {
		return nil, err
	}
	listed, err := kinds.list("AWS")
	if err != nil {
		return nil, err
	}
	for i, p := range listed {
		switch {
		case accountID.MatchString(p):
			listed[i] = AccountARN(p)
		case p != "*" && !principalARN.MatchString(p):
			return nil, fmt.Errorf("the principal %q must be *, an account, or the ARN of an account's root, a user, a role or a session of a role, without wildcards", p)
		}
	}
	return listed, nil
}

var (
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	principalARN = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(root|(user|role)/[!-)+->@-~]+)|sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+)$`)
)

// AccountARN is the principal that stands for an account of twelve digits.
func AccountARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// Evaluate returns what the policy says about an action of somebody in the account, who is known by one or several ARNs: a
// session has its own and that of its role. Somebody whom it names needs no other policy; who is trusted with the account
// does (Delegated).
func (t Trust) Evaluate(action, account string, who ...string) Answer {
	action = strings.ToLower(action)
	best := Silent
	for _, s := range t.statements {
		switch {
		case !s.covers(action):
		case slices.Contains(s.principals, "*"), slices.ContainsFunc(who, s.names):
			best = max(best, s.answer)
		case s.names(AccountARN(account)):
			best = max(best, delegated(s.answer))
		}
	}
	return best
}

func (s trustStatement) names(arn string) bool { return slices.Contains(s.principals, arn) }

// delegated is what a statement about an account says about somebody in it: a Deny is one for all.
func delegated(a Answer) Answer {
	if a == Allowed {
		return Delegated
	}
	return a
}
