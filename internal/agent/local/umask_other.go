//go:build !unix

package local

// setUmask does nothing: there is no umask.
func setUmask() {}
