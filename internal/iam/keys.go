package iam

import (
	"context"
	"net/http"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
	"grapnel/internal/store"
)

// Statuses of an access key.
const (
	active   = "Active"
	inactive = "Inactive"
)

// keyXML is an access key on the wire. Only CreateAccessKey tells the secret.
type keyXML struct {
	UserName        string
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      time.Time
}

func wireKey(k store.AccessKey) keyXML {
	status := inactive
	if k.Active {
		status = active
	}
	return keyXML{UserName: k.User, AccessKeyID: k.ID, Status: status, CreateDate: seconds(k.CreatedAt)}
}

type createAccessKeyOutput struct{ AccessKey keyXML }

func (s *service) createAccessKey(ctx context.Context, in *userInput) (*createAccessKeyOutput, error) {
	u, err := s.subject(ctx, "CreateAccessKey", in.UserName)
	if err != nil {
		return nil, err
	}
	k, secret, err := s.auth.CreateAccessKey(ctx, u.Name)
	if err != nil {
		err = instead(err, store.ErrNotFound, noSuchUser(u.Name))
		return nil, instead(err, auth.ErrTooManyKeys, awsquery.Errorf(http.StatusConflict, limitExceeded,
			"User %s has %d access keys, and may not have more. Delete one first.", u.Name, auth.MaxKeys))
	}
	out := &createAccessKeyOutput{wireKey(k)}
	out.AccessKey.SecretAccessKey = secret
	return out, nil
}

type listOfUserInput struct {
	UserName string
	Marker   string
	MaxItems *int
}

type listAccessKeysOutput struct {
	AccessKeyMetadata awsquery.List[keyXML]
	IsTruncated       bool
	Marker            string `xml:",omitempty"`
}

func (s *service) listAccessKeys(ctx context.Context, in *listOfUserInput) (*listAccessKeysOutput, error) {
	p, err := newPaging(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	u, err := s.subject(ctx, "ListAccessKeys", in.UserName)
	if err != nil {
		return nil, err
	}
	all, err := s.auth.AccessKeys(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	keys, next := cut(all, func(k store.AccessKey) string { return k.ID }, p)
	out := &listAccessKeysOutput{IsTruncated: next != "", Marker: next}
	for _, k := range keys {
		out.AccessKeyMetadata.Members = append(out.AccessKeyMetadata.Members, wireKey(k))
	}
	return out, nil
}

type accessKeyInput struct {
	UserName    string
	AccessKeyID string `query:"AccessKeyId"`
	Status      string
}

func (s *service) updateAccessKey(ctx context.Context, in *accessKeyInput) (*awsquery.Empty, error) {
	if in.Status != active && in.Status != inactive {
		return nil, invalid("Status must be %s or %s, got %q", active, inactive, in.Status)
	}
	u, err := s.keyOwner(ctx, "UpdateAccessKey", in)
	if err != nil {
		return nil, err
	}
	err = s.auth.SetAccessKeyActive(ctx, u.Name, in.AccessKeyID, in.Status == active)
	return nil, instead(err, store.ErrNotFound, noSuchKey(in.AccessKeyID))
}

func (s *service) deleteAccessKey(ctx context.Context, in *accessKeyInput) (*awsquery.Empty, error) {
	u, err := s.keyOwner(ctx, "DeleteAccessKey", in)
	if err != nil {
		return nil, err
	}
	err = s.auth.DeleteAccessKey(ctx, u.Name, in.AccessKeyID)
	return nil, instead(err, store.ErrNotFound, noSuchKey(in.AccessKeyID))
}

// keyOwner is subject for a request that also names an access key.
func (s *service) keyOwner(ctx context.Context, action string, in *accessKeyInput) (store.User, error) {
	if in.AccessKeyID == "" {
		return store.User{}, invalid("AccessKeyId is missing")
	}
	return s.subject(ctx, action, in.UserName)
}

func noSuchKey(id string) error {
	return awsquery.Errorf(http.StatusNotFound, noSuchEntity, "The Access Key with id %s cannot be found.", id)
}
