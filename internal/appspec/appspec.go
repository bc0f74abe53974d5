// Package appspec reads the AppSpec file of a revision (agent.md section 7).
//
// What is accepted is what the stock agent accepts on Linux, YAML 1.1 as Ruby understands it included. What it refuses is
// refused with the place, the reason and the way to mend it, because an AppSpec is where most first deployments fail.
package appspec

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// DefaultTimeout is what a script gets when its AppSpec entry names no timeout (agent.md 7.2).
const DefaultTimeout = 3600 * time.Second

// MaxSize is the size in bytes above which a file is not taken for an AppSpec.
const MaxSize = 1 << 20

// Values of AppSpec.FileExistsBehavior.
const (
	Disallow  = "DISALLOW"
	Overwrite = "OVERWRITE"
	Retain    = "RETAIN"
)

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
	Err          error  // the cause, or nil
}

// Error returns "file:line:column: message; fix".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	b.WriteString(": " + e.Message)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Unwrap returns the cause, which may be nil.
func (e *Error) Unwrap() error { return e.Err }

// Parse reads an AppSpec for Linux hosts. name is only used in errors. Every error is an *Error.
func Parse(name string, data []byte) (*AppSpec, error) {
	document, failure := load(name, data)
	if failure != nil {
		return nil, failure
	}
	r := &reader{file: name, budget: maxNodes}
	spec := r.appSpec(document)
	if r.failure != nil {
		return nil, r.failure
	}
	return spec, nil
}

// ParseFile reads the AppSpec at path. Every error is an *Error.
func ParseFile(path string) (*AppSpec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Message: err.Error(), Err: err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, &Error{File: path, Message: err.Error(), Err: err}
	}
	return Parse(path, data)
}
