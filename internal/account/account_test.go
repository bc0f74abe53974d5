package account

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestRoot(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no root")
	}
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
	if u, err := Current(); err != nil || int(u.UID) != os.Geteuid() {
		t.Errorf("Current = %+v, %v", u, err)
	}
}

// Thousands of files with the same owner must not be thousands of processes: with a process for each, an Install of 3,500
// files took five seconds.
func TestCacheAsksOnce(t *testing.T) {
	t.Parallel()
	trouble := errors.New("the directory does not answer")
	var users memo[uint32]
	asked := map[string]int{}
	lookup := func(name string) (uint32, error) {
		asked[name]++
		if name == "app" {
			return 990, nil
		}
		return 0, trouble
	}
	for range 3500 {
		if id, err := users.ask("app", lookup); id != 990 || err != nil {
			t.Fatalf("app = %d, %v", id, err)
		}
		if _, err := users.ask("alice", lookup); err != trouble {
			t.Fatalf("alice: %v", err)
		}
	}
	if asked["app"] != 1 || asked["alice"] != 1 {
		t.Errorf("asked %v, want each once", asked)
	}
}

func TestCacheAnswersAsTheFunctions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no root")
	}
	var cache Cache
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if id, err := cache.UserID("root"); err != nil || id != 0 {
				t.Errorf("UserID = %d, %v", id, err)
			}
			if owner, want := cache.Owner(0, 1_999_999_999), "root:1999999999"; owner != want {
				t.Errorf("Owner = %s, want %s", owner, want)
			}
			var unknown *Unknown
			if _, err := cache.GroupID("grapnel-nobody"); !errors.As(err, &unknown) || unknown.Kind != "group" {
				t.Errorf("GroupID = %v, want Unknown", err)
			}
		})
	}
	group.Wait()
}
