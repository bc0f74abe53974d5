package identity

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// ErrNoCredentials says that a request was not sent because there is nothing to sign it with.
var ErrNoCredentials = errors.New("no credentials")

// Signer returns what signs requests to a service, such as codedeploy-commands, with the keys that hold at that time.
func (id Identity) Signer(service string) func(req *http.Request, bodyHash string) error {
	s := v4.NewSigner()
	return func(req *http.Request, bodyHash string) error {
		c, err := id.Credentials.Retrieve(req.Context())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoCredentials, err)
		}
		return s.SignHTTP(req.Context(), c, req, bodyHash, service, id.Region, time.Now())
	}
}
