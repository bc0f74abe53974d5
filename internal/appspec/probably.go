package appspec

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Probably is a sentence that names the file of an archive which was probably meant by a path that is not there, "" when
// nothing comes close. key is the AppSpec's key whose value the path is.
func Probably(archive, key, wanted string) string {
	files := filesOf(archive)
	if near := sameEnding(files, wanted); near != "" {
		return fmt.Sprintf(" The bundle has %q: write \"%s: %s\".", near, key, near)
	}
	if near := Suggest(wanted, files); near != "" {
		return fmt.Sprintf(" Did you mean %q, which is in the bundle?", near)
	}
	return ""
}

// filesLimit bounds the search for a suggestion in bundles of many files.
const filesLimit = 20000

// filesOf lists the files of an archive by their path in it.
func filesOf(archive string) []string {
	var files []string
	_ = filepath.WalkDir(archive, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || len(files) == filesLimit {
			return fs.SkipAll // a suggestion is a kindness: what cannot be read is not suggested
		}
		if rest, ok := strings.CutPrefix(path, archive+"/"); ok && !entry.IsDir() {
			files = append(files, rest)
		}
		return nil
	})
	return files
}

// sameEnding returns the file that shares most trailing path elements with wanted, at least its name: what is left when
// the place on the host, or the name of the folder that was zipped, was written in front.
func sameEnding(files []string, wanted string) string {
	best, most := "", 0
	for _, file := range files {
		if n := commonEnding(file, wanted); n > most {
			best, most = file, n
		}
	}
	return best
}

func commonEnding(a, b string) int {
	as, bs := elements(a), elements(b)
	n := 0
	for n < min(len(as), len(bs)) && as[len(as)-1-n] == bs[len(bs)-1-n] {
		n++
	}
	return n
}

func elements(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(e string) bool { return e == "" || e == "." || e == ".." })
}
