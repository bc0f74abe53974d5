package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"grapnel/internal/appspec"
	"grapnel/internal/awsapi"
)

// findScript returns why a script cannot be run, nil when its file is there. The advice comes before the path, which is
// long: summaries cut messages at their end.
func findScript(archive string, s appspec.Script) *ScriptError {
	path := scriptPath(archive, s.Location)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	message := fmt.Sprintf("script %s (AppSpec line %d) does not exist.%s", s.Location, s.Line, appspec.Probably(archive, "location", s.Location))
	if strings.HasPrefix(s.Location, "/") {
		message += " A location is looked up below the archive, the unpacked bundle, also when it begins with \"/\"."
	}
	message += " Looked for it at " + filepath.Clean(path)
	return &ScriptError{Code: awsapi.CodeScriptMissing, Script: s.Location, Message: message}
}
