// Package appspec reads the AppSpec file of a revision (agent.md section 7).
package appspec

import "time"

// DefaultTimeout is what a script gets when its AppSpec entry names no timeout (agent.md 7.2).
const DefaultTimeout = 3600 * time.Second

// AppSpec is a parsed AppSpec file of the Server platform.
type AppSpec struct {
	OS                 string
	FileExistsBehavior string // DISALLOW, OVERWRITE, RETAIN, or "" when absent
	Files              []File
	Permissions        []Permission
	Hooks              map[string][]Script // by lifecycle event name; order of scripts kept
}

// File is one entry of files: copy Source (below the archive) to Destination (a folder on the host).
type File struct {
	Source      string
	Destination string
	Line        int
}

// Permission is one entry of permissions.
type Permission struct {
	Object  string
	Pattern string // default "**"
	Except  []string
	Types   []string // subset of "file", "directory"; default both
	Owner   string
	Group   string
	Mode    string // 3 or 4 octal digits, or ""
	ACLs    []ACL
	Context *Context
	Line    int
}

// ACL is one normalised access control list entry (agent.md 7.4).
type ACL struct {
	Default bool
	Tag     string // user, group, mask, other
	Name    string
	Perms   uint8 // rwx bits 0-7
}

// Context is a SELinux context.
type Context struct {
	User, Type, Range string
}

// Script is one hook script.
type Script struct {
	Location string
	Timeout  time.Duration
	RunAs    string
	Sudo     bool
	Line     int
}

// Error is a mistake in an AppSpec file: where it is, what is wrong and how to mend it.
type Error struct {
	File         string // as the caller named it, e.g. "appspec.yml"
	Line, Column int    // 1-based; 0 when the whole file is meant
	Message      string
	Fix          string // what to do, "" when the message says it all
}

// Parse reads an AppSpec for Linux hosts. name is only used in errors. Every error is an *Error.
func Parse(name string, data []byte) (*AppSpec, error) { panic("to be written") }

// Error returns "file:line:column: message; fix".
func (e *Error) Error() string { panic("to be written") }
