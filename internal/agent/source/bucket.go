package source

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

// bucket sends signed requests for objects. This is the one request of S3 that the agent needs; the SDK's client for it
// costs more memory than the rest of an idle agent (docs/design/agent-s3.md).
type bucket struct {
	source *Source
	name   string
	region string // where it is believed to be
}

func (s *Source) bucket(name string) bucket { return bucket{s, name, s.Region} }

// isHostLabel tells whether a name can be one part of the name of a host.
func isHostLabel(name string) bool {
	return name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		name[0] != '-' && name[len(name)-1] != '-'
}

// address is the URL of an object.
func (b bucket) address(object S3) (*url.URL, error) {
	u, err := b.endpoint()
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(u.Path, "/") + "/"
	if b.source.S3Endpoint == "" && isHostLabel(b.name) { // Amazon's certificates cover one label, and so no name with dots
		u.Host = b.name + "." + u.Host
	} else { // stores other than Amazon's are often known by an address, which takes no bucket in front
		path += b.name + "/"
	}
	// A key is not a path: "//" and ".." are parts of its name, and every byte that URLs give a meaning is escaped.
	u.Path = path + object.Key
	u.RawPath = httpbinding.EscapePath(u.Path, false)
	if object.Version != "" {
		u.RawQuery = url.Values{"versionId": {object.Version}}.Encode()
	}
	return u, nil
}

func (b bucket) endpoint() (*url.URL, error) {
	if b.source.S3Endpoint != "" {
		u, err := url.Parse(b.source.S3Endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("s3_endpoint_override %q is no URL such as https://store.example:9000", b.source.S3Endpoint)
		}
		return u, nil
	}
	if b.region == "" {
		return nil, errors.New("the region of this host is not known, and s3_endpoint_override is not set")
	}
	service := "s3."
	if b.source.FIPS {
		service = "s3-fips."
	}
	return &url.URL{Scheme: "https", Host: service + b.region + "." + b.source.Domain}, nil
}

// get sends a GET with the headers wanted and returns the answer if that is the object or a part of it. An error is
// *elsewhere, *brokenOff, *startOver when the object is no longer the one that If-Match means, or final.
func (b bucket) get(ctx context.Context, object S3, wanted http.Header) (*http.Response, error) {
	u, err := b.address(object)
	if err != nil {
		return nil, err
	}
	request := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: wanted.Clone()}).WithContext(ctx)
	request.Header.Set("X-Amz-Checksum-Mode", "ENABLED")
	if err := b.sign(ctx, request); err != nil {
		return nil, err
	}
	// Without it net/http asks for gzip, and unpacks an object that is stored with that encoding. Proxies change this header:
	// it is added after signing.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := b.source.s3.Do(request)
	if err != nil {
		return nil, unreachable(err)
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPartialContent {
		return response, nil
	}
	defer response.Body.Close()
	return nil, b.refused(response, object)
}

const (
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of no body
	defaultRegion = "us-east-1"                                                        // what stores other than Amazon's are content with
)

func (b bucket) sign(ctx context.Context, request *http.Request) error {
	if b.source.Credentials == nil {
		return nil
	}
	credentials, err := b.source.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("there are no credentials to sign with: %w", err)
	}
	request.Header.Set("X-Amz-Content-Sha256", emptyHash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // S3 escapes once
	return signer.SignHTTP(ctx, credentials, request, emptyHash, "s3", orDefault(b.region), time.Now())
}

func orDefault(region string) string {
	if region == "" {
		return defaultRegion
	}
	return region
}

// unreachable says what to look at when no answer came.
func unreachable(err error) error {
	err = withoutURL(err)
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return fmt.Errorf("%w: if the store has a certificate authority of its own, name its PEM file with ca_file in the agent's configuration", err)
	}
	return &brokenOff{fmt.Errorf("%w. S3 cannot be reached: check region, s3_endpoint_override and proxy_uri in the agent's configuration", err)}
}

// elsewhere is the answer of a region to a request for a bucket of another one.
type elsewhere struct {
	region string
	err    error
}

// Error is what S3 said.
func (e *elsewhere) Error() string { return e.err.Error() }

// Unwrap makes the cause visible.
func (e *elsewhere) Unwrap() error { return e.err }

// errorDocument is the body of an answer that is no object.
type errorDocument struct {
	Code, Message, Region string
}

// maxErrorDocument is far more than S3 says.
const maxErrorDocument = 64 << 10

// refused says what an answer without an object means for the one who deploys.
func (b bucket) refused(response *http.Response, object S3) error {
	var said errorDocument
	// What is no XML, such as a proxy's page, leaves the status to go by.
	xml.NewDecoder(io.LimitReader(response.Body, maxErrorDocument)).Decode(&said) //nolint:errcheck // see above
	err := errors.New(response.Status)
	if said.Code != "" {
		err = fmt.Errorf("%s: %s", said.Code, strings.TrimSuffix(said.Message, "."))
	}
	region := response.Header.Get("X-Amz-Bucket-Region")
	if region == "" {
		region = said.Region
	}
	status := response.StatusCode
	switch {
	case region != b.region && isHostLabel(region) && isMisdirected(status, said.Code): // it becomes a part of a host's name
		return &elsewhere{region, fmt.Errorf("%w (the bucket is in %s)", err, region)}
	case status == http.StatusPreconditionFailed, status == http.StatusRequestedRangeNotSatisfiable:
		return &startOver{fmt.Errorf("the object was replaced while it was downloaded (%w)", err)}
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, said.Code == "RequestTimeout":
		return &brokenOff{err}
	}
	if advice := b.advice(status, said.Code, object); advice != "" {
		return fmt.Errorf("%w. %s", err, advice)
	}
	return err
}

func isMisdirected(status int, code string) bool {
	return status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect || code == "AuthorizationHeaderMalformed"
}

// advice is what to do about a refusal.
func (b bucket) advice(status int, code string, object S3) string {
	switch code {
	case "NoSuchKey", "NoSuchBucket", "NoSuchVersion":
		return "Push the bundle again, or correct the revision's location"
	case "InvalidObjectState":
		return "The object is in an archive class of storage: restore it, or push the bundle again"
	case "AccessDenied", "Forbidden":
		return fmt.Sprintf("This host's identity needs s3:GetObject%s for %s", versioned(object), object)
	case "RequestTimeTooSkewed":
		return "This host's clock is wrong: set it, and have it kept right by NTP"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return "S3 does not accept this host's credentials: check its on-premises file, or its instance profile"
	}
	switch {
	case status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect:
		return "S3 wants the bucket to be asked elsewhere: check the region and s3_endpoint_override"
	case status == http.StatusForbidden:
		return fmt.Sprintf("This host's identity needs s3:GetObject%s for %s, or a proxy is in the way", versioned(object), object)
	case status == http.StatusProxyAuthRequired:
		return "Give the proxy's user and password in proxy_uri"
	}
	return ""
}

func versioned(object S3) string {
	if object.Version == "" {
		return ""
	}
	return "Version"
}
