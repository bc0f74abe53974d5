// Package awsjson speaks AWS JSON 1.1 (service.md 1): Mux is the server's end, Client the agent's.
//
// A request is POST / with the operation in X-Amz-Target and a JSON object as its body. A success is 200 with a JSON
// object; a failure is a JSON object with the error's name in __type, which is what clients go by.
package awsjson

const (
	contentType       = "application/x-amz-json-1.1"
	targetHeader      = "X-Amz-Target"
	errorTypeHeader   = "X-Amzn-ErrorType"
	requestIDHeader   = "X-Amzn-RequestId"
	defaultBodyLimit  = 1 << 20
	methodNotPostHint = "AWS JSON 1.1 is spoken with POST / and the operation in the X-Amz-Target header"
)
