package appspec

import (
	"path"
	"strings"
)

// ClimbsOut reports whether a path leaves the folder that it is taken below, going by its names alone: "a/../../b" does,
// "/a/../b" does not. For a source and a script's location that folder is the archive, also when they begin with a slash
// (agent.md 9.2); for a destination it is the root of the host. Such a path is in real use and works, so the caller decides: a
// warning, or a refusal where reject_path_traversal_in_bundle is set (agent.md 15).
func ClimbsOut(name string) bool {
	clean := path.Clean("./" + strings.TrimLeft(name, "/"))
	return clean == ".." || strings.HasPrefix(clean, "../")
}
