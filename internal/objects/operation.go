package objects

import (
	"slices"
	"strings"
)

// level is what a request is addressed to.
type level int

const (
	account level = iota
	bucket
	object
)

// operation is one of S3's operations: how its requests look, and what answers them.
type operation struct {
	method string
	level  level
	query  string // parameter that tells it from others of the method and level
	header string // header that does
	params []string
	action string // to authorize, as IAM policies name it; "" if serve does that itself
	serve  func(*call) error
}

var (
	listParams    = []string{"prefix", "delimiter", "encoding-type", "max-keys", "fetch-owner", "start-after", "continuation-token"}
	versionParams = []string{"prefix", "delimiter", "encoding-type", "max-keys", "key-marker", "version-id-marker"}
	uploadParams  = []string{"prefix", "encoding-type", "max-uploads", "key-marker", "upload-id-marker"}
	getParams     = []string{
		"versionId", "partNumber", "response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
	}
)

// operations lists the more special ones first.
var operations = []operation{
	{"GET", account, "", "", []string{"prefix", "max-buckets", "continuation-token", "bucket-region"}, "s3:ListAllMyBuckets", (*call).listBuckets},

	{"PUT", bucket, "versioning", "", nil, "s3:PutBucketVersioning", (*call).putVersioning},
	{"PUT", bucket, "", "", nil, "s3:CreateBucket", (*call).createBucket},
	{"DELETE", bucket, "", "", nil, "s3:DeleteBucket", (*call).deleteBucket},
	{"HEAD", bucket, "", "", nil, "s3:ListBucket", (*call).headBucket},
	{"GET", bucket, "location", "", nil, "s3:GetBucketLocation", (*call).getBucketLocation},
	{"GET", bucket, "versioning", "", nil, "s3:GetBucketVersioning", (*call).getVersioning},
	{"GET", bucket, "versions", "", versionParams, "s3:ListBucketVersions", (*call).listVersions},
	{"GET", bucket, "uploads", "", uploadParams, "s3:ListBucketMultipartUploads", (*call).listUploads},
	{"GET", bucket, "list-type", "", listParams, "s3:ListBucket", (*call).listObjectsV2},
	{"GET", bucket, "", "", append([]string{"marker"}, listParams...), "s3:ListBucket", (*call).listObjects},
	{"POST", bucket, "delete", "", nil, "", (*call).deleteObjects},

	{"POST", object, "uploads", "", nil, "s3:PutObject", (*call).createUpload},
	{"PUT", object, "uploadId", "X-Amz-Copy-Source", []string{"partNumber"}, "s3:PutObject", (*call).copyPart},
	{"PUT", object, "uploadId", "", []string{"partNumber"}, "s3:PutObject", (*call).putPart},
	{"GET", object, "uploadId", "", []string{"max-parts", "part-number-marker"}, "s3:ListMultipartUploadParts", (*call).listParts},
	{"POST", object, "uploadId", "", nil, "s3:PutObject", (*call).completeUpload},
	{"DELETE", object, "uploadId", "", nil, "s3:AbortMultipartUpload", (*call).abortUpload},
	{"GET", object, "tagging", "", []string{"versionId"}, "s3:GetObjectTagging", (*call).getTagging},
	{"GET", object, "attributes", "", []string{"versionId"}, "s3:GetObjectAttributes", (*call).getAttributes},
	{"PUT", object, "", "X-Amz-Copy-Source", nil, "s3:PutObject", (*call).copyObject},
	{"PUT", object, "", "", nil, "s3:PutObject", (*call).putObject},
	{"GET", object, "", "", getParams, "s3:GetObject", (*call).getObject},
	{"HEAD", object, "", "", getParams, "s3:GetObject", (*call).getObject},
	{"DELETE", object, "", "", []string{"versionId"}, "s3:DeleteObject", (*call).deleteObject},
}

// versionActions are those that have a name of their own where a version is asked for.
var versionActions = map[string]string{
	"s3:GetObject": "s3:GetObjectVersion", "s3:DeleteObject": "s3:DeleteObjectVersion",
	"s3:GetObjectTagging": "s3:GetObjectVersionTagging", "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
}

// versioned is the action as IAM policies name it for this version.
func versioned(action, version string) string {
	if name := versionActions[action]; name != "" && version != "" {
		return name
	}
	return action
}

// operation finds what the request asks for, and refuses what it asks for besides that is not there: a client must not
// believe that, say, its ACL was set, nor `PUT /bucket?policy` make a bucket.
func (c *call) operation() (*operation, error) {
	method := false
	for i := range operations {
		op := &operations[i]
		if op.method != c.r.Method || op.level != c.level() {
			continue
		}
		method = true
		if op.query != "" && !c.query.Has(op.query) || op.header != "" && c.r.Header.Get(op.header) == "" {
			continue
		}
		return op, c.checkSupported(op)
	}
	if method {
		return nil, notImplemented("this request.")
	}
	return nil, errMethod
}

func (c *call) level() level {
	switch {
	case c.bucket == "":
		return account
	case c.key == "":
		return bucket
	default:
		return object
	}
}

// unsupportedHeaders begin the names of headers that ask for something that is not there.
var unsupportedHeaders = []string{
	"X-Amz-Server-Side-Encryption", "X-Amz-Object-Lock-", "X-Amz-Bypass-Governance-Retention", "X-Amz-Tagging",
	"X-Amz-Grant-", "X-Amz-Website-Redirect-Location", "X-Amz-Write-Offset-Bytes", "X-Amz-Mp-Object-Size", "X-Amz-Mfa",
	"X-Amz-Rename-Source", "X-Amz-If-Match-",
}

// advice says what there is instead of what a parameter or header asks for; by the beginning of its name, in lower case.
var advice = []struct{ name, text string }{
	{"acl", "Buckets belong to one account: give rights with policies of users."},
	{"x-amz-grant-", "Buckets belong to one account: give rights with policies of users."},
	{"x-amz-acl", "Buckets belong to one account: leave it out, or send private, and give rights with policies of users."},
	{"policy", "Give rights with policies of users, in the iam service of this endpoint."},
	{"publicaccessblock", "Nothing here is public; there is nothing to block."},
	{"tagging", "Keep such facts in the object's metadata (x-amz-meta-...)."},
	{"x-amz-tagging", "Keep such facts in the object's metadata (x-amz-meta-...)."},
	{"x-amz-server-side-encryption", "Leave it out; encrypt the disk under the bundle store, or use an external S3 that encrypts (--bundles)."},
	{"encryption", "Encrypt the disk under the bundle store, or use an external S3 that encrypts (--bundles)."},
	{"lifecycle", "Delete old bundles or versions from a timer, with aws s3api."},
	{"x-amz-storage-class", "There is one class of storage: leave it out, or send STANDARD."},
	{"x-amz-object-lock-", "Keep versions instead (put-bucket-versioning)."},
	{"delimiter", "List without it."},
}

func unsupported(kind, name string) error {
	name = strings.ToLower(name)
	for _, a := range advice {
		if strings.HasPrefix(name, a.name) {
			return notImplemented("the " + kind + " " + name + ". " + a.text)
		}
	}
	return notImplemented("the " + kind + " " + name + ". Leave it out.")
}

func (c *call) checkSupported(op *operation) error {
	for name := range c.query {
		known := name == op.query || name == "x-id" || strings.HasPrefix(name, "X-Amz-") || slices.Contains(op.params, name)
		if !known {
			return unsupported("parameter", name)
		}
	}
	for name := range c.r.Header {
		for _, prefix := range unsupportedHeaders {
			if strings.HasPrefix(name, prefix) {
				return unsupported("header", name)
			}
		}
	}
	if class := c.r.Header.Get("X-Amz-Storage-Class"); class != "" && class != standard {
		return unsupported("header", "x-amz-storage-class")
	}
	// What is private is also what its owner, the one account, controls fully.
	if acl := c.r.Header.Get("X-Amz-Acl"); acl != "" && acl != "private" && !strings.HasPrefix(acl, "bucket-owner-") {
		return unsupported("header", "x-amz-acl")
	}
	return nil
}

// standard is the one class of storage.
const standard = "STANDARD"
