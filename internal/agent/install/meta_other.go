//go:build !linux

package install

import (
	"io/fs"
	"os"
)

func lstat(path string) (meta, error) { return metaOf(os.Lstat(path)) }

func stat(path string) (meta, error) { return metaOf(os.Stat(path)) }

// metaOf knows what every system tells. Without serial numbers no two names are taken for the same file.
func metaOf(info fs.FileInfo, err error) (meta, error) {
	if err != nil {
		return meta{}, err
	}
	return meta{
		mode: info.Mode(), uid: -1, gid: -1, size: info.Size(), allocated: info.Size(),
		atime: info.ModTime().UnixNano(), mtime: info.ModTime().UnixNano(), links: 1,
	}, nil
}

// readFolder returns what is in a folder, in no order.
func readFolder(path string) ([]branch, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	children := make([]branch, len(entries))
	for i, entry := range entries {
		m, err := metaOf(entry.Info())
		if err != nil {
			return nil, err
		}
		children[i] = branch{name: entry.Name(), meta: m}
	}
	return children, nil
}
