package iam

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
)

func (s *service) sts(log *slog.Logger) *awsquery.Mux {
	m := awsquery.NewMux(awsquery.Options{
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Version: "2011-06-15", Log: log,
	})
	handle(m, "AssumeRole", s.assumeRole)
	handle(m, "GetCallerIdentity", s.getCallerIdentity)
	return m
}

type callerIdentity struct {
	ARN     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string
}

func (s *service) getCallerIdentity(ctx context.Context, _ *awsquery.Empty) (*callerIdentity, error) {
	caller := auth.FromContext(ctx)
	if err := s.auth.Allow(ctx, caller, auth.ActionGetCallerIdentity, "*"); err != nil {
		return nil, err
	}
	return &callerIdentity{ARN: caller.ARN, UserID: caller.ID, Account: s.account}, nil
}

type assumeRoleInput struct {
	RoleARN         string `query:"RoleArn"`
	RoleSessionName string
	DurationSeconds *int
	Policy          string
	FirstPolicyARN  string `query:"PolicyArns.member.1.arn"`
	FirstTag        string `query:"Tags.member.1.Key"`
}

type assumeRoleOutput struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      time.Time
	}
	AssumedRoleUser struct {
		ARN           string `xml:"Arn"`
		AssumedRoleID string `xml:"AssumedRoleId"`
	}
}

var (
	roleARNPattern     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,600}$`)
	sessionNamePattern = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
)

func (s *service) assumeRole(ctx context.Context, in *assumeRoleInput) (*assumeRoleOutput, error) {
	length, err := in.check()
	if err != nil {
		return nil, err
	}
	t, err := s.auth.AssumeRole(ctx, auth.FromContext(ctx), in.RoleARN, in.RoleSessionName, length)
	if tooLong, ok := errors.AsType[*auth.SessionTooLongError](err); ok {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role, %d seconds. Ask for less, or "+
			"raise it: aws iam update-role --max-session-duration", tooLong.Max/time.Second)
	}
	if err != nil {
		return nil, err
	}
	var out assumeRoleOutput
	out.Credentials.AccessKeyID, out.Credentials.SecretAccessKey = t.Credentials.AccessKeyID, t.Credentials.SecretAccessKey
	out.Credentials.SessionToken, out.Credentials.Expiration = t.Credentials.SessionToken, t.Expires
	out.AssumedRoleUser.ARN, out.AssumedRoleUser.AssumedRoleID = t.ARN, t.ID
	return &out, nil
}

// check returns how long the session is to be. To leave out a session policy would give the session more than was meant.
func (in *assumeRoleInput) check() (time.Duration, error) {
	switch {
	case !roleARNPattern.MatchString(in.RoleARN):
		return 0, invalid("RoleArn %q must look like arn:aws:iam::123456789012:role/NAME", in.RoleARN)
	case !sessionNamePattern.MatchString(in.RoleSessionName):
		return 0, invalid("RoleSessionName %q must be 2 to 64 letters, digits and characters of _+=,.@-", in.RoleSessionName)
	case in.Policy != "" || in.FirstPolicyARN != "":
		return 0, invalid("This server knows no session policies. Leave Policy and PolicyArns out, and take on a role that allows less.")
	case in.FirstTag != "":
		return 0, invalid("Sessions have no tags on this server. Leave Tags out.")
	case in.DurationSeconds == nil:
		return auth.DefaultSession, nil
	case *in.DurationSeconds < int(auth.MinSession/time.Second) || *in.DurationSeconds > int(auth.MaxSession/time.Second):
		return 0, invalid("DurationSeconds must be between %d and %d, got %d", auth.MinSession/time.Second, auth.MaxSession/time.Second,
			*in.DurationSeconds)
	}
	return time.Duration(*in.DurationSeconds) * time.Second, nil
}
