package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Credentials sign requests.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // only with temporary credentials
}

// Sign adds the headers of a signature made now. It covers the host, the content's type and digest, and every x-amz-
// header, so those must be set before. payloadHash is the hex SHA-256 digest of the body ("" for an empty one), or
// UNSIGNED-PAYLOAD for s3.
func Sign(r *http.Request, c Credentials, region, service, payloadHash string, now time.Time) error {
	if payloadHash == "" {
		payloadHash = emptyHash
	}
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", stamp(now))
	if c.SessionToken != "" {
		r.Header.Set(tokenName, c.SessionToken)
	}
	if service == serviceS3 {
		r.Header.Set("X-Amz-Content-Sha256", payloadHash)
	}
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return Errorf(Incomplete, "The query string cannot be decoded: %v.", err)
	}
	scope := Scope{AccessKeyID: c.AccessKeyID, Date: now.UTC().Format("20060102"), Region: region, Service: service}
	signed := headersToSign(r)
	canonical := canonicalRequest(r, service, params, signed, payloadHash)
	signature := hexMAC(signingKey(c.SecretAccessKey, scope), stringToSign(stamp(now), scope, canonical))
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKeyID+"/"+scope.String()+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+signature)
	return nil
}

// headersToSign leaves out what proxies may change.
func headersToSign(r *http.Request) []string {
	signed := []string{"host"}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") || name == "content-type" || name == "content-md5" {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	return signed
}
