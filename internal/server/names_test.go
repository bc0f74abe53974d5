package server

import (
	"testing"

	"grapnel/internal/sigv4"
)

func TestNamesOfRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		problem     sigv4.Problem
		json, query string
	}{
		{sigv4.Missing, "MissingAuthenticationTokenException", "MissingAuthenticationToken"},
		{sigv4.Incomplete, "IncompleteSignatureException", "IncompleteSignature"},
		{sigv4.UnknownKey, "UnrecognizedClientException", "InvalidClientTokenId"},
		{sigv4.Skewed, "InvalidSignatureException", "SignatureDoesNotMatch"},
		{sigv4.BadSignature, "InvalidSignatureException", "SignatureDoesNotMatch"},
		{sigv4.TooLarge, "RequestEntityTooLargeException", "RequestEntityTooLarge"},
	} {
		if json, query := jsonName(tt.problem), queryName(tt.problem); json != tt.json || query != tt.query {
			t.Errorf("problem %d: got %s, %s; want %s, %s", tt.problem, json, query, tt.json, tt.query)
		}
	}
}
