package store

import (
	"regexp"
	"testing"
)

func TestNewDeploymentID(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^d-[A-Z0-9]{9}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewDeploymentID()
		if !form.MatchString(id) {
			t.Fatalf("NewDeploymentID() = %q, want d- and nine of A-Z0-9", id)
		}
		if seen[id] {
			t.Fatalf("%q came twice within 1000 ids", id)
		}
		seen[id] = true
	}
}
