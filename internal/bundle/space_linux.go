package bundle

import "golang.org/x/sys/unix"

// free returns the bytes and inodes that are free where dir lies; -1 stands for as many as needed or unknown. What is kept in
// reserve for root does not count: the host needs it to be mended.
func free(dir string) (bytes, inodes int64) {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return -1, -1
	}
	if fs.Files == 0 {
		return int64(fs.Bavail) * fs.Bsize, -1
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Ffree)
}
