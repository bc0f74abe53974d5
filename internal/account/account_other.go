//go:build !linux

package account

import (
	"errors"
	"fmt"
	"os/user"
	"runtime"
)

func find(name string) (User, error) {
	found, err := user.Lookup(name)
	return userOf(name, found, err)
}

func current() (User, error) {
	found, err := user.Current()
	return userOf("of this process", found, err)
}

func userID(name string) (uint32, error) {
	u, err := find(name)
	return u.UID, err
}

func groupID(name string) (uint32, error) {
	if runtime.GOOS == "windows" {
		return 0, unnumbered(name)
	}
	found, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return 0, &Unknown{"group", name}
	}
	if err != nil {
		return 0, fmt.Errorf("look up group %s: %w", name, err)
	}
	return parseID(name, found.Gid)
}

func userName(number string) (string, error) {
	found, err := user.LookupId(number)
	if err != nil {
		return "", err
	}
	return found.Username, nil
}

func groupName(number string) (string, error) {
	found, err := user.LookupGroupId(number)
	if err != nil {
		return "", err
	}
	return found.Name, nil
}

// userOf completes what the operating system found. It does not tell the shell.
func userOf(name string, found *user.User, err error) (User, error) {
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return User{}, &Unknown{"user", name}
	}
	if err != nil {
		return User{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	if runtime.GOOS == "windows" {
		return User{}, unnumbered(name)
	}
	u := User{Name: found.Username, Home: found.HomeDir, Shell: "/bin/sh"}
	if u.UID, err = parseID(name, found.Uid); err != nil {
		return User{}, err
	}
	if u.GID, err = parseID(name, found.Gid); err != nil {
		return User{}, err
	}
	groups, err := found.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("look up the groups of user %s: %w", name, err)
	}
	for _, group := range groups {
		gid, err := parseID(name, group)
		if err != nil {
			return User{}, err
		}
		u.Groups = append(u.Groups, gid)
	}
	return u, nil
}

// unnumbered is the error of Windows, where accounts have no numbers and files no such owners.
func unnumbered(name string) error {
	return fmt.Errorf("account %s: owners, groups and 'runas' on Windows: %w", name, errors.ErrUnsupported)
}
