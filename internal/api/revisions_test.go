package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

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
		register("S3", "shop", s3("a.zip", nil), ""),
		register("V49 type without its member", "shop", fields{"revisionType": "GitHub"}, "InvalidRevision"),
		register("V49 other member", "shop", fields{"revisionType": "S3", "gitHubLocation": fields{}}, "InvalidRevision"),
		register("V49 two members", "shop", fields{"revisionType": "S3", "s3Location": s3("a", nil)["s3Location"], "gitHubLocation": fields{}}, "InvalidRevision"),
		register("V49 no type", "shop", fields{"s3Location": s3("a", nil)["s3Location"]}, "InvalidRevision"),
		register("V49 unknown type", "shop", fields{"revisionType": "FTP"}, "InvalidRevision"),
		register("V50", "shop", s3("a", fields{"bundleType": nil}), "InvalidRevision"),
		register("unknown bundle type", "shop", s3("a", fields{"bundleType": "rar"}), "InvalidRevision"),
		register("YAML on hosts", "shop", s3("a", fields{"bundleType": "YAML"}), "InvalidRevision"),
		register("YAML for a function", "fn", s3("a", fields{"bundleType": "YAML"}), ""),
		register("tar for a function", "fn", s3("a", fields{"bundleType": "tar"}), "InvalidRevision"),
		register("tgz for a container", "box", s3("a", fields{"bundleType": "tgz"}), ""),
		register("bucket", "shop", s3("a", fields{"bucket": "Not A Bucket"}), "InvalidRevision"),
		register("no key", "shop", s3("", nil), "InvalidRevision"),
		register("control character in key", "shop", s3("a\x1fb", nil), "InvalidRevision"),
		register("GitHub", "shop", gitHub("me/shop", commit), ""),
		register("V51", "shop", gitHub("shop", commit), "InvalidRevision"),
		register("commit", "shop", gitHub("me/shop", "main"), "InvalidRevision"),
		register("V53 Lambda", "fn", gitHub("me/shop", commit), "InvalidRevision"),
		register("V53 ECS", "box", gitHub("me/shop", commit), "InvalidRevision"),
		register("V52", "fn", appSpec(fields{"content": "{}", "sha256": commit + "0123456789abcdef01234567"}), "InvalidRevision"),
		register("content", "fn", appSpec(fields{"content": "{}"}), ""),
		register("content absent", "fn", appSpec(fields{}), "InvalidRevision"),
		register("digest alone", "fn", appSpec(fields{"sha256": digest("{}")}), "InvalidRevision"),
		register("content on hosts", "shop", appSpec(fields{"content": "{}"}), "InvalidRevision"),
		register("no application", "none", s3("a", nil), "ApplicationDoesNotExist"),
	})
}

func TestRevisionsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
		register := func(revision fields, description string) {
			s.Helper()
			do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": revision, "description": description})
		}
		register(s3("a.zip", fields{"eTag": `"abc"`}), "first")
		time.Sleep(time.Hour)
		register(s3("a.zip", fields{"eTag": "abc"}), "second") // A65, A66, A68

		list := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", fields{"applicationName": "shop"})
		if len(list.Revisions) != 1 || *list.Revisions[0].S3Location.ETag != "abc" {
			t.Errorf("A65: revisions %v", list.Revisions)
		}
		got := do[awsapi.GetApplicationRevisionOutput](s, "GetApplicationRevision", fields{"applicationName": "shop", "revision": s3("a.zip", fields{"eTag": "abc"})})
		if *got.RevisionInfo.Description != "second" || got.RevisionInfo.DeploymentGroups == nil {
			t.Errorf("revision: %v", got.RevisionInfo)
		}
		s.refuse([]refusal{
			{"A67 without eTag", "GetApplicationRevision", fields{"applicationName": "shop", "revision": s3("a.zip", nil)}, "RevisionDoesNotExist"},
			{"A67 other eTag", "GetApplicationRevision", fields{"applicationName": "shop", "revision": s3("a.zip", fields{"eTag": "x"})}, "RevisionDoesNotExist"},
			{"A77", "GetApplicationRevision", fields{"applicationName": "shop", "revision": s3("b.zip", nil)}, "RevisionDoesNotExist"},
			{"A76", "BatchGetApplicationRevisions", fields{"applicationName": "shop", "revisions": make26()}, "BatchLimitExceeded"},
			{"empty batch", "BatchGetApplicationRevisions", fields{"applicationName": "shop", "revisions": []any{}}, "RevisionRequired"},
		})
		batch := do[awsapi.BatchGetApplicationRevisionsOutput](s, "BatchGetApplicationRevisions", fields{
			"applicationName": "shop", "revisions": []fields{s3("b.zip", nil), s3("a.zip", fields{"eTag": "abc"})}})
		if len(batch.Revisions) != 1 || *batch.ErrorMessage != "There are no such revisions of application shop: s3://bundles/b.zip" {
			t.Errorf("batch: %v, %q", batch.Revisions, *batch.ErrorMessage)
		}
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

func make26() []fields {
	list := make([]fields, 26)
	for i := range list {
		list[i] = bundle("a.zip")
	}
	return list
}

// A69
func TestContentIsFoundByItsDigest(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "fn", "computePlatform": "Lambda"})
	do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "fn", "revision": appSpec(fields{"content": "version: 0.0"})})
	got := do[awsapi.GetApplicationRevisionOutput](s, "GetApplicationRevision", fields{
		"applicationName": "fn", "revision": appSpec(fields{"sha256": digest("version: 0.0")})})
	s.equal("content", *got.Revision.AppSpecContent.Content, "version: 0.0")
	list := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", fields{"applicationName": "fn"})
	s.equal("list", list.Revisions, []awsapi.RevisionLocation{{
		RevisionType: "AppSpecContent", AppSpecContent: &awsapi.AppSpecContent{Sha256: new(digest("version: 0.0"))}}})
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestRevisionsAreFilteredAndSorted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.shop("web1")
		for _, key := range []string{"b/1.zip", "a/2.zip", "a/3.zip"} {
			time.Sleep(time.Hour)
			do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": bundle(key)})
		}
		time.Sleep(time.Hour)
		do[fields](s, "RegisterApplicationRevision", fields{"applicationName": "shop", "revision": gitHub("me/shop", commit)})
		before := do[awsapi.GetApplicationRevisionOutput](s, "GetApplicationRevision", fields{"applicationName": "shop", "revision": bundle("a/2.zip")})
		s.equal("never used", []bool{before.RevisionInfo.FirstUsedTime.IsZero(), before.RevisionInfo.LastUsedTime.IsZero()}, []bool{true, true})

		s.succeed(s.deployment("a/2.zip", nil), "web1")
		first := time.Now()
		time.Sleep(time.Hour)
		s.succeed(s.deployment("a/3.zip", nil), "web1")
		time.Sleep(time.Hour)
		s.succeed(s.deployment("a/2.zip", nil), "web1")
		after := do[awsapi.GetApplicationRevisionOutput](s, "GetApplicationRevision", fields{"applicationName": "shop", "revision": bundle("a/2.zip")})
		if info := after.RevisionInfo; !info.FirstUsedTime.Equal(first) || !info.LastUsedTime.Equal(first.Add(2*time.Hour)) { // A72
			t.Errorf("A72: first used %v, last %v", info.FirstUsedTime, info.LastUsedTime)
		}
		s.equal("deployed to", after.RevisionInfo.DeploymentGroups, []string{"prod"})

		list := func(more fields) []string {
			s.Helper()
			more["applicationName"] = "shop"
			var keys []string
			for _, r := range do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", more).Revisions {
				if r.S3Location == nil {
					keys = append(keys, "github")
					continue
				}
				keys = append(keys, *r.S3Location.Key)
			}
			return keys
		}
		s.equal("A74 include", list(fields{"deployed": "include"}), []string{"a/2.zip"})
		s.equal("A74 exclude", list(fields{"deployed": "exclude"}), []string{"b/1.zip", "a/3.zip", "github"})
		s.equal("A74 ignore", list(fields{"deployed": "ignore"}), []string{"b/1.zip", "a/2.zip", "a/3.zip", "github"})
		s.equal("prefix", list(fields{"s3Bucket": "bundles", "s3KeyPrefix": "a/"}), []string{"a/2.zip", "a/3.zip"})
		s.equal("bucket", list(fields{"s3Bucket": "others"}), []string(nil))
		s.equal("A75 registered", list(fields{"sortBy": "registerTime", "sortOrder": "descending", "s3Bucket": "bundles"}), []string{"a/3.zip", "a/2.zip", "b/1.zip"})
		s.equal("A75 last used", list(fields{"sortBy": "lastUsedTime", "s3Bucket": "bundles"}), []string{"b/1.zip", "a/3.zip", "a/2.zip"})
		s.equal("A75 first used", list(fields{"sortBy": "firstUsedTime", "sortOrder": "descending", "s3Bucket": "bundles"}), []string{"a/3.zip", "a/2.zip", "b/1.zip"})
		s.refuse([]refusal{
			{"A73", "ListApplicationRevisions", fields{"applicationName": "shop", "s3KeyPrefix": "a/"}, "BucketNameFilterRequired"},
			{"V36", "ListApplicationRevisions", fields{"applicationName": "shop", "sortBy": "name"}, "InvalidSortBy"},
			{"V36", "ListApplicationRevisions", fields{"applicationName": "shop", "sortOrder": "up"}, "InvalidSortOrder"},
			{"V36", "ListApplicationRevisions", fields{"applicationName": "shop", "deployed": "yes"}, "InvalidDeployedStateFilter"},
			{"bucket", "ListApplicationRevisions", fields{"applicationName": "shop", "s3Bucket": "X"}, "InvalidBucketNameFilter"},
			{"the order of errors", "ListApplicationRevisions", fields{"applicationName": "shop", "sortBy": "name", "s3Bucket": "X", "s3KeyPrefix": "\n"}, "InvalidSortBy"},
			{"the order of errors", "ListApplicationRevisions", fields{"applicationName": "shop", "deployed": "yes", "s3KeyPrefix": "\n"}, "InvalidKeyPrefixFilter"},
			{"the order of errors", "ListApplicationRevisions", fields{"applicationName": "shop", "deployed": "yes", "s3KeyPrefix": "a/"}, "BucketNameFilterRequired"},
			{"prefix", "ListApplicationRevisions", fields{"applicationName": "shop", "s3Bucket": "bundles", "s3KeyPrefix": "\n"}, "InvalidKeyPrefixFilter"},
		})
	})
}
