// Package filelock tells whether another process uses the same thing: a lock on a file, which the system drops however the
// process that holds it ends.
package filelock

import "os"

// TryExclusive locks a file without waiting; false means that somebody else holds a lock on it. The lock lasts until the file
// is closed.
func TryExclusive(f *os.File) (bool, error) { return try(f, true) }

// TryShared is like TryExclusive, but keeps out only those who want the file for themselves.
func TryShared(f *os.File) (bool, error) { return try(f, false) }
