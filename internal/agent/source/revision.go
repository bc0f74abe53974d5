package source

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/bundle"
)

// Revision is where a bundle comes from. Exactly one of its parts is set.
type Revision struct {
	S3     *S3
	GitHub *GitHub
	Local  *Local
}

// S3 is a bundle in a bucket.
type S3 struct {
	Bucket, Key string
	Version     string // "" means the current one
	ETag        string // what the object's must be, quotes or not; "" accepts any
	Type        bundle.Type
}

// String is the address as people write it.
func (s S3) String() string { return "s3://" + s.Bucket + "/" + s.Key }

// GitHub is a commit, which GitHub packs on demand.
type GitHub struct {
	Account, Repository, Commit string
	Type                        bundle.Type // "" means Tar
	Token                       string      `json:"-"` // "" downloads anonymously
}

// String is the address as people write it. It never holds the token, which fmt therefore does not show either.
func (g GitHub) String() string {
	return "github.com/" + g.Account + "/" + g.Repository + " at " + g.Commit
}

// GoString keeps the token out of %#v.
func (g GitHub) GoString() string { return g.String() }

// Directory is the type of a local revision that is a folder and needs no unpacking.
const Directory bundle.Type = "directory"

// Local is a file or folder of this host.
type Local struct {
	Location string // a path; a relative one starts at the working directory
	Type     bundle.Type
}

// String is the path.
func (l Local) String() string { return l.Location }

// String is the address as people write it. It never holds a token.
func (r Revision) String() string {
	switch {
	case r.S3 != nil:
		return r.S3.String()
	case r.GitHub != nil:
		return r.GitHub.String()
	case r.Local != nil:
		return r.Local.String()
	}
	return "no revision"
}

// GoString keeps the token out of %#v.
func (r Revision) GoString() string { return r.String() }

// Type is the format of the bundle that Fetch brings, Directory when it brings none.
func (r Revision) Type() bundle.Type {
	switch {
	case r.S3 != nil:
		return r.S3.Type
	case r.GitHub != nil:
		return cmp.Or(r.GitHub.Type, bundle.Tar)
	case r.Local != nil:
		return r.Local.Type
	}
	return ""
}

// Check returns an error that names what a revision lacks or has too much of (agent.md 5.2).
func (r Revision) Check() error {
	kinds := 0
	for _, set := range []bool{r.S3 != nil, r.GitHub != nil, r.Local != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("a revision must be exactly one of S3, GitHub and local, and this is %d of them", kinds)
	}
	switch {
	case r.S3 != nil:
		return errors.Join(
			lacking("an S3 revision", "Bucket", r.S3.Bucket, "Key", r.S3.Key, "BundleType", string(r.S3.Type)),
			wrongType(r.Type(), bundle.Tar, bundle.Tgz, bundle.Zip))
	case r.GitHub != nil:
		g := r.GitHub
		return errors.Join(
			lacking("a GitHub revision", "Account", g.Account, "Repository", g.Repository, "CommitId", g.Commit),
			noPathSegment("Account", g.Account), noPathSegment("Repository", g.Repository),
			wrongType(r.Type(), bundle.Tar, bundle.Zip))
	default:
		return errors.Join(
			lacking("a local revision", "Location", r.Local.Location, "BundleType", string(r.Local.Type)),
			wrongType(r.Type(), bundle.Tar, bundle.Tgz, bundle.Zip, Directory))
	}
}

// lacking takes names and values in turn.
func lacking(what string, pairs ...string) error {
	var missing []string
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] == "" {
			missing = append(missing, pair[0])
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("%s lacks %s", what, strings.Join(missing, " and "))
}

// noPathSegment refuses a name that would make another address of GitHub's API out of the one that is meant.
func noPathSegment(field, name string) error {
	if name == "." || name == ".." || strings.Contains(name, "/") {
		return fmt.Errorf("%s %q is no name that GitHub knows", field, name)
	}
	return nil
}

func wrongType(t bundle.Type, allowed ...bundle.Type) error {
	if t == "" || slices.Contains(allowed, t) {
		return nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	return fmt.Errorf("BundleType %q is none of %s", t, strings.Join(names, ", "))
}

// wireRevision is the member Revision of a deployment specification (agent.md 5.2).
type wireRevision struct {
	RevisionType string
	S3Revision   *struct{ Bucket, Key, BundleType, Version, ETag string }

	GitHubRevision *struct {
		Account, Repository, CommitId, BundleType, OAuthToken string
		Anonymous                                             *bool
	}
	LocalRevision *struct{ Location, BundleType string }
}

// ParseRevision reads the member Revision of a deployment specification. token is the document's GitHubAccessToken, "" when
// it has none. The revision that is returned has passed Check.
func ParseRevision(document []byte, token string) (Revision, error) {
	var w wireRevision
	if err := json.Unmarshal(document, &w); err != nil {
		return Revision{}, fmt.Errorf("the revision is not the JSON it should be: %w", err)
	}
	r, err := w.revision(token)
	if err != nil {
		return Revision{}, err
	}
	return r, r.Check()
}

func (w *wireRevision) revision(token string) (Revision, error) {
	switch {
	case w.RevisionType == "":
		return Revision{}, errors.New("the specification lacks Revision, or its RevisionType")
	case w.RevisionType == "S3" && w.S3Revision != nil:
		s := w.S3Revision
		return Revision{S3: &S3{Bucket: s.Bucket, Key: s.Key, Version: s.Version, ETag: s.ETag, Type: bundle.Type(s.BundleType)}}, nil
	case w.RevisionType == "GitHub" && w.GitHubRevision != nil:
		g := w.GitHubRevision
		token = cmp.Or(token, g.OAuthToken)
		if g.Anonymous != nil && !*g.Anonymous && token == "" {
			return Revision{}, errors.New("the GitHub revision is not anonymous and has no OAuthToken: connect the application to GitHub again")
		}
		return Revision{GitHub: &GitHub{Account: g.Account, Repository: g.Repository, Commit: g.CommitId, Type: bundle.Type(g.BundleType), Token: token}}, nil
	case (w.RevisionType == "Local File" || w.RevisionType == "Local Directory") && w.LocalRevision != nil:
		l := w.LocalRevision
		return Revision{Local: &Local{Location: l.Location, Type: bundle.Type(l.BundleType)}}, nil
	}
	return Revision{}, fmt.Errorf("a revision of the type %q must be exactly one of S3, GitHub, Local File and Local Directory, "+
		"with the member S3Revision, GitHubRevision or LocalRevision", w.RevisionType)
}
