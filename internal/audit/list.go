package audit

import (
	"context"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Register makes the operation of the log known to the mux of the service grapnel.
func (l *Log) Register(mux *awsjson.Mux) {
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".ListAuditRecords", l.ListAuditRecords)
}

// ListAuditRecords answers with the records that the filters let through: newest first, or what follows a place in the order
// of time.
func (l *Log) ListAuditRecords(ctx context.Context, in *awsapi.ListAuditRecordsInput) (*awsapi.ListAuditRecordsOutput, error) {
	f, err := filter(in)
	if err != nil {
		return nil, err
	}
	records, err := l.store.AuditRecords(ctx, f)
	if err != nil {
		return nil, err
	}
	return &awsapi.ListAuditRecordsOutput{Records: append([]awsapi.AuditRecord{}, records...)}, nil
}

func filter(in *awsapi.ListAuditRecordsInput) (store.AuditFilter, error) {
	f := store.AuditFilter{
		After: awsapi.Value(in.After), Before: awsapi.Value(in.Before), Oldest: in.After != nil,
		Who: awsapi.Value(in.Who), Since: in.Since.Time, Until: in.Until.Time, Limit: defaultLimit,
	}
	if in.Limit != nil {
		f.Limit = int(*in.Limit)
	}
	switch {
	case f.Limit < 1 || f.Limit > maxLimit:
		return f, invalid("limit is %d; it must be 1 to %d.", f.Limit, maxLimit)
	case f.After < 0 || f.Before < 0:
		return f, invalid("after and before are places of records; they cannot be negative.")
	}
	return f, filterAction(&f, awsapi.Value(in.Action))
}

// filterAction reads the pattern of an action: whole, or with a * at its end.
func filterAction(f *store.AuditFilter, pattern string) error {
	prefix, open := strings.CutSuffix(pattern, "*")
	switch {
	case pattern == "" || pattern == "*":
	case !strings.Contains(prefix, ":") || strings.Contains(prefix, "*"):
		return invalid("action is %q; it must look like codedeploy:CreateDeployment, or iam:* with a star at the end.", pattern)
	case open:
		f.Prefix = prefix
	default:
		f.Action = pattern
	}
	return nil
}

func invalid(format string, args ...any) error {
	return awsjson.Errorf(awsapi.InvalidInputException, format, args...)
}
