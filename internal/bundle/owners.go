package bundle

import (
	"os/user"
	"strconv"
)

// owners finds out whom unpacked files belong to. As tar does, a name counts more than a number: the account that the
// application runs as has another number on each host.
type owners struct {
	restore       bool
	users, groups map[string]int // what was looked up already; -1 for a name that this host does not know
}

func newOwners(o Options) *owners {
	return &owners{restore: o.Owners, users: map[string]int{}, groups: map[string]int{}}
}

// resolve replaces the numbers of an entry by those of this host, or by -1 if owners are not to be restored.
func (o *owners) resolve(e *entry) {
	if !o.restore || e.uid < 0 || e.gid < 0 {
		e.uid, e.gid = -1, -1
		return
	}
	e.uid = lookUp(o.users, e.owner, e.uid, userNumber)
	e.gid = lookUp(o.groups, e.group, e.gid, groupNumber)
}

// lookUp returns the number of a name, or number if there is none.
func lookUp(known map[string]int, name string, number int, find func(string) (string, error)) int {
	if name == "" {
		return number
	}
	id, ok := known[name]
	if !ok {
		id = -1
		if text, err := find(name); err == nil {
			if n, err := strconv.Atoi(text); err == nil {
				id = n
			}
		}
		known[name] = id
	}
	if id < 0 {
		return number
	}
	return id
}

func userNumber(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupNumber(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
