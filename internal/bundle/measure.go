package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// maxDeflate is the most that deflate can make of one byte.
const maxDeflate = 1032

// measureTar returns the length of a tar archive. Of a gzipped one the last four bytes tell it, modulo 4 GiB; that it does not
// shrink much by being unpacked decides between the candidates, which is wrong only for archives of well over 4 GiB, and there
// on the low side. Of bzip2 nothing more is known than that.
func measureTar(f *os.File) (Stats, error) {
	info, err := f.Stat()
	if err != nil {
		return Stats{}, err
	}
	packed := info.Size()
	magic, trailer := make([]byte, 2), make([]byte, 4)
	if _, err := f.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return Stats{}, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) || packed < 18 {
		return Stats{Bytes: packed}, nil
	}
	if _, err := f.ReadAt(trailer, packed-4); err != nil {
		return Stats{}, err
	}
	const modulus = 1 << 32
	length := int64(binary.LittleEndian.Uint32(trailer))
	for length < packed*9/10 {
		length += modulus
	}
	if length > packed*maxDeflate {
		return Stats{Bytes: packed}, nil // not true: the file is cut off, or several compressed streams in a row
	}
	return Stats{Bytes: length}, nil
}
