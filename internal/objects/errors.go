package objects

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"grapnel/internal/blob"
	"grapnel/internal/sigv4"
)

// apiError is an error by S3's name.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

var (
	errInternal     = &apiError{500, "InternalError", "We encountered an internal error. The server's log has it under this request id."}
	errUnavailable  = &apiError{503, "ServiceUnavailable", "The bundle store does not answer. The server's log has the reason under this request id; try again later."}
	errMethod       = &apiError{405, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	errKeyTooLong   = &apiError{400, "KeyTooLongError", "Your key is too long; it may have 1024 bytes."}
	errTooLarge     = &apiError{400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size."}
	errIncomplete   = &apiError{400, "IncompleteBody", "The request body ended before the number of bytes it announced."}
	errMalformed    = &apiError{400, "MalformedXML", "The XML you provided was not well-formed or did not have the expected form."}
	errPrecondition = &apiError{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."}
	errNotModified  = &apiError{304, "NotModified", "Not Modified"}
)

func notImplemented(what string) error {
	return &apiError{501, "NotImplemented", "This S3 endpoint does not support " + what}
}

func invalid(format string, args ...any) error {
	return &apiError{400, "InvalidArgument", fmt.Sprintf(format, args...)}
}

func invalidRequest(format string, args ...any) error {
	return &apiError{400, "InvalidRequest", fmt.Sprintf(format, args...)}
}

// storeErrors are the store's errors by S3's names.
var storeErrors = []struct {
	err    error
	status int
	code   string
}{
	{blob.ErrNoBucket, 404, "NoSuchBucket"},
	{blob.ErrBucketExists, 409, "BucketAlreadyOwnedByYou"},
	{blob.ErrBucketNotEmpty, 409, "BucketNotEmpty"},
	{blob.ErrBucketName, 400, "InvalidBucketName"},
	{blob.ErrNoKey, 404, "NoSuchKey"},
	{blob.ErrNoVersion, 404, "NoSuchVersion"},
	{blob.ErrDeleteMarker, 405, "MethodNotAllowed"},
	{blob.ErrCondition, 412, "PreconditionFailed"},
	{errors.ErrUnsupported, 501, "NotImplemented"},
	{blob.ErrKey, 400, "InvalidURI"},
	{blob.ErrRange, 416, "InvalidRange"},
	{blob.ErrFull, 507, "InsufficientStorage"}, // not one that clients retry
	{blob.ErrChecksum, 400, "BadDigest"},
	{blob.ErrNoUpload, 404, "NoSuchUpload"},
	{blob.ErrPart, 400, "InvalidPart"},
	{blob.ErrPartOrder, 400, "InvalidPartOrder"},
	{blob.ErrPartTooSmall, 400, "EntityTooSmall"},
	{ErrDenied, 403, "AccessDenied"},
	{ErrSlowDown, 503, "SlowDown"},
}

// translate finds S3's name for an error.
func translate(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		status, code := signatureError(e)
		return &apiError{status, code, e.Text}
	}
	if errors.Is(err, blob.ErrUnavailable) {
		return errUnavailable // what it says is of the inside
	}
	for _, known := range storeErrors {
		if errors.Is(err, known.err) {
			return &apiError{known.status, known.code, err.Error()}
		}
	}
	return errInternal
}

// signatureError is S3's name for a refused signature.
func signatureError(e *sigv4.Error) (status int, code string) {
	switch e.Problem {
	case sigv4.Incomplete:
		if e.Presigned {
			return 400, "AuthorizationQueryParametersError"
		}
		return 400, "AuthorizationHeaderMalformed"
	case sigv4.UnknownKey:
		return 403, "InvalidAccessKeyId"
	case sigv4.BadToken:
		return 400, "InvalidToken"
	case sigv4.ExpiredToken:
		return 400, "ExpiredToken"
	case sigv4.Skewed:
		return 403, "RequestTimeTooSkewed"
	case sigv4.BadSignature:
		return 403, "SignatureDoesNotMatch"
	case sigv4.BadDigest:
		return 400, "XAmzContentSHA256Mismatch"
	case sigv4.BadChunk:
		return errIncomplete.status, errIncomplete.code
	case sigv4.TooLarge:
		return errTooLarge.status, errTooLarge.code
	default: // Missing, HeaderNotSigned, Expired
		return 403, "AccessDenied"
	}
}

// WriteError answers a request that was refused before it came to the endpoint, in the form that S3 clients read. err is
// usually a *sigv4.Error.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	// The signature of a form is in its fields, which are not read for nobody knows whom.
	if e, ok := errors.AsType[*sigv4.Error](err); ok && e.Problem == sigv4.Missing && isForm(r) {
		err = notImplemented("uploads by HTML forms (presigned POST). Use a presigned PUT.")
	}
	writeError(w, r, err)
}

func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/form-data")
}

func writeError(w http.ResponseWriter, r *http.Request, err error) *apiError {
	e := translate(err)
	if rec, ok := w.(interface{ Failed(name, message string) }); ok { // keeps a record of requests
		rec.Failed(e.code, e.message)
	}
	setRequestID(w)
	if r.Method == http.MethodHead || e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return e
	}
	type document struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}
	data, _ := xml.Marshal(document{ // strings alone: cannot fail
		Code: e.code, Message: e.message, Resource: r.URL.Path, RequestID: w.Header().Get(requestIDHeader),
	})
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	w.Write(append([]byte(xml.Header), data...))
	return e
}
