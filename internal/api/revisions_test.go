package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"grapnel/internal/awsapi"
)

// s3 is a revision in S3 with members laid over it; a nil value removes one.
func s3(key string, more fields) fields {
	location := fields{"bucket": "bundles", "key": key, "bundleType": "zip"}
	for k, v := range more {
		location[k] = v
	}
	return fields{"revisionType": "S3", "s3Location": location}
}

func gitHub(repository, commit string) fields {
	return fields{"revisionType": "GitHub", "gitHubLocation": fields{"repository": repository, "commitId": commit}}
}

func appSpec(content fields) fields {
	return fields{"revisionType": "AppSpecContent", "appSpecContent": content}
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestRevisionForms(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	do[fields](s, "CreateApplication", fields{"applicationName": "fn", "computePlatform": "Lambda"})
	do[fields](s, "CreateApplication", fields{"applicationName": "box", "computePlatform": "ECS"})
	register := func(name, application string, revision any, want string) refusal {
		return refusal{name, "RegisterApplicationRevision", fields{"applicationName": application, "revision": revision}, want}
	}
	s.refuse([]refusal{
		register("absent", "shop", nil, "RevisionRequired"),
		register("YAML on hosts", "shop", s3("a", fields{"bundleType": "YAML"}), "InvalidRevision"),
		register("tar for a function", "fn", s3("a", fields{"bundleType": "tar"}), "InvalidRevision"),
		register("tgz for a container", "box", s3("a", fields{"bundleType": "tgz"}), ""),
		register("bucket", "shop", s3("a", fields{"bucket": "Not A Bucket"}), "InvalidRevision"),
		register("control character in key", "shop", s3("a\x1fb", nil), "InvalidRevision"),
		register("content", "fn", appSpec(fields{"content": "{}"}), ""),
		register("content absent", "fn", appSpec(fields{}), "InvalidRevision"),
		register("digest alone", "fn", appSpec(fields{"sha256": digest("{}")}), "InvalidRevision"),
		register("no application", "none", s3("a", nil), "ApplicationDoesNotExist"),
	})
}

// An ETag or a version that is empty is none: tools send what they have read, whether there was one or not.
func TestEmptyETagIsNone(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	for _, tag := range []string{"", `""`} {
		do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": s3("a.zip", fields{"eTag": tag, "version": ""})})
	}
	list := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", fields{"applicationName": "shop"})
	s.equal("revisions", list.Revisions, []awsapi.RevisionLocation{{RevisionType: "S3", S3Location: &awsapi.S3Location{
		Bucket: new("bundles"), Key: new("a.zip"), BundleType: "zip"}}})
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestFiltersOfRevisions(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": gitHub("me/shop", commit)})
	list := func(name, want string, in fields) refusal {
		in["applicationName"] = "shop"
		return refusal{name, "ListApplicationRevisions", in, want}
	}
	s.refuse([]refusal{
		list("bucket", "InvalidBucketNameFilter", fields{"s3Bucket": "X"}),
		list("prefix", "InvalidKeyPrefixFilter", fields{"s3Bucket": "bundles", "s3KeyPrefix": "\n"}),
		list("the order of errors", "InvalidSortBy", fields{"sortBy": "name", "s3Bucket": "X", "s3KeyPrefix": "\n"}),
		list("the order of errors", "InvalidKeyPrefixFilter", fields{"deployed": "yes", "s3KeyPrefix": "\n"}),
		list("the order of errors", "BucketNameFilterRequired", fields{"deployed": "yes", "s3KeyPrefix": "a/"}),
		list("the order of errors", "InvalidDeployedStateFilter", fields{"deployed": "yes", "nextToken": "x"}),
		list("one that is not in S3", "", fields{"s3Bucket": "bundles"}),
	})
}
