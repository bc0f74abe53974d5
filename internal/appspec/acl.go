package appspec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ACL is one normalised access control list entry (agent.md 7.4).
type ACL struct {
	Default bool
	Tag     string // user, group, mask, other
	Name    string
	Perms   uint8 // rwx bits 0-7
}

// String returns the entry in the form that setfacl takes: "[default:]type:name:rwx".
func (a ACL) String() string {
	s := fmt.Sprintf("%s:%s:%s", a.Tag, a.Name, rwx(a.Perms))
	if a.Default {
		return "default:" + s
	}
	return s
}

// rwx writes permission bits as ls does.
func rwx(perms uint8) string {
	letters := []byte("rwx")
	for i := range letters {
		if perms&(4>>i) == 0 {
			letters[i] = '-'
		}
	}
	return string(letters)
}

// acls reads the field acls of a permission.
func (r *reader) acls(m mapping) []ACL {
	const shape = `write entries as "user:alice:rw", in quotes`
	var acls []ACL
	for _, n := range r.scalars(m, "acls", shape) {
		acl, err := parseACL(n.Value)
		if err != nil {
			r.fail(n, fmt.Sprintf("acls entry %q: %v", n.Value, err), `the form is [default:][user|group|mask|other:]name:rwx`)
			return nil
		}
		acls = append(acls, acl)
	}
	return acls
}

// Spellings of the parts of an entry.
var (
	defaultMarks = []string{"d", "default"}
	aclTags      = map[string]string{
		"u": "user", "user": "user", "g": "group", "group": "group", "m": "mask", "mask": "mask", "o": "other", "other": "other",
	}
)

// parseACL reads 2 to 4 fields: [d|default:][type:]name:perms. Where the type is left out it is user, except that a lone m,
// mask, o or other is a type without a name.
func parseACL(text string) (ACL, error) {
	fields := strings.Split(text, ":")
	if len(fields) < 2 || len(fields) > 4 {
		return ACL{}, fmt.Errorf("it has %d fields between colons, not 2 to 4", len(fields))
	}
	perms, err := parsePerms(fields[len(fields)-1])
	if err != nil {
		return ACL{}, err
	}
	acl := ACL{Perms: perms}
	who := fields[:len(fields)-1]
	if len(who) > 1 && slices.Contains(defaultMarks, who[0]) {
		acl.Default, who = true, who[1:]
		if slices.Contains(defaultMarks, who[0]) && len(who) > 1 {
			return ACL{}, errors.New("it is marked default twice")
		}
	}
	if err := acl.setWho(who); err != nil {
		return ACL{}, err
	}
	return acl, acl.check()
}

// setWho reads what stands before the permissions, without the default mark.
func (a *ACL) setWho(who []string) error {
	switch len(who) {
	case 1:
		if tag := aclTags[who[0]]; tag == "mask" || tag == "other" {
			a.Tag = tag
			return nil
		}
		a.Tag, a.Name = "user", who[0]
		return nil
	case 2:
		tag, ok := aclTags[who[0]]
		if !ok {
			return fmt.Errorf("type %q is unknown", who[0])
		}
		a.Tag, a.Name = tag, who[1]
		return nil
	}
	return fmt.Errorf("its first field is %q, but four fields need default there", who[0])
}

// check refuses what cannot be set with an ACL.
func (a ACL) check() error {
	if a.Name != "" && (a.Tag == "mask" || a.Tag == "other") {
		return fmt.Errorf("%s takes no name", a.Tag)
	}
	if a.Name == "" && a.Tag != "mask" && !a.Default {
		return fmt.Errorf("without a name it is the mode's own entry for %s; use mode instead", a.Tag)
	}
	return nil
}

// parsePerms reads one octal digit, or letters in any order.
func parsePerms(s string) (uint8, error) {
	if len(s) == 1 && s[0] >= '0' && s[0] <= '7' {
		return s[0] - '0', nil
	}
	var perms uint8
	for _, c := range s {
		switch c {
		case 'r':
			perms |= 4
		case 'w':
			perms |= 2
		case 'x':
			perms |= 1
		case '-', ' ':
		default:
			return 0, fmt.Errorf("permission character %q is unknown", c)
		}
	}
	return perms, nil
}
