package install

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// lstat looks at a name itself, stat at what it leads to. They are not os.Lstat and os.Stat because an Install asks about
// thousands of files, and those allocate for each.
func lstat(path string) (meta, error) { return statWith(unix.Lstat, "lstat", path) }

func stat(path string) (meta, error) { return statWith(unix.Stat, "stat", path) }

func statWith(call func(string, *unix.Stat_t) error, name, path string) (meta, error) {
	var st unix.Stat_t
	for {
		switch err := call(path, &st); err {
		case nil:
			return metaOf(&st), nil
		case unix.EINTR: // file systems in user space and over the network
		default:
			return meta{}, &fs.PathError{Op: name, Path: path, Err: err}
		}
	}
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
