package account

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sources are where accounts come from.
type sources struct {
	files      string        // folder of the local files passwd and group
	getent, id string        // programs that ask the name services
	patience   time.Duration // how long one of them may take
}

// host are the sources of this host.
var host = sources{files: "/etc", getent: "getent", id: "id", patience: 10 * time.Second}

func find(name string) (User, error)      { return host.user(named("user", "passwd", name)) }
func userID(name string) (uint32, error)  { return host.number(named("user", "passwd", name)) }
func groupID(name string) (uint32, error) { return host.number(named("group", "group", name)) }

func current() (User, error) {
	return host.user(numbered("user", "passwd", strconv.Itoa(os.Geteuid())))
}

func userName(number string) (string, error)  { return host.name(numbered("user", "passwd", number)) }
func groupName(number string) (string, error) { return host.name(numbered("group", "group", number)) }

// query asks for the entry of a database whose field is key.
type query struct {
	kind     string // what an entry is: user or group
	database string
	key      string
	field    int
}

// numberField is where the number of an entry stands, in passwd as in group.
const numberField = 2

func named(kind, database, name string) query      { return query{kind, database, name, 0} }
func numbered(kind, database, number string) query { return query{kind, database, number, numberField} }

func (s sources) name(q query) (string, error) {
	entry, _, err := s.entry(q)
	if err != nil {
		return "", err
	}
	return entry[0], nil
}

func (s sources) number(q query) (uint32, error) {
	entry, _, err := s.entry(q)
	if err != nil {
		return 0, err
	}
	return parseID(entry[0], entry[numberField])
}

// user finds a user and the groups it is in.
func (s sources) user(q query) (User, error) {
	entry, local, err := s.entry(q)
	if err != nil {
		return User{}, err
	}
	if len(entry) < 7 {
		return User{}, fmt.Errorf("the entry of user %s in passwd has %d fields instead of 7", entry[0], len(entry))
	}
	u := User{Name: entry[0], Home: entry[5], Shell: entry[6]}
	if u.Shell == "" {
		u.Shell = "/bin/sh" // passwd(5)
	}
	if u.UID, err = parseID(u.Name, entry[numberField]); err != nil {
		return User{}, err
	}
	if u.GID, err = parseID(u.Name, entry[3]); err != nil {
		return User{}, err
	}
	if u.Groups, err = s.groups(u, local); err != nil {
		return User{}, fmt.Errorf("look up the groups of user %s: %w", u.Name, err)
	}
	return u, nil
}

// entry returns the fields of an entry, name:password:number:..., and whether it is in the local files.
func (s sources) entry(q query) (entry []string, local bool, err error) {
	entry, err = s.localEntry(q)
	if entry != nil || err != nil {
		return entry, true, err
	}
	if q.key == "" || q.field == 0 && isNumber(q.key) {
		return nil, false, &Unknown{q.kind, q.key} // getent would take it for the number
	}
	line, err := s.ask(s.getent, q.database, "--", q.key)
	const notFound = 2 // getent(1)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == notFound, errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, false, &Unknown{q.kind, q.key} // or getent is not there, and then nobody else knows either
	case err != nil:
		return nil, false, fmt.Errorf("look up %s %s: %w", q.kind, q.key, err)
	}
	// A directory may answer with another spelling of the name: Alice@EXAMPLE.COM is alice.
	entry = strings.Split(strings.TrimRight(line, "\n"), ":")
	if len(entry) <= numberField || entry[0] == "" {
		return nil, false, fmt.Errorf("look up %s %s: getent answered %q", q.kind, q.key, line)
	}
	return entry, false, nil
}

// localEntry returns nil when the local files do not have the entry. A host need not have the files.
func (s sources) localEntry(q query) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(s.files, q.database))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look up %s %s: %w", q.kind, q.key, err)
	}
	for line := range strings.Lines(string(data)) {
		entry := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(entry) > numberField && entry[0] != "" && entry[q.field] == q.key {
			return entry, nil
		}
	}
	return nil, nil
}

// groups returns all groups of a user. A local user can be in groups of a directory, so the name services are asked for
// these too; should they not answer, a local user has the groups of the local file.
func (s sources) groups(u User, local bool) ([]uint32, error) {
	answer, err := s.ask(s.id, "-G", "--", u.Name)
	if err != nil && local {
		return s.localGroups(u)
	}
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for field := range strings.FieldsSeq(answer) {
		gid, err := parseID(u.Name, field)
		if err != nil {
			return nil, err
		}
		groups = append(groups, gid)
	}
	return groups, nil
}

// localGroups returns the groups of a user that the local file knows.
func (s sources) localGroups(u User) ([]uint32, error) {
	data, err := os.ReadFile(filepath.Join(s.files, "group"))
	if err != nil {
		return nil, err
	}
	groups := []uint32{u.GID}
	for line := range strings.Lines(string(data)) {
		const members = 3
		entry := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(entry) <= members || !slices.Contains(strings.Split(entry[members], ","), u.Name) {
			continue
		}
		gid, err := parseID(entry[0], entry[numberField])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(groups, gid) {
			groups = append(groups, gid)
		}
	}
	return groups, nil
}

// ask runs a program that asks the name services. One that hangs, because a directory cannot be reached, is ended.
func (s sources) ask(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	answer, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s %s did not answer within %v; is the directory service (LDAP, SSSD) reachable?",
			program, strings.Join(args, " "), s.patience)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return string(answer), nil
}
