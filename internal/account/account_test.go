package account

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestRoot(t *testing.T) {
	t.Parallel()
	u, err := Find("root")
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "root" || u.UID != 0 || u.GID != 0 || len(u.Groups) == 0 || !strings.HasPrefix(u.Home, "/") || !strings.HasPrefix(u.Shell, "/") {
		t.Errorf("root = %+v", u)
	}
	if id, err := UserID("root"); err != nil || id != 0 {
		t.Errorf("UserID = %d, %v", id, err)
	}
	if id, err := GroupID("root"); err != nil || id != 0 {
		t.Errorf("GroupID = %d, %v", id, err)
	}
}

// A number, which getent would take, is no name: files would get an owner that nobody meant.
func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"grapnel-nobody", "--help", ""} {
		var unknown *Unknown
		if _, err := Find(name); !errors.As(err, &unknown) {
			t.Errorf("user %q: error = %v, want Unknown", name, err)
		}
		if _, err := GroupID(name); !errors.As(err, &unknown) {
			t.Errorf("group %q: error = %v, want Unknown", name, err)
		}
	}
	if id, err := UserID("0"); err == nil {
		t.Errorf("the name 0 is user %d", id)
	}
}

// Users of LDAP or SSSD come as a line of getent, and their groups from id.
func TestDirectoryUser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("id"); err != nil {
		t.Skip("id is not installed; apt-get install coreutils")
	}
	entry, _ := parse("root:x:0:0:Charlie &:/root:\n", "root")
	u, err := userOf(entry, false)
	if err != nil {
		t.Fatal(err)
	}
	if u.Home != "/root" || u.Shell != "/bin/sh" || u.UID != 0 || len(u.Groups) == 0 {
		t.Errorf("user = %+v", u)
	}
	for line, want := range map[string]string{
		"root:x:0":                      "3 fields instead of 7",
		"root:x:-1:0::/root:/bin/sh":    "invalid syntax",
		"grapnel-nobody:x:1:1::/:/bin/": "look up the groups",
	} {
		if _, err := userOf(strings.Split(line, ":"), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error = %v, want %q", line, err, want)
		}
	}
}
