package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes the test binary behave as getent or id when it is called by that name.
func TestMain(m *testing.M) {
	if program := filepath.Base(os.Args[0]); program == "getent" || program == "id" {
		os.Exit(answerFor(program, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// answerFor answers as the name services of a host that is joined to the directory example.com.
func answerFor(program string, args []string) int {
	switch request := program + " " + strings.Join(args, " "); request {
	case "getent passwd -- Alice@EXAMPLE.COM", "getent passwd -- alice":
		fmt.Println("alice:*:70001:70000:Alice:/home/alice:")
	case "getent passwd -- 70001":
		fmt.Println("alice:*:70001:70000:Alice:/home/alice:")
	case "getent group -- staff":
		fmt.Println("staff:*:70000:")
	case "getent passwd -- short":
		fmt.Println("short:*:70002")
	case "getent passwd -- odd", "getent group -- odd":
		fmt.Println("nonsense")
	case "getent passwd -- slow":
		time.Sleep(time.Minute)
	case "getent passwd -- broken":
		return 1
	case "id -G -- alice", "id -G -- app":
		fmt.Println("70000 70005 27")
	default:
		return 2
	}
	return 0
}

// joined returns the sources of a host that is joined to a directory, with two local users and a local group.
func joined(t *testing.T) sources {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\napp:x:990:990::/srv/app:/usr/sbin/nologin\nlone:x:991:991::/srv/lone:/bin/sh\n\nshorty:x:1\nnegative:x:-1:0:::\n",
		"group":  "root:x:0:\napp:x:990:lone\ndocker:x:27:bob,lone,app\nlone:x:991:lone\n#comment\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"getent", "id"} {
		if err := os.Symlink(self, filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	return sources{files: dir, getent: filepath.Join(dir, "getent"), id: filepath.Join(dir, "id"), patience: time.Minute}
}

func TestUsersAndTheirGroups(t *testing.T) {
	t.Parallel()
	s := joined(t)
	directory := User{Name: "alice", Home: "/home/alice", Shell: "/bin/sh", UID: 70001, GID: 70000, Groups: []uint32{70000, 70005, 27}}
	for name, c := range map[string]struct {
		query query
		want  User
	}{
		"of the directory":                    {named("user", "passwd", "alice"), directory},
		"spelled otherwise":                   {named("user", "passwd", "Alice@EXAMPLE.COM"), directory},
		"by number":                           {numbered("user", "passwd", "70001"), directory},
		"local, in groups of the directory":   {named("user", "passwd", "app"), User{"app", "/srv/app", "/usr/sbin/nologin", 990, 990, []uint32{70000, 70005, 27}}},
		"local, unknown to the name services": {named("user", "passwd", "lone"), User{"lone", "/srv/lone", "/bin/sh", 991, 991, []uint32{991, 990, 27}}},
	} {
		got, err := s.user(c.query)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if gid, err := s.number(named("group", "group", "staff")); gid != 70000 || err != nil {
		t.Errorf("group staff = %d, %v", gid, err)
	}
	if name, err := s.name(numbered("user", "passwd", "70001")); name != "alice" || err != nil {
		t.Errorf("user 70001 = %q, %v", name, err)
	}
	if name, err := s.name(numbered("group", "group", "27")); name != "docker" || err != nil {
		t.Errorf("group 27 = %q, %v", name, err)
	}
	if gid, err := s.number(named("group", "group", "docker")); gid != 27 || err != nil {
		t.Errorf("group docker = %d, %v", gid, err)
	}
}

// A number, which getent would take, is no name: files would get an owner that nobody meant.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	s := joined(t)
	for _, name := range []string{"nobody-here", "--help", "", "70001", "+70001", " 70001", "0", "99999999999999999999999", "#comment"} {
		var unknown *Unknown
		if _, err := s.user(named("user", "passwd", name)); !errors.As(err, &unknown) || unknown.Name != name || unknown.Kind != "user" {
			t.Errorf("user %q: error = %v, want Unknown", name, err)
		}
		if _, err := s.number(named("group", "group", name)); !errors.As(err, &unknown) || unknown.Kind != "group" {
			t.Errorf("group %q: error = %v, want Unknown", name, err)
		}
	}
	if text := (&Unknown{"user", "1000"}).Error(); !strings.Contains(text, "name instead of a number") {
		t.Errorf("error of a number = %q", text)
	}
	alone := sources{files: s.files, getent: "/no/such/getent", id: "/no/such/id", patience: time.Minute}
	var unknown *Unknown
	if _, err := alone.user(named("user", "passwd", "alice")); !errors.As(err, &unknown) {
		t.Errorf("without getent: error = %v, want Unknown", err)
	}
	if u, err := alone.user(named("user", "passwd", "lone")); err != nil || len(u.Groups) != 3 {
		t.Errorf("without id: %+v, %v", u, err)
	}
}

// That a directory does not answer does not mean that it has no such user.
func TestTroubleIsNotUnknown(t *testing.T) {
	t.Parallel()
	s := joined(t)
	hurried := s
	hurried.patience = 50 * time.Millisecond
	for name, c := range map[string]struct {
		sources sources
		want    string
	}{
		"slow":     {hurried, "is the directory service (LDAP, SSSD) reachable?"},
		"broken":   {s, "exit status 1"},
		"odd":      {s, `getent answered "nonsense\n"`},
		"short":    {s, "3 fields instead of 7"},
		"shorty":   {s, "3 fields instead of 7"},
		"negative": {s, "number of negative"},
	} {
		_, err := c.sources.user(named("user", "passwd", name))
		var unknown *Unknown
		if err == nil || errors.As(err, &unknown) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("user %s: error = %v, want %q", name, err, c.want)
		}
	}
}
