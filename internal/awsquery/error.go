package awsquery

import (
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
)

// Codes of errors that belong to the protocol and not to an operation.
const (
	AccessDenied               = "AccessDenied" // 403
	ExpiredToken               = "ExpiredToken"
	IncompleteSignature        = "IncompleteSignature"
	Throttling                 = "Throttling"
	InternalFailure            = "InternalFailure"
	InvalidAction              = "InvalidAction"
	InvalidClientTokenID       = "InvalidClientTokenId"
	MalformedInput             = "MalformedInput"
	MissingAction              = "MissingAction"
	MissingAuthenticationToken = "MissingAuthenticationToken"
	RequestEntityTooLarge      = "RequestEntityTooLarge" // 413
	SignatureDoesNotMatch      = "SignatureDoesNotMatch"
	ValidationError            = "ValidationError"
)

// Error is a failure that the other end is told by code.
type Error struct {
	Code    string // e.g. "NoSuchEntity"
	Message string // for the caller: what is wrong and what to do next
	Status  int    // of HTTP; 0 means 400
}

// Errorf returns an error with the given status of HTTP.
func Errorf(status int, code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// WriteError answers a request with err. It serves middleware that refuses a request before a Mux sees it. A writer that has
// the method Failed(name, message string) is told the error, for a record of requests.
func WriteError(w http.ResponseWriter, err *Error) {
	if rec, ok := w.(interface{ Failed(name, message string) }); ok {
		rec.Failed(err.Code, err.Message)
	}
	var reply struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Error   struct{ Type, Code, Message string }
		ID      string `xml:"RequestId"`
	}
	status := err.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	reply.Error.Type = "Sender"
	if status >= http.StatusInternalServerError {
		reply.Error.Type = "Receiver"
	}
	reply.Error.Code, reply.Error.Message = err.Code, err.Message
	reply.ID = ensureRequestID(w.Header())
	body, _ := xml.Marshal(reply) // strings always encode
	write(w, status, body)
}

// write sends an XML document.
func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	w.WriteHeader(status)
	w.Write(append([]byte(xml.Header), body...)) //nolint:errcheck // the caller is gone; there is nobody left to tell
}

// ensureRequestID returns the id of the response, and makes one unless middleware has.
func ensureRequestID(h http.Header) string {
	if h.Get(requestIDHeader) == "" {
		h.Set(requestIDHeader, rand.Text())
	}
	return h.Get(requestIDHeader)
}
