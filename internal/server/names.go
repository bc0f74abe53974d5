package server

import (
	"grapnel/internal/awsjson"
	"grapnel/internal/awsquery"
	"grapnel/internal/sigv4"
)

// jsonName is the name of a refused signature for the JSON services (service.md 1).
func jsonName(p sigv4.Problem) string {
	switch p {
	case sigv4.Missing:
		return awsjson.MissingAuthenticationTokenException
	case sigv4.Incomplete:
		return awsjson.IncompleteSignatureException
	case sigv4.ExpiredToken:
		return awsjson.ExpiredTokenException
	case sigv4.UnknownKey, sigv4.BadToken:
		return awsjson.UnrecognizedClientException
	case sigv4.TooLarge:
		return awsjson.RequestEntityTooLargeException
	default:
		return awsjson.InvalidSignatureException
	}
}

// queryName is the code of a refused signature for IAM and STS.
func queryName(p sigv4.Problem) string {
	switch p {
	case sigv4.Missing:
		return awsquery.MissingAuthenticationToken
	case sigv4.Incomplete:
		return awsquery.IncompleteSignature
	case sigv4.ExpiredToken:
		return awsquery.ExpiredToken
	case sigv4.UnknownKey, sigv4.BadToken:
		return awsquery.InvalidClientTokenID
	case sigv4.TooLarge:
		return awsquery.RequestEntityTooLarge
	default:
		return awsquery.SignatureDoesNotMatch
	}
}
