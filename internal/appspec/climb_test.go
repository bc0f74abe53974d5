package appspec

import "testing"

func TestClimbsOut(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"": false, "/": false, ".": false, "a": false, "/a/b": false, "a/..": false, "a/../b": false, "./a/./..": false, "..a": false, "a/..b": false,
		"..": true, "../a": true, "/..": true, "/../a": true, "a/../..": true, "a/../../b": true, "//../a": true, "./..": true,
		"/opt/../../etc": true, "/opt/../etc": false, "../../../../../../var/app/current/start.sh": true,
	} {
		if got := ClimbsOut(name); got != want {
			t.Errorf("ClimbsOut(%q) = %v, want %v", name, got, want)
		}
	}
}
