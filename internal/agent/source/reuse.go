package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"grapnel/internal/appspec"
	"grapnel/internal/atomicfile"
)

// What is in the folder of a deployment (agent.md 6, 10.5).
const (
	BundleName  = "bundle.tar" // whatever the format
	ArchiveName = "deployment-archive"
	ETagName    = ".bundle-etag"   // of the object in S3, without quotes; absent for other sources
	OriginName  = ".bundle-source" // "downloaded" or "archive-reuse"
)

// CheckReuse returns an error unless the deployment current may reuse the archive of the deployment id, which is what the
// specification has as ReuseArchiveFromDeploymentId (agent.md 10.5).
func CheckReuse(id, current string) error {
	name, ok := strings.CutPrefix(id, "d-")
	switch {
	case !ok || name == "" || len(id) > 64 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "":
		return fmt.Errorf("%q is no id of a deployment", id)
	case id == current:
		return errors.New("a deployment cannot reuse its own archive")
	}
	return nil
}

// Reuse makes the bundle and the archive of an earlier deployment those of a new one, instead of a download (agent.md 10.5).
// from and to are folders of deployments, of which to exists; appSpecName is the AppSpec's file, "" for the default; etag is
// what the revision wants, "" for any. The bundle gets a second name, the archive is copied with owners, modes and times.
//
// Any problem is an error: then to holds no bundle and no archive, and the caller downloads as usual.
func (s *Source) Reuse(ctx context.Context, from, to, appSpecName, etag string) (Result, error) {
	kept, err := checkReusable(from, appSpecName, etag)
	if err != nil {
		return Result{}, fmt.Errorf("the archive in %s cannot be reused: %w", from, err)
	}
	if err := Forget(to); err != nil {
		return Result{}, err
	}
	size, err := s.reuse(ctx, from, to)
	if err == nil {
		err = s.record(to, kept, "archive-reuse")
	}
	if err != nil {
		return Result{}, errors.Join(fmt.Errorf("the archive in %s cannot be reused: %w", from, err), Forget(to))
	}
	return Result{ETag: kept, Bytes: size, Unpacked: true}, nil
}

// checkReusable looks at an earlier deployment and returns the ETag of its bundle.
func checkReusable(folder, appSpecName, want string) (etag string, err error) {
	archive := filepath.Join(folder, ArchiveName)
	if info, err := os.Lstat(archive); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is no folder", archive)
	}
	if _, err := appspec.Find(archive, appSpecName); err != nil {
		return "", err
	}
	bundle := filepath.Join(folder, BundleName)
	if info, err := os.Lstat(bundle); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file of its own", bundle)
	}
	text, err := os.ReadFile(filepath.Join(folder, ETagName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	etag = strings.TrimSpace(string(text))
	if want = unquoted(want); want != "" && etag != "" && want != etag {
		return "", fmt.Errorf("its bundle has the ETag %q and the revision wants %q", etag, want)
	}
	return etag, nil
}

func (s *Source) reuse(ctx context.Context, from, to string) (int64, error) {
	if err := os.Link(filepath.Join(from, BundleName), filepath.Join(to, BundleName)); err != nil {
		return 0, err
	}
	archive := filepath.Join(to, ArchiveName)
	c := copier{exact: true, log: s.Log}
	return c.copyFolder(ctx, filepath.Join(from, ArchiveName), archive, func(bytes int64) error { return s.HasRoom(archive, bytes) })
}

// Record notes in the folder of a deployment that its bundle was downloaded, for those who reuse it.
func (s *Source) Record(folder string, r Result) error {
	return s.record(folder, r.ETag, "downloaded")
}

func (s *Source) record(folder, etag, origin string) error {
	if etag != "" {
		if err := atomicfile.Replace(filepath.Join(folder, ETagName), []byte(etag), s.Mode); err != nil {
			return err
		}
	}
	return atomicfile.Replace(filepath.Join(folder, OriginName), []byte(origin), s.Mode)
}

// Forget removes what a deployment's folder holds of a bundle.
func Forget(folder string) error {
	for _, name := range []string{BundleName, ArchiveName, ETagName, OriginName} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("cannot remove what an earlier attempt left: %w", err)
		}
	}
	return nil
}
