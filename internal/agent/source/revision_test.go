package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/bundle"
)

// agent.md 5.2
func TestParseRevision(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		document, token string
		want            Revision
		typ             bundle.Type
	}{
		{`{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"tgz"}}`, "",
			Revision{S3: &S3{Bucket: "b", Key: "k", Type: bundle.Tgz}}, bundle.Tgz},
		{`{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"zip","Version":"v","ETag":"\"e\""},"GitHubRevision":null}`, "",
			Revision{S3: &S3{Bucket: "b", Key: "k", Version: "v", ETag: `"e"`, Type: bundle.Zip}}, bundle.Zip},
		{`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c"}}`, "",
			Revision{GitHub: &GitHub{Account: "a", Repository: "r", Commit: "c"}}, bundle.Tar},
		{`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c","Anonymous":true,"BundleType":"zip"}}`, "top",
			Revision{GitHub: &GitHub{Account: "a", Repository: "r", Commit: "c", Type: bundle.Zip, Token: "top"}}, bundle.Zip},
		{`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c","Anonymous":false,"OAuthToken":"own"}}`, "",
			Revision{GitHub: &GitHub{Account: "a", Repository: "r", Commit: "c", Token: "own"}}, bundle.Tar},
		{`{"RevisionType":"Local Directory","LocalRevision":{"Location":"/app","BundleType":"directory"}}`, "",
			Revision{Local: &Local{Location: "/app", Type: Directory}}, Directory},
		{`{"RevisionType":"Local File","LocalRevision":{"Location":"app.tar","BundleType":"tar"}}`, "",
			Revision{Local: &Local{Location: "app.tar", Type: bundle.Tar}}, bundle.Tar},
	} {
		got, err := ParseRevision([]byte(c.document), c.token)
		if err != nil {
			t.Errorf("%s: %v", c.document, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" || got.Type() != c.typ {
			t.Errorf("%s: type %q (-want +got):\n%s", c.document, got.Type(), diff)
		}
	}
}

// agent.md 16: 101-104
func TestParseRevisionRefuses(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`nonsense`:                "not the JSON",
		`{}`:                      "lacks Revision, or its RevisionType",
		`{"RevisionType":"S3"}`:   `"S3" must be exactly one of`,
		`{"RevisionType":"Cart"}`: `"Cart" must be exactly one of S3, GitHub, Local File and Local Directory`,
		`{"RevisionType":"S3","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c"}}`:                        `"S3" must be exactly one of`,
		`{"RevisionType":"S3","S3Revision":{"Bucket":"b"}}`:                                                             "lacks Key and BundleType",
		`{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"rar"}}`:                                `"rar" is none of tar, tgz, zip`,
		`{"RevisionType":"GitHub","GitHubRevision":{}}`:                                                                 "lacks Account and Repository and CommitId",
		`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c","Anonymous":false}}`:  "no OAuthToken",
		`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c","BundleType":"tgz"}}`: `"tgz" is none of tar, zip`,
		`{"RevisionType":"GitHub","GitHubRevision":{"Account":"..","Repository":"r","CommitId":"c"}}`:                   `Account ".." is no name`,
		`{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r/../../user","CommitId":"c"}}`:         "is no name that GitHub knows",
		`{"RevisionType":"Local File","LocalRevision":{"BundleType":"tar"}}`:                                            "lacks Location",
		`{"RevisionType":"Local Directory","LocalRevision":{"Location":"x"}}`:                                           "lacks BundleType",
		`{"RevisionType":"Local File","LocalRevision":{"Location":"x","BundleType":"7z"}}`:                              "tar, tgz, zip, directory",
	} {
		if _, err := ParseRevision([]byte(document), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %q", document, err, want)
		}
	}
}

func TestRevisionMustBeOne(t *testing.T) {
	t.Parallel()
	for _, r := range []Revision{{}, {S3: &S3{}, Local: &Local{}}} {
		wantError(t, New(Options{}), r, "exactly one of S3, GitHub and local")
	}
}
