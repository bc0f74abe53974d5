// Package account looks up users and groups of this host, those of LDAP or SSSD included.
//
// On Linux the local files are read first, and getent and id are asked for the rest: a static binary does not see what the
// system's name services know. Elsewhere the operating system is asked. Only names count: a number in an AppSpec is no user
// (agent.md 7.2).
package account

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// User is a user of the host.
type User struct {
	Name, Home, Shell string
	UID, GID          uint32
	Groups            []uint32 // all of them, GID included
}

// Unknown says that nobody knows a user or a group of this name.
type Unknown struct {
	Kind string // user or group
	Name string
}

// Error names what is unknown.
func (u *Unknown) Error() string {
	if isNumber(u.Name) {
		return fmt.Sprintf("there is no %s named %q on this host; give the name instead of a number", u.Kind, u.Name)
	}
	return fmt.Sprintf("there is no %s %q on this host", u.Kind, u.Name)
}

// Find returns a user with all groups. The error is an [*Unknown] when nobody knows the name.
func Find(name string) (User, error) { return find(name) }

// Current returns the user that this process runs as.
func Current() (User, error) { return current() }

// UserID returns the number of a user. The error is an [*Unknown] when nobody knows the name.
func UserID(name string) (uint32, error) { return userID(name) }

// GroupID returns the number of a group. The error is an [*Unknown] when nobody knows the name.
func GroupID(name string) (uint32, error) { return groupID(name) }

// Cache remembers answers, so that an Install of thousands of files asks once for each name. It is meant for one deployment:
// the next must see users that were made in between. Failures are remembered as well, because a directory service that
// does not answer would take its whole timeout for each file. The zero value is ready; it is safe for concurrent use.
type Cache struct {
	mu     sync.Mutex // held during a lookup, so that nobody asks for the same at the same time
	owners memo[uint32]
	groups memo[uint32]
	// The names of users and of groups, by their numbers as text.
	userNames, groupNames memo[string]
}

// UserID is [UserID], once for each name.
func (c *Cache) UserID(name string) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owners.ask(name, UserID)
}

// GroupID is [GroupID], once for each name.
func (c *Cache) GroupID(name string) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups.ask(name, GroupID)
}

// Owner returns user:group, each as its number where it has no name.
func (c *Cache) Owner(uid, gid int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return nameOr(strconv.Itoa(uid), &c.userNames, userName) + ":" + nameOr(strconv.Itoa(gid), &c.groupNames, groupName)
}

// memo holds answers by what was asked for.
type memo[T any] map[string]answer[T]

type answer[T any] struct {
	value T
	err   error
}

func (m *memo[T]) ask(name string, lookup func(string) (T, error)) (T, error) {
	a, known := (*m)[name]
	if !known {
		a.value, a.err = lookup(name)
		if *m == nil {
			*m = memo[T]{}
		}
		(*m)[name] = a
	}
	return a.value, a.err
}

// nameOr returns the name that belongs to a number, or the number.
func nameOr(number string, known *memo[string], lookup func(string) (string, error)) string {
	name, err := known.ask(number, lookup)
	if err != nil {
		return number
	}
	return name
}

// isNumber reports whether name services would take the name for a number, as getent does with "12", " 12" and "+12".
func isNumber(name string) bool {
	_, err := strconv.ParseInt(strings.TrimSpace(name), 10, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// parseID reads the number of the named user or group.
func parseID(name, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("number of %s: %w", name, err)
	}
	return uint32(n), nil
}
