package objects

import (
	"net/http"
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
	listParams = []string{"prefix", "delimiter", "encoding-type", "max-keys", "fetch-owner", "start-after", "continuation-token"}
	getParams  = []string{
		"versionId", "response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
	}
)

// operations lists the more special ones first.
var operations = []operation{
	{"GET", account, "", "", []string{"prefix", "max-buckets", "continuation-token", "bucket-region"}, "s3:ListAllMyBuckets", (*call).listBuckets},

	{"PUT", bucket, "", "", nil, "s3:CreateBucket", (*call).createBucket},
	{"DELETE", bucket, "", "", nil, "s3:DeleteBucket", (*call).deleteBucket},
	{"HEAD", bucket, "", "", nil, "s3:ListBucket", (*call).headBucket},
	{"GET", bucket, "location", "", nil, "s3:GetBucketLocation", (*call).getBucketLocation},
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
	{"PUT", object, "", "X-Amz-Copy-Source", nil, "s3:PutObject", (*call).copyObject},
	{"PUT", object, "", "", nil, "s3:PutObject", (*call).putObject},
	{"GET", object, "", "", getParams, "s3:GetObject", (*call).getObject},
	{"HEAD", object, "", "", getParams, "s3:GetObject", (*call).getObject},
	{"DELETE", object, "", "", []string{"versionId"}, "s3:DeleteObject", (*call).deleteObject},
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
		return nil, notImplemented("this request")
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
	"X-Amz-Grant-", "X-Amz-Website-Redirect-Location", "X-Amz-Write-Offset-Bytes", "X-Amz-Mp-Object-Size",
}

func (c *call) checkSupported(op *operation) error {
	for name := range c.query {
		known := name == op.query || name == "x-id" || strings.HasPrefix(name, "X-Amz-") || slices.Contains(op.params, name)
		if !known {
			return notImplemented("the parameter " + name)
		}
	}
	if v := c.query.Get("versionId"); v != "" && v != "null" {
		return errNoVersion
	}
	for name := range c.r.Header {
		for _, prefix := range unsupportedHeaders {
			if strings.HasPrefix(name, prefix) {
				return notImplemented("the header " + strings.ToLower(name))
			}
		}
	}
	return c.checkConditionalWrite()
}

// checkConditionalWrite refuses conditions on what changes something: to forget them would overwrite what they protect.
func (c *call) checkConditionalWrite() error {
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		return nil
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if c.r.Header.Get(name) != "" {
			return notImplemented("the header " + strings.ToLower(name) + " on a write")
		}
	}
	return nil
}
