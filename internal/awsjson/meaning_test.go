package awsjson

import (
	"errors"
	"fmt"
	"testing"
)

func TestWhatAnErrorMeans(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err       error
		throttled bool
		complaint Complaint
	}{
		{errors.New(ThrottlingException), false, NoComplaint},
		{fmt.Errorf("poll: %w", Errorf("Throttling", "")), true, NoComplaint},
		{&Error{Name: "Too Many Requests", Status: 429}, true, NoComplaint},
		{Errorf("InvalidClientTokenId", ""), false, UnknownKey},
		{fmt.Errorf("poll: %w", Errorf(InvalidSignatureException, "")), false, WrongSignature},
		{Errorf("ExpiredTokenException", ""), false, Expired},
		{Errorf(MissingAuthenticationTokenException, ""), false, Unsigned},
		{Errorf(AccessDeniedException, ""), false, NoComplaint},
	} {
		if got := Throttled(row.err); got != row.throttled {
			t.Errorf("Throttled(%v) = %v", row.err, got)
		}
		if got := BadCredentials(row.err); got != row.complaint {
			t.Errorf("BadCredentials(%v) = %v, want %v", row.err, got, row.complaint)
		}
	}
}
