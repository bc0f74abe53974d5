package install

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// lstat looks at a name itself, stat at what it leads to. They are not os.Lstat and os.Stat because an Install asks about
// thousands of files, and those allocate for each.
func lstat(path string) (meta, error) { return statAt(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW) }

func stat(path string) (meta, error) { return statAt(unix.AT_FDCWD, path, 0) }

// statAt looks at a path that begins at an open folder.
func statAt(folder int, path string, flags int) (meta, error) {
	var st unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstatat(folder, path, &st, flags) })
	if err != nil {
		return meta{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return metaOf(&st), nil
}

// readFolder returns what is in a folder, in no order. It opens the folder once and finds the names from there, which for
// deep trees takes half the time of finding each from the root.
func readFolder(path string) ([]branch, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	var buffer [8 << 10]byte
	for {
		n, err := again(func() (int, error) { return unix.ReadDirent(fd, buffer[:]) })
		if err != nil {
			return nil, &fs.PathError{Op: "readdirent", Path: path, Err: err}
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
	children := make([]branch, len(names))
	for i, name := range names {
		m, err := statAt(fd, name, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return nil, fmt.Errorf("in %s: %w", path, err)
		}
		children[i] = branch{name: name, meta: m}
	}
	return children, nil
}

func metaOf(st *unix.Stat_t) meta {
	const unit = 512 // of st_blocks, whatever the file system's
	return meta{
		mode: fileMode(st.Mode), uid: int(st.Uid), gid: int(st.Gid),
		size: st.Size, allocated: st.Blocks * unit,
		atime: st.Atim.Nano(), mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
		device: st.Dev, serial: st.Ino, links: uint64(st.Nlink), //nolint:unconvert // its size differs by architecture
	}
}

func fileMode(bits uint32) fs.FileMode {
	mode := modeOf(bits)
	switch bits & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular // devices, sockets and pipes: nothing that an Install copies
	}
	return mode
}
