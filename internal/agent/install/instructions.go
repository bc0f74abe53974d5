package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"grapnel/internal/account"
)

// instruction is one step of an Install (agent.md 8.2). Its JSON form is what stock agents write, for people to read.
type instruction interface {
	// run changes the host and notes in the cleanup file what the next Install has to remove.
	run(*cleanupFile) error
}

type mkdirInstruction struct {
	Type      string `json:"type"`
	Directory string `json:"directory"`
}

type copyInstruction struct {
	Type        string `json:"type"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	size        int64  // bytes that it will take at the destination
}

type chmodInstruction struct {
	Type string `json:"type"`
	Mode string `json:"mode"`
	File string `json:"file"`
}

type chownInstruction struct {
	Type  string  `json:"type"`
	Owner *string `json:"owner"` // nil keeps it
	Group *string `json:"group"`
	File  string  `json:"file"`
	ids   ownerIDs
}

// ownerIDs are the numbers of an owner and a group; -1 keeps what is.
type ownerIDs struct{ uid, gid int }

func mkdirOf(path string) mkdirInstruction { return mkdirInstruction{Type: "mkdir", Directory: path} }

func copyOf(source, destination string, size int64) copyInstruction {
	return copyInstruction{Type: "copy", Source: source, Destination: destination, size: size}
}

// writeInstructions keeps the plan for people to read; it is never read back.
func writeInstructions(path string, steps []instruction) error {
	if steps == nil {
		steps = []instruction{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string][]instruction{"instructions": steps}); err != nil {
		return err
	}
	if err := os.WriteFile(path, bytes.TrimSpace(b.Bytes()), 0o644); err != nil {
		return fmt.Errorf("cannot write the instructions: %w", err)
	}
	return nil
}

func (m mkdirInstruction) run(c *cleanupFile) error {
	err := os.Mkdir(m.Directory, 0o755)
	if info, statErr := os.Stat(m.Directory); errors.Is(err, fs.ErrExist) && statErr == nil && info.IsDir() {
		return nil // the application has made it, or kept it by a new file in it, since the plan was made: it is not ours to remove
	} else if err != nil {
		return fmt.Errorf("cannot make the folder: %w", err)
	}
	return c.note(m.Directory)
}

// run notes the file first: a crash in the middle of the copy must leave nothing that the next Install does not know of.
func (i copyInstruction) run(c *cleanupFile) error {
	if err := c.note(i.Destination); err != nil {
		return err
	}
	info, err := os.Lstat(i.Source)
	if err != nil {
		return fmt.Errorf("cannot copy: %w", err)
	}
	temp := tempName(i.Destination)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot copy to %s: %w", i.Destination, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		err = copyLink(i.Source, temp)
	} else {
		err = copyFile(i.Source, temp, info)
	}
	if err == nil {
		// Renaming instead of writing in place replaces a program that is running, and a reader never sees half a file.
		err = os.Rename(temp, i.Destination)
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("cannot copy to %s: %w", i.Destination, err)
	}
	return nil
}

// tempName is where a copy is made before it gets its name. It follows from the destination, so that the next Install
// finds what a crash left behind.
func tempName(destination string) string {
	dir, base := filepath.Split(destination)
	const longest = 255 - len(".") - len(".codedeploy")
	return dir + "." + base[:min(len(base), longest)] + ".codedeploy"
}

func copyLink(source, destination string) error {
	target, err := os.Readlink(source)
	if err != nil {
		return err
	}
	return os.Symlink(target, destination)
}

// copyFile makes destination with the content, times, owner and mode of source.
func copyFile(source, destination string, info fs.FileInfo) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(destination, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = copyOwnerAndMode(out, info)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	accessed := info.ModTime()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		accessed = time.Unix(st.Atim.Unix())
	}
	return os.Chtimes(destination, accessed, info.ModTime())
}

// copyOwnerAndMode keeps the set-id bits only if the owner could be kept too: otherwise they would lend the agent's own
// rights (agent.md 8.2).
func copyOwnerAndMode(f *os.File, info fs.FileInfo) error {
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return f.Chmod(mode)
	}
	err := f.Chown(int(st.Uid), int(st.Gid))
	if errors.Is(err, fs.ErrPermission) {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	} else if err != nil {
		return err
	}
	return f.Chmod(mode)
}

func (i chmodInstruction) run(*cleanupFile) error {
	mode, err := strconv.ParseUint(i.Mode, 8, 32)
	if err != nil {
		return fmt.Errorf("mode %q of %s: %w", i.Mode, i.File, err)
	}
	// Not os.Chmod, which has its own bits for set-id and sticky.
	if err := unix.Chmod(i.File, uint32(mode)); err != nil {
		return fmt.Errorf("cannot set the mode of %s to %s: %w", i.File, i.Mode, err)
	}
	return nil
}

// run follows symbolic links and, coming after chmod, lets the kernel clear set-id bits: both as in stock agents
// (agent.md 8.1).
func (i chownInstruction) run(*cleanupFile) error {
	if err := os.Chown(i.File, i.ids.uid, i.ids.gid); err != nil {
		return fmt.Errorf("cannot set the owner: %w", err)
	}
	return nil
}

// lookUpOwner finds the numbers of an owner and a group, "" for none.
func lookUpOwner(owner, group string) (ownerIDs, error) {
	ids := ownerIDs{-1, -1}
	if owner != "" {
		uid, err := account.UserID(owner)
		if err != nil {
			return ids, err
		}
		ids.uid = int(uid)
	}
	if group != "" {
		gid, err := account.GroupID(group)
		if err != nil {
			return ids, err
		}
		ids.gid = int(gid)
	}
	return ids, nil
}
