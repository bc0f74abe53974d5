//go:build !unix

package local

// setUmask does nothing: there is no umask.
func setUmask() {}

// writable cannot tell: whether a folder can be written shows when it is.
func writable(string) error { return nil }
