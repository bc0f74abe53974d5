// Package account looks up users and groups of this host, those of LDAP or SSSD included.
package account

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// User is a user of the host.
type User struct {
	Name, Home, Shell string
	UID, GID          uint32
	Groups            []uint32
}

// Unknown says that nobody knows a user or a group of this name.
type Unknown struct {
	Kind string // user or group
	Name string
}

// Error names what is unknown.
func (u *Unknown) Error() string {
	return fmt.Sprintf("there is no %s %q on this host", u.Kind, u.Name)
}

// Find returns a user, or an [*Unknown].
func Find(name string) (User, error) {
	entry, local, err := look("user", "passwd", name)
	if err != nil {
		return User{}, err
	}
	return userOf(entry, local)
}

// UserID returns the number of a user, or an [*Unknown].
func UserID(name string) (uint32, error) { return number("user", "passwd", name) }

// GroupID returns the number of a group, or an [*Unknown].
func GroupID(name string) (uint32, error) { return number("group", "group", name) }

func number(kind, database, name string) (uint32, error) {
	entry, _, err := look(kind, database, name)
	if err != nil {
		return 0, err
	}
	return parseID(name, entry[2])
}

// look finds an entry in the local files, and otherwise through getent: a static binary does not see what the system's
// name services know.
func look(kind, database, name string) (entry []string, local bool, err error) {
	if data, err := os.ReadFile("/etc/" + database); err == nil {
		for line := range strings.Lines(string(data)) {
			if entry, ok := parse(line, name); ok {
				return entry, true, nil
			}
		}
	}
	answer, err := exec.Command("getent", database, "--", name).Output()
	if err != nil {
		return nil, false, &Unknown{kind, name} // or getent is not there, and then nobody else knows either
	}
	entry, ok := parse(string(answer), name)
	if !ok {
		return nil, false, fmt.Errorf("getent %s %s: unexpected answer %q", database, name, answer)
	}
	return entry, false, nil
}

// parse returns the fields of a line, name:password:number:..., when it is the entry of that name.
func parse(line, name string) ([]string, bool) {
	entry := strings.Split(strings.TrimRight(line, "\n"), ":")
	return entry, len(entry) > 2 && entry[0] == name
}

// userOf reads an entry of passwd and finds the user's groups.
func userOf(entry []string, local bool) (User, error) {
	if len(entry) < 7 {
		return User{}, fmt.Errorf("the entry of user %s in passwd has %d fields instead of 7", entry[0], len(entry))
	}
	u := User{Name: entry[0], Home: entry[5], Shell: entry[6]}
	if u.Shell == "" {
		u.Shell = "/bin/sh" // passwd(5)
	}
	groups, err := groupsOf(u.Name, entry[3], local)
	if err != nil {
		return User{}, fmt.Errorf("look up the groups of user %s: %w", u.Name, err)
	}
	var ids []uint32
	for _, id := range slices.Concat(entry[2:4], groups) {
		n, err := parseID(u.Name, id)
		if err != nil {
			return User{}, err
		}
		ids = append(ids, n)
	}
	u.UID, u.GID, u.Groups = ids[0], ids[1], ids[2:]
	return u, nil
}

func groupsOf(name, gid string, local bool) ([]string, error) {
	if local {
		return (&user.User{Username: name, Gid: gid}).GroupIds()
	}
	answer, err := exec.Command("id", "-G", "--", name).Output()
	if err != nil {
		return nil, fmt.Errorf("id -G: %w", err)
	}
	return strings.Fields(string(answer)), nil
}

func parseID(name, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("number of %s: %w", name, err)
	}
	return uint32(n), nil
}
