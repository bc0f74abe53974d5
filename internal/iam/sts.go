package iam

import (
	"context"
	"log/slog"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
)

func (s *service) sts(log *slog.Logger) *awsquery.Mux {
	m := awsquery.NewMux(awsquery.Options{
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Version: "2011-06-15", Log: log,
	})
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
