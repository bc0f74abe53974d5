package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// client speaks to a Grapnel server as any AWS client would: signed requests over its one address.
type client struct {
	endpoint string
	region   string
	creds    aws.Credentials
	http     *http.Client
}

// call runs one CodeDeploy operation.
func (c *client) call(ctx context.Context, operation string, in, out any) error {
	return c.json(ctx, "codedeploy", awsapi.Target(operation), in, out)
}

// log reads the next part of a deployment's log.
func (c *client) log(ctx context.Context, in *awsapi.GetDeploymentLogInput) (out awsapi.GetDeploymentLogOutput, err error) {
	err = c.grapnel(ctx, "GetDeploymentLog", in, &out)
	return out, err
}

func (c *client) json(ctx context.Context, service, target string, in, out any) error {
	api := awsjson.Client{Endpoint: c.endpoint, HTTP: c.http, Sign: func(r *http.Request, bodyHash string) error {
		return c.sign(r, bodyHash, service)
	}}
	return api.Call(ctx, target, in, out)
}

func (c *client) sign(r *http.Request, bodyHash, service string) error {
	return v4.NewSigner().SignHTTP(r.Context(), c.creds, r, bodyHash, service, c.region, time.Now())
}

// grapnel runs one operation of Grapnel's own.
func (c *client) grapnel(ctx context.Context, operation string, in, out any) error {
	return c.json(ctx, awsapi.GrapnelService, awsapi.GrapnelPrefix+"."+operation, in, out)
}

// iam runs one operation of IAM; see query.
func (c *client) iam(ctx context.Context, out any, pairs ...string) error {
	return c.query(ctx, "iam", "2010-05-08", out, pairs...)
}

// sts runs one operation of STS; see query.
func (c *client) sts(ctx context.Context, out any, pairs ...string) error {
	return c.query(ctx, "sts", "2011-06-15", out, pairs...)
}

// query runs one operation of the query protocol and decodes its reply into out, whose fields name the path below the
// reply's root; nil ignores it. The pairs are names and values of parameters, the operation as Action among them. A failure
// that the service reports is a *queryError.
func (c *client) query(ctx context.Context, service, version string, out any, pairs ...string) error {
	form := url.Values{"Version": {version}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256([]byte(body))
	if err := c.sign(r, hex.EncodeToString(hash[:]), service); err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp, reply)
	}
	if out == nil {
		return nil
	}
	return xml.Unmarshal(reply, out)
}

// queryError is a failure that a service of the query protocol reports.
type queryError struct {
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
}

// Error returns the code and the message.
func (e *queryError) Error() string { return e.Code + ": " + e.Message }

func refused(resp *http.Response, reply []byte) error {
	var e queryError
	if err := xml.Unmarshal(reply, &e); err != nil || e.Code == "" {
		return fmt.Errorf("%s answered %s, and not as Grapnel does; see that AWS_ENDPOINT_URL is right", resp.Request.URL.Host, resp.Status)
	}
	return &e
}

// put stores a bundle and returns its ETag, unquoted.
func (c *client) put(ctx context.Context, bucket, key string, body []byte) (string, error) {
	api := s3.New(s3.Options{
		Region:       c.region,
		BaseEndpoint: &c.endpoint,
		UsePathStyle: true,
		HTTPClient:   c.http,
		Credentials:  credentials.NewStaticCredentialsProvider(c.creds.AccessKeyID, c.creds.SecretAccessKey, ""),
	})
	if _, err := api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}); err != nil {
		if _, err := api.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return "", err
		}
	}
	out, err := api.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		return "", err
	}
	return strings.Trim(aws.ToString(out.ETag), `"`), nil
}
