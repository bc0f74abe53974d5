//go:build !unix

package script

// SetUmask does nothing: there is no umask.
func SetUmask() {}
