package awsjson

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Names of errors that belong to the protocol and not to an operation (service.md 1).
const (
	SerializationException              = "SerializationException"
	UnknownOperationException           = "UnknownOperationException"
	AccessDeniedException               = "AccessDeniedException"
	ExpiredTokenException               = "ExpiredTokenException"
	IncompleteSignatureException        = "IncompleteSignatureException"
	InvalidSignatureException           = "InvalidSignatureException"
	MissingAuthenticationTokenException = "MissingAuthenticationTokenException"
	RequestEntityTooLargeException      = "RequestEntityTooLargeException"
	UnrecognizedClientException         = "UnrecognizedClientException"
	ThrottlingException                 = "ThrottlingException"
	InternalFailure                     = "InternalFailure"
	ServiceUnavailable                  = "ServiceUnavailable"
)

// Error is a failure that the other end is told by name.
type Error struct {
	Name      string // as in __type, e.g. "ApplicationDoesNotExistException"
	Message   string // for the caller: what is wrong and what to do next
	Status    int    // of HTTP; 0 means 400
	RequestID string // set by Client: what the server's log knows the request by
}

// Errorf returns an error with status 400, the status of every modelled error of CodeDeploy.
func Errorf(name, format string, args ...any) *Error {
	return &Error{Name: name, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// Error returns the name and the message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

// WriteError answers a request with err. It serves middleware that refuses a request before a Mux sees it. A writer that has
// the method Failed(name, message string) is told the error, for a record of requests.
func WriteError(w http.ResponseWriter, err *Error) {
	if rec, ok := w.(interface{ Failed(name, message string) }); ok {
		rec.Failed(err.Name, err.Message)
	}
	body, _ := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{err.Name, err.Message}) // two strings always encode
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set(errorTypeHeader, err.Name)
	ensureRequestID(h)
	status := err.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the caller is gone; there is nobody left to tell
}

// ensureRequestID returns the id of the response, and makes one unless middleware has.
func ensureRequestID(h http.Header) string {
	if h.Get(requestIDHeader) == "" {
		h.Set(requestIDHeader, UUID())
	}
	return h.Get(requestIDHeader)
}
