package local

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"grapnel/internal/agent/source"
	"grapnel/internal/bundle"
)

// allowed says what a location may be, for those whose is not.
const allowed = "use a path of this host, s3://BUCKET/KEY, https://github.com/ACCOUNT/REPOSITORY or " +
	"https://api.github.com/repos/ACCOUNT/REPOSITORY/zipball/REF"

// revision finds out what a location means (agent.md 1.2: the table of remote locations, and rules 2 to 5 and 6 of the
// validation). What exists on this host is a path, whatever it looks like.
func revision(location, kind, token string) (source.Revision, error) {
	if _, err := os.Stat(location); err == nil {
		return here(location, kind)
	}
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return source.Revision{}, fmt.Errorf("the location %q cannot be understood: %s; %s", location, why(err), allowed)
	case u.User != nil:
		return source.Revision{}, errors.New("the location has a user name or a token before an \"@\", which would be shown and logged; " +
			"leave it out, and give a token in the variable CODEDEPLOY_GITHUB_TOKEN")
	case u.Scheme == "http":
		return source.Revision{}, fmt.Errorf("the location %s is not encrypted; %s", u, allowed)
	case u.Scheme == "s3":
		return bucket(u, kind)
	case u.Scheme == "https" && (u.Host == "github.com" || u.Host == "www.github.com"):
		return repository(u, kind, token)
	case u.Scheme == "https" && u.Host == "api.github.com":
		return packed(u, kind, token)
	case u.Scheme == "https":
		return source.Revision{}, fmt.Errorf("bundles are not fetched from %s; %s", u.Host, allowed)
	case u.Scheme != "" && u.Host != "":
		return source.Revision{}, fmt.Errorf("the location %s does not exist, and %s:// is not understood; %s", u, u.Scheme, allowed)
	}
	return here(location, kind)
}

// why is the reason of a URL's error without the URL.
func why(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// here is a file or folder of this host. Its path is made absolute: it is recorded, and scripts see it.
func here(location, kind string) (source.Revision, error) {
	absolute, err := filepath.Abs(location)
	if err != nil {
		return source.Revision{}, fmt.Errorf("the location %s: %w", location, err)
	}
	info, err := os.Stat(absolute)
	switch {
	case err != nil:
		return source.Revision{}, fmt.Errorf("the location %s cannot be used: %w", location, err)
	case kind == string(source.Directory) && !info.IsDir():
		return source.Revision{}, fmt.Errorf("the location %s is a file and the type is directory; add --type %s", location, guess(location))
	case kind != string(source.Directory) && info.IsDir():
		return source.Revision{}, fmt.Errorf("the location %s is a folder and the type is %s; leave --type out", location, kind)
	}
	return source.Revision{Local: &source.Local{Location: absolute, Type: bundle.Type(kind)}}, nil
}

// guess is the type that a file's name speaks of.
func guess(name string) string {
	for _, g := range []struct{ ending, kind string }{{".zip", "zip"}, {".tar", "tar"}, {".tgz", "tgz"}, {".tar.gz", "tgz"}} {
		if strings.HasSuffix(strings.ToLower(name), g.ending) {
			return g.kind
		}
	}
	return "tgz, tar or zip"
}

// bucket reads s3://BUCKET/KEY?versionId=V&etag=E.
func bucket(u *url.URL, kind string) (source.Revision, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || key == "" {
		return source.Revision{}, fmt.Errorf("the location %s lacks the bucket or the key; write s3://BUCKET/KEY", u)
	}
	if kind == string(source.Directory) {
		return source.Revision{}, fmt.Errorf("a bundle in S3 is one file and the type is directory; add --type %s", guess(key))
	}
	query := u.Query()
	return source.Revision{S3: &source.S3{
		Bucket: u.Host, Key: key, Type: bundle.Type(kind),
		Version: query.Get("versionId"), ETag: query.Get("etag"),
	}}, nil
}

// repository reads https://github.com/ACCOUNT/REPOSITORY, with /tree/REF or /commit/REF where it is not the newest commit.
func repository(u *url.URL, kind, token string) (source.Revision, error) {
	parts := strings.SplitN(strings.Trim(u.Path, "/"), "/", 4)
	ref := "HEAD"
	switch {
	case len(parts) == 4 && (parts[2] == "tree" || parts[2] == "commit"):
		ref = parts[3]
	case len(parts) != 2:
		return source.Revision{}, fmt.Errorf("the location %s is no repository; write https://github.com/ACCOUNT/REPOSITORY, "+
			"and /tree/BRANCH or /commit/ID after it where the newest commit is not meant", u)
	}
	return commit(parts[0], strings.TrimSuffix(parts[1], ".git"), ref, kind, token)
}

// packed reads https://api.github.com/repos/ACCOUNT/REPOSITORY/tarball/REF, or zipball. A REF may be a branch with slashes.
func packed(u *url.URL, kind, token string) (source.Revision, error) {
	parts := strings.SplitN(strings.Trim(u.Path, "/"), "/", 5)
	if len(parts) != 5 || parts[0] != "repos" || (parts[3] != "tarball" && parts[3] != "zipball") {
		return source.Revision{}, fmt.Errorf("the location %s is no packed commit; write https://api.github.com/repos/ACCOUNT/REPOSITORY/tarball/REF, "+
			"or zipball", u)
	}
	return commit(parts[1], parts[2], parts[4], kind, token)
}

// commit is a commit on GitHub, packed as a zip unless a tar was asked for.
func commit(account, repository, ref, kind, token string) (source.Revision, error) {
	if kind != string(bundle.Tar) {
		kind = string(bundle.Zip)
	}
	r := source.Revision{GitHub: &source.GitHub{
		Account: account, Repository: repository, Commit: ref, Type: bundle.Type(kind), Token: token,
	}}
	return r, r.Check()
}
