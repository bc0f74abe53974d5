package store

import (
	"strings"

	"grapnel/internal/awsapi"
)

// RevisionKey returns the canonical form of a revision: equal for equal revisions, whatever the quoting of an ETag
// (service.md 2.1). An S3 revision registered with an ETag or a version is another one than without (service.md 2.3).
func RevisionKey(r awsapi.RevisionLocation) string {
	switch {
	case r.S3Location != nil:
		s := r.S3Location
		return join("S3", awsapi.Value(s.Bucket), awsapi.Value(s.Key), string(s.BundleType), awsapi.Value(s.Version), strings.Trim(awsapi.Value(s.ETag), `"`))
	case r.GitHubLocation != nil:
		return join("GitHub", awsapi.Value(r.GitHubLocation.Repository), awsapi.Value(r.GitHubLocation.CommitId))
	case r.AppSpecContent != nil:
		return join("AppSpecContent", awsapi.Value(r.AppSpecContent.Sha256))
	case r.String != nil:
		return join("String", awsapi.Value(r.String.Sha256))
	}
	return ""
}

// join separates parts by a byte that no part can hold: the API refuses control characters in all of them.
func join(parts ...string) string { return strings.Join(parts, "\x1f") }
