//go:build !unix

package join

// giveTo does nothing where files are not given away.
func giveTo(string, string) error { return nil }
