package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxTrailer bounds what may follow the end of a tar archive: padding to a tape's record size, 10 KiB as a rule.
const maxTrailer = 64 << 20

// tarBlock is the unit of a tar archive. At least one block of zeros marks its end.
const tarBlock = 512

// knownTypes are the type flags that are understood. Others, such as parts of multi-volume archives, would look like regular
// files.
var knownTypes = string([]byte{
	tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo,
})

// tar unpacks a tar archive and checks that it is complete.
func (u *unpacker) tar(ctx context.Context, path string, t Type) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if u.estimate, err = measureTar(f); err != nil {
		return err
	}
	if err := u.estimate.room(&u.options); err != nil {
		return err
	}
	stream, err := decompress(bufio.NewReaderSize(f, blockLength), t)
	if err != nil {
		return err
	}
	source := readAhead(ctx, stream)
	defer source.close()
	crew := u.crew(ctx)
	return crew.wait(u.tarEntries(source, crew))
}

// tarEntries writes the entries, small ones with the help of a crew.
func (u *unpacker) tarEntries(source *ahead, crew *crew) error {
	w := u.writer(crew.ctx)
	w.crew = crew
	defer w.close()
	return eachMember(source, func(e *entry) error {
		u.owners.resolve(e)
		if err := u.wanted.add(e, &u.options); err != nil {
			return err
		}
		if err := u.wanted.room(&u.options); err != nil {
			return err
		}
		name, err := u.options.place(e)
		if err != nil {
			return err
		}
		return w.write(name, e)
	})
}

// eachMember calls visit with each entry of a tar archive.
func eachMember(source *ahead, visit func(*entry) error) error {
	archive := tar.NewReader(source)
	for last := ""; ; {
		before := source.n
		header, err := archive.Next()
		if err == io.EOF {
			return checkEnd(source, before)
		}
		if err != nil {
			return inEntry(last, corrupt(err))
		}
		last = header.Name
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue // git archive, and with it GitHub, begins with one
		}
		if err := visit(tarEntry(header, archive)); err != nil {
			return inEntry(last, err)
		}
	}
}

// checkEnd makes sure that a tar archive ended with its end mark and not just between two entries, where archive/tar cannot
// see that something is missing, and reads the rest so that the checksum of the compression is verified. At most 511 bytes of
// padding can precede the mark, so fewer than a block's bytes since the last entry mean that there was none.
func checkEnd(r *ahead, before int64) error {
	if r.n-before < tarBlock {
		return corrupt(io.ErrUnexpectedEOF)
	}
	n, err := io.CopyN(io.Discard, r, maxTrailer)
	if err == nil {
		return &Error{Message: fmt.Sprintf("it holds more than %d bytes behind its end", n)}
	}
	if err != io.EOF {
		return corrupt(err)
	}
	return nil
}

// decompress returns the tar stream within r. A tar may be compressed whatever it is called, but a tgz must be (agent.md
// 10.4).
func decompress(r *bufio.Reader, t Type) (io.Reader, error) {
	magic, _ := r.Peek(6)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, corrupt(err)
		}
		return z, nil
	case len(magic) == 0:
		return nil, &Error{Message: "it is empty; pack and upload it again"}
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, &Error{Message: "it is a zip archive; register the revision with bundle type zip (codedeploy-local: --type zip)"}
	case t == Tgz:
		return nil, &Error{Message: "it is not compressed with gzip although its bundle type is tgz; a plain tar has bundle type tar (codedeploy-local: --type tar)"}
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(r), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return nil, &Error{Message: "it is compressed with xz; compress it with gzip"}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, &Error{Message: "it is compressed with zstd; compress it with gzip"}
	}
	return r, nil
}

// tarEntry translates a header.
func tarEntry(h *tar.Header, content io.Reader) *entry {
	mode := h.FileInfo().Mode()
	if !strings.ContainsRune(knownTypes, rune(h.Typeflag)) {
		mode |= fs.ModeIrregular
	}
	return &entry{
		name:     h.Name,
		mode:     mode,
		hardLink: h.Typeflag == tar.TypeLink,
		link:     h.Linkname,
		size:     h.Size,
		modified: h.ModTime,
		uid:      h.Uid,
		gid:      h.Gid,
		owner:    h.Uname,
		group:    h.Gname,
		major:    uint32(h.Devmajor),
		minor:    uint32(h.Devminor),
		open:     func() (io.ReadCloser, error) { return io.NopCloser(content), nil },
	}
}
