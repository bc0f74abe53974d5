package awsjson

import (
	"errors"
	"net/http"
	"slices"
)

// throttlings are the names by which AWS's services say that there are too many calls.
var throttlings = []string{ThrottlingException, "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "RequestThrottled"}

// Throttled reports whether a call failed because there were too many. The same one may succeed later.
func Throttled(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusTooManyRequests || slices.Contains(throttlings, e.Name))
}

// Complaint is what a service has against the credentials of a call.
type Complaint int

// The complaints.
const (
	NoComplaint    Complaint = iota
	WrongSignature           // made with another secret key or a wrong clock, or the request was changed on its way
	UnknownKey
	Expired  // the session, or the signature
	Unsigned // there is no signature, or half of one
)

// complaints are the names of AWS's services and of the gateways before them (service.md 1).
var complaints = map[string]Complaint{
	InvalidSignatureException:           WrongSignature,
	"SignatureDoesNotMatch":             WrongSignature,
	UnrecognizedClientException:         UnknownKey,
	"InvalidClientTokenId":              UnknownKey,
	"InvalidAccessKeyId":                UnknownKey,
	"ExpiredTokenException":             Expired,
	"RequestExpired":                    Expired,
	MissingAuthenticationTokenException: Unsigned,
	IncompleteSignatureException:        Unsigned,
}

// BadCredentials returns what a service had against the credentials of a failed call, NoComplaint when it failed otherwise.
// Keys may be rotated and clocks set right, so such a call may succeed later as well.
func BadCredentials(err error) Complaint {
	var e *Error
	if !errors.As(err, &e) {
		return NoComplaint
	}
	return complaints[e.Name]
}
