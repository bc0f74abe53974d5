package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"grapnel/internal/blob"
)

// codes are S3's errors by the store's names. A HEAD has none but the names of the HTTP statuses.
var codes = map[string]error{
	"NoSuchKey": blob.ErrNoKey, "NotFound": blob.ErrNoKey, "NoSuchVersion": blob.ErrNoVersion, "NoSuchUpload": blob.ErrNoUpload,
	"MethodNotAllowed": blob.ErrDeleteMarker, "InvalidRange": blob.ErrRange, "KeyTooLongError": blob.ErrKey, "InvalidURI": blob.ErrKey,
	"PreconditionFailed": blob.ErrCondition, "ConditionalRequestConflict": blob.ErrCondition,
	"InvalidPart": blob.ErrPart, "InvalidPartOrder": blob.ErrPartOrder, "EntityTooSmall": blob.ErrPartTooSmall,
	"BadDigest": blob.ErrChecksum, "InvalidDigest": blob.ErrChecksum, "XAmzContentSHA256Mismatch": blob.ErrChecksum,
	"InsufficientStorage": blob.ErrFull, "QuotaExceeded": blob.ErrFull, "NotImplemented": errors.ErrUnsupported,
}

// translate wraps what the external store says into the error that callers look for. What they do not expect, such as
// refused credentials, stays as it is, for the log.
func translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	refusal, refused := errors.AsType[smithy.APIError](err)
	if refused && codes[refusal.ErrorCode()] != nil {
		// No more than the name: what it says else is of names that the client does not know.
		return fmt.Errorf("%w (external store: %s)", codes[refusal.ErrorCode()], refusal.ErrorCode())
	}
	if status := response(err).StatusCode; !refused || status >= 500 || status == http.StatusTooManyRequests {
		return fmt.Errorf("%w: external store: %w", blob.ErrUnavailable, err)
	}
	return fmt.Errorf("external store: %w", err)
}

// genuine finds out answers that are none of a store's, such as the page of a proxy: they name no ETag, but have the status
// of success, and what they seem to acknowledge is stored nowhere.
func genuine(etag *string) error {
	if unquote(aws.ToString(etag)) == "" {
		return errors.New("the answer has no ETag, so it is none of an S3's")
	}
	return nil
}

// response is the answer that an error stands for; there may be none.
func response(err error) *http.Response {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && e.Response != nil {
		return e.Response.Response
	}
	return &http.Response{}
}

// startHint says what to do about a refusal of the first request.
func startHint(err error) string {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return "it does not answer: check --bundles-endpoint, and that this machine reaches it"
	}
	switch refusal.ErrorCode() {
	case "NoSuchBucket":
		return "make the bucket there, or correct --bundles"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken":
		return "check GRAPNEL_BUNDLES_ACCESS_KEY_ID and GRAPNEL_BUNDLES_SECRET_ACCESS_KEY"
	case "AccessDenied", "AllAccessDisabled":
		return "its key needs s3:ListBucket, s3:ListBucketVersions, s3:GetBucketVersioning and s3:ListBucketMultipartUploads on the bucket, " +
			"s3:GetObject, s3:PutObject, s3:DeleteObject, their Version forms, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on its objects"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return "the bucket is elsewhere: check --bundles-region and --bundles-endpoint"
	case "RequestTimeTooSkewed":
		return "the clock of this machine or of the store is wrong"
	}
	return ""
}
