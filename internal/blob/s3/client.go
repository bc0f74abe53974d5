package s3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Limits of silence. Transfers may take as long as they like while they move.
const (
	connectTimeout = 10 * time.Second
	// answerTimeout is how long a store may take to begin the answer to a request that changes nothing. All calls but a
	// few begin with one of these, so a store that hangs is found out soon.
	answerTimeout = 10 * time.Second
	// stillTimeout is how long a connection may move no byte: stores take a while to put large uploads together.
	stillTimeout = time.Minute
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newClient(o Options, dial dialer) *s3.Client {
	return s3.New(s3.Options{
		Region:      o.Region,
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, ""),
		// Checksums are sent as their clients sent them. In chunks with trailers, as the SDK likes to, not every store takes them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		HTTPClient:                 newTransport(dial),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Retryables = append([]retry.IsErrorRetryable{silence}, o.Retryables...)
		}),
	}, func(options *s3.Options) {
		if o.Endpoint != "" {
			options.BaseEndpoint, options.UsePathStyle = aws.String(o.Endpoint), true
		}
	})
}

// silence keeps the SDK from asking again, and from waiting as long again, when there was no answer in time.
var silence = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
})

// transport sends requests, and waits longer for the answers to those that write.
type transport struct{ reads, writes aws.HTTPClient }

func newTransport(dial dialer) transport {
	writes := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return movingConn{c}, nil
		}
	})
	return transport{writes: writes, reads: writes.WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout })}
}

// Do implements s3.HTTPClient.
func (t transport) Do(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		return t.writes.Do(r)
	}
	return t.reads.Do(r)
}

// movingConn ends what waits for a connection that has moved nothing for stillTimeout, in either direction: net/http waits
// for the answer from the first byte of an upload on.
type movingConn struct{ net.Conn }

func (c movingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stillTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c movingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stillTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
