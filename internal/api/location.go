package api

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"grapnel/internal/awsapi"
)

// maxObjectKey is the longest key of an S3 object, in bytes.
const maxObjectKey = 1024

const bucketRule = "it has 3 to 63 lowercase letters, digits, dots and hyphens"

var (
	bucketPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$`)
	commitPattern     = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
	sha256Pattern     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkedRevision checks the address of a revision and returns it in the form in which it is stored: an ETag without its
// quotes, content with its digest. Whether the platform can deploy it is for deployable to say.
func checkedRevision(r *awsapi.RevisionLocation) (awsapi.RevisionLocation, error) {
	if r == nil {
		return awsapi.RevisionLocation{}, missing(awsapi.RevisionRequiredException, "revision")
	}
	if !slices.Contains(r.RevisionType.Values(), r.RevisionType) {
		return awsapi.RevisionLocation{}, notOneOf(awsapi.InvalidRevisionException, "revisionType", r.RevisionType, r.RevisionType.Values())
	}
	given := map[awsapi.RevisionLocationType]bool{
		awsapi.RevisionLocationTypeS3:             r.S3Location != nil,
		awsapi.RevisionLocationTypeGitHub:         r.GitHubLocation != nil,
		awsapi.RevisionLocationTypeString:         r.String != nil,
		awsapi.RevisionLocationTypeAppSpecContent: r.AppSpecContent != nil,
	}
	for member, is := range given {
		if is != (member == r.RevisionType) {
			return awsapi.RevisionLocation{}, failure(awsapi.InvalidRevisionException,
				"revisionType is %s; give just the member that goes with it: s3Location, gitHubLocation, appSpecContent or string.", r.RevisionType)
		}
	}
	switch {
	case r.S3Location != nil:
		s3, err := checkedS3(*r.S3Location)
		return awsapi.RevisionLocation{RevisionType: r.RevisionType, S3Location: &s3}, err
	case r.GitHubLocation != nil:
		return *r, checkGitHub(*r.GitHubLocation)
	case r.AppSpecContent != nil:
		digest, err := checkedDigest(r.AppSpecContent.Content, r.AppSpecContent.Sha256)
		content := &awsapi.AppSpecContent{Content: r.AppSpecContent.Content, Sha256: &digest}
		return awsapi.RevisionLocation{RevisionType: r.RevisionType, AppSpecContent: content}, err
	}
	digest, err := checkedDigest(r.String.Content, r.String.Sha256)
	return awsapi.RevisionLocation{RevisionType: r.RevisionType, String: &awsapi.RawString{Content: r.String.Content, Sha256: &digest}}, err
}

// checkedRevisions checks the revisions of a batch, of which there may be so many.
func checkedRevisions(revisions []awsapi.RevisionLocation, most int) ([]awsapi.RevisionLocation, error) {
	if len(revisions) == 0 {
		return nil, missing(awsapi.RevisionRequiredException, "revisions")
	}
	if len(revisions) > most {
		return nil, failure(awsapi.BatchLimitExceededException, "The call names %d revisions; it may name %d. Split it.", len(revisions), most)
	}
	checked := make([]awsapi.RevisionLocation, len(revisions))
	for i := range revisions {
		var err error
		if checked[i], err = checkedRevision(&revisions[i]); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func checkedS3(s awsapi.S3Location) (awsapi.S3Location, error) {
	bucket, key := awsapi.Value(s.Bucket), awsapi.Value(s.Key)
	switch {
	case !bucketPattern.MatchString(bucket):
		return s, failure(awsapi.InvalidRevisionException, "bucket %q is not the name of a bucket; %s.", bucket, bucketRule)
	case key == "" || len(key) > maxObjectKey || hasControl(key):
		return s, failure(awsapi.InvalidRevisionException, "key must have 1 to %d bytes and no control characters.", maxObjectKey)
	case s.BundleType == "":
		return s, failure(awsapi.InvalidRevisionException, "bundleType is missing; say what s3://%s/%s is, such as zip or tgz.", bucket, key)
	case hasControl(awsapi.Value(s.Version)) || hasControl(awsapi.Value(s.ETag)):
		return s, failure(awsapi.InvalidRevisionException, "version and eTag may have no control characters.")
	}
	s.ETag, s.Version = given(strings.Trim(awsapi.Value(s.ETag), `"`)), given(awsapi.Value(s.Version))
	return s, oneOf(awsapi.InvalidRevisionException, "bundleType", s.BundleType)
}

// given is a member that is as good as absent when it is empty.
func given(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func checkGitHub(g awsapi.GitHubLocation) error {
	repository, commit := awsapi.Value(g.Repository), awsapi.Value(g.CommitId)
	switch {
	case !repositoryPattern.MatchString(repository):
		return failure(awsapi.InvalidRevisionException, "repository %q must look like ACCOUNT/REPOSITORY.", repository)
	case !commitPattern.MatchString(commit):
		return failure(awsapi.InvalidRevisionException, "commitId %q must be the 40 hexadecimal digits of a commit.", commit)
	}
	return nil
}

// checkedDigest returns the digest of content. Content may be left out where its digest is known, to look it up.
func checkedDigest(content, digest *string) (string, error) {
	given := strings.ToLower(awsapi.Value(digest))
	if awsapi.Value(content) == "" {
		if !sha256Pattern.MatchString(given) {
			return "", failure(awsapi.InvalidRevisionException, "content is missing; give the AppSpec as text, or the sha256 of one that is registered.")
		}
		return given, nil
	}
	sum := sha256.Sum256([]byte(*content))
	actual := hex.EncodeToString(sum[:])
	if given != "" && given != actual {
		return "", failure(awsapi.InvalidRevisionException, "sha256 is not that of the content, which is %s; correct it, or leave it out.", actual)
	}
	return actual, nil
}

// deployable says whether a platform can deploy from there, and that content is given to be registered (service.md 2.1).
func deployable(r awsapi.RevisionLocation, platform awsapi.ComputePlatform) error {
	server := platform == awsapi.ComputePlatformServer
	bundles := []awsapi.BundleType{awsapi.BundleTypeYAML, awsapi.BundleTypeJSON, awsapi.BundleTypeZip, awsapi.BundleTypeTgz}
	if server {
		bundles = []awsapi.BundleType{awsapi.BundleTypeZip, awsapi.BundleTypeTar, awsapi.BundleTypeTgz}
	}
	switch {
	case r.GitHubLocation != nil && !server:
		return failure(awsapi.InvalidRevisionException, "The %s platform does not deploy from GitHub; give appSpecContent or s3Location.", platform)
	case r.S3Location != nil && !slices.Contains(bundles, r.S3Location.BundleType):
		return failure(awsapi.InvalidRevisionException, "The %s platform cannot deploy a bundleType of %s; it must be one of %v.", platform, r.S3Location.BundleType, bundles)
	case (r.AppSpecContent != nil || r.String != nil) && server:
		return failure(awsapi.InvalidRevisionException, "The Server platform deploys bundles; give s3Location or gitHubLocation.")
	case r.AppSpecContent != nil && awsapi.Value(r.AppSpecContent.Content) == "", r.String != nil && awsapi.Value(r.String.Content) == "":
		return failure(awsapi.InvalidRevisionException, "content is missing; give the AppSpec as text.")
	}
	return nil
}

// describe names a revision in messages.
func describe(r awsapi.RevisionLocation) string {
	switch {
	case r.S3Location != nil:
		var b strings.Builder
		b.WriteString("s3://" + awsapi.Value(r.S3Location.Bucket) + "/" + awsapi.Value(r.S3Location.Key))
		if tag := awsapi.Value(r.S3Location.ETag); tag != "" {
			b.WriteString(" (eTag " + tag + ")")
		}
		if version := awsapi.Value(r.S3Location.Version); version != "" {
			b.WriteString(" (version " + version + ")")
		}
		return b.String()
	case r.GitHubLocation != nil:
		return "GitHub " + awsapi.Value(r.GitHubLocation.Repository) + "@" + awsapi.Value(r.GitHubLocation.CommitId)
	case r.AppSpecContent != nil:
		return "AppSpec content " + awsapi.Value(r.AppSpecContent.Sha256)
	case r.String != nil:
		return "string " + awsapi.Value(r.String.Sha256)
	}
	return "without a location"
}

// withoutContent returns a revision without the text of its AppSpec: that is shown to who asks for just this revision, and
// neither in lists nor with a deployment (service.md 2.3, 2.6).
func withoutContent(r awsapi.RevisionLocation) awsapi.RevisionLocation {
	if r.AppSpecContent != nil {
		r.AppSpecContent = &awsapi.AppSpecContent{Sha256: r.AppSpecContent.Sha256}
	}
	if r.String != nil {
		r.String = &awsapi.RawString{Sha256: r.String.Sha256}
	}
	return r
}
