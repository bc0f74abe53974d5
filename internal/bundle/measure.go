package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// Measure estimates what a bundle unpacks to, without unpacking it, from its last bytes. For a zip that is what its entries
// declare. For a tar it is the length of the archive, in which files are padded: about as much as they take on a disk; its
// number of entries is not known, and 0.
func Measure(_ context.Context, path string, t Type) (Stats, error) {
	stats, err := measure(path, t)
	if err != nil {
		return Stats{}, blame(context.Background(), path, err)
	}
	return stats, nil
}

func measure(path string, t Type) (Stats, error) {
	switch t {
	case Tar, Tgz:
		f, err := os.Open(path)
		if err != nil {
			return Stats{}, err
		}
		defer f.Close()
		return measureTar(f)
	case Zip:
		archive, err := openZip(path)
		if err != nil {
			return Stats{}, err
		}
		defer archive.Close()
		return measureZip(archive.File)
	}
	return Stats{}, unknownType(t)
}

// measureZip adds up what the directory of an archive declares.
func measureZip(files []*zip.File) (Stats, error) {
	var sum demand
	for _, f := range files {
		if err := sum.add(zipEntry(f), &Options{}); err != nil {
			return Stats{}, inEntry(f.Name, err)
		}
	}
	return sum.Stats, nil
}

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
