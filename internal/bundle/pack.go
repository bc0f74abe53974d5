package bundle

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Pack writes the contents of the folder dir to w as a zip archive: names sorted, folders included, modes, times and symbolic
// links kept. The same folder always gives the same bytes, so that an unchanged revision keeps its checksum. Times are kept
// because a web server that is fed from the bundle derives Last-Modified and ETag from them.
func Pack(ctx context.Context, w io.Writer, dir string) (Stats, error) {
	p := packer{zip: zip.NewWriter(w), dir: dir}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && path != dir {
			err = p.add(path, d)
		}
		return err
	})
	if err == nil {
		err = p.zip.Close()
	}
	if err != nil {
		return Stats{}, fmt.Errorf("pack %s: %w", dir, err)
	}
	return p.stats, nil
}

// packer writes one archive.
type packer struct {
	zip   *zip.Writer
	dir   string
	stats Stats
}

// add writes the entry for path.
func (p *packer) add(path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	header, err := p.header(path, info)
	if err != nil {
		return err
	}
	p.stats.Entries++
	switch info.Mode().Type() {
	case fs.ModeDir:
		header.Name += "/"
		_, err := p.zip.CreateHeader(header)
		return err
	case fs.ModeSymlink:
		return p.addLink(header, path)
	case 0:
		header.Method = zip.Deflate
		return p.addFile(header, path)
	}
	return fmt.Errorf("%s is a device, pipe or socket, which a bundle cannot hold", path)
}

// header describes an entry. Its time is in UTC because the format stores local time, which would differ between machines.
func (p *packer) header(path string, info fs.FileInfo) (*zip.FileHeader, error) {
	name, err := filepath.Rel(p.dir, path)
	if err != nil {
		return nil, err
	}
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return nil, err
	}
	header.Name = filepath.ToSlash(name)
	header.Modified = info.ModTime().UTC()
	return header, nil
}

func (p *packer) addLink(header *zip.FileHeader, path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	w, err := p.zip.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, target)
	return err
}

func (p *packer) addFile(header *zip.FileHeader, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := p.zip.CreateHeader(header)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, f)
	p.stats.Bytes += n
	return err
}
