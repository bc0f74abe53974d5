package iam

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
	"grapnel/internal/store"
)

// userXML is a user on the wire.
type userXML struct {
	Path       string `xml:",omitempty"` // root has neither
	UserName   string `xml:",omitempty"`
	UserID     string `xml:"UserId"`
	ARN        string `xml:"Arn"`
	CreateDate time.Time
}

func (s *service) wire(u store.User) userXML {
	return userXML{Path: u.Path, UserName: u.Name, UserID: u.ID, ARN: s.auth.UserARN(u), CreateDate: seconds(u.CreatedAt)}
}

// seconds is the resolution of IAM's times.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

type createUserInput struct {
	Path, UserName      string
	PermissionsBoundary string
	FirstTag            string `query:"Tags.member.1.Key"`
}

type userOutput struct{ User userXML }

func (s *service) createUser(ctx context.Context, in *createUserInput) (*userOutput, error) {
	path := cmp.Or(in.Path, "/")
	if err := cmp.Or(checkName("UserName", in.UserName, maxNewName), checkPath(path)); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != "" || in.FirstTag != "" {
		return nil, awsquery.Errorf(http.StatusBadRequest, invalidInput,
			"Users have neither tags nor a permissions boundary on this server. Leave Tags and PermissionsBoundary out.")
	}
	if err := s.allow(ctx, "CreateUser", s.auth.UserARN(store.User{Path: path, Name: in.UserName})); err != nil {
		return nil, err
	}
	u, err := s.auth.CreateUser(ctx, path, in.UserName)
	if err != nil {
		return nil, instead(err, store.ErrExists, awsquery.Errorf(http.StatusConflict, entityAlreadyExists,
			"User with name %s already exists.", in.UserName))
	}
	return &userOutput{s.wire(u)}, nil
}

type userInput struct{ UserName string }

func (s *service) getUser(ctx context.Context, in *userInput) (*userOutput, error) {
	if caller := auth.FromContext(ctx); in.UserName == "" && caller.Kind == auth.Root {
		return s.getRoot(ctx, caller)
	}
	u, err := s.subject(ctx, "GetUser", in.UserName)
	if err != nil {
		return nil, err
	}
	return &userOutput{s.wire(u)}, nil
}

// getRoot is getUser for root, which is as old as its key.
func (s *service) getRoot(ctx context.Context, root auth.Identity) (*userOutput, error) {
	keys, err := s.auth.AccessKeys(ctx, "")
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return &userOutput{userXML{UserID: root.ID, ARN: root.ARN, CreateDate: seconds(keys[0].CreatedAt)}}, nil
}

type listInput struct {
	PathPrefix string
	Marker     string
	MaxItems   *int
}

type listUsersOutput struct {
	Users       awsquery.List[userXML]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (s *service) listUsers(ctx context.Context, in *listInput) (*listUsersOutput, error) {
	p, err := newPaging(in.Marker, in.MaxItems)
	prefix := cmp.Or(in.PathPrefix, "/")
	if err := cmp.Or(err, checkPathPrefix(prefix)); err != nil {
		return nil, err
	}
	if err := s.allow(ctx, "ListUsers", s.auth.UserARN(store.User{Path: prefix})); err != nil {
		return nil, err
	}
	users, next, err := below(ctx, s.store.Users, func(u store.User) (path, name string) { return u.Path, u.Name }, prefix, p)
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{IsTruncated: next != "", Marker: next}
	for _, u := range users {
		out.Users.Members = append(out.Users.Members, s.wire(u))
	}
	return out, nil
}

func (s *service) deleteUser(ctx context.Context, in *userInput) (*awsquery.Empty, error) {
	if in.UserName == "" {
		return nil, invalid("UserName is missing")
	}
	u, err := s.subject(ctx, "DeleteUser", in.UserName)
	if err != nil {
		return nil, err
	}
	err = s.store.DeleteUser(ctx, u.Name)
	err = instead(err, store.ErrNotFound, noSuchUser(u.Name))
	return nil, instead(err, store.ErrInUse, awsquery.Errorf(http.StatusConflict, deleteConflict,
		"Cannot delete user %s: delete its access keys and its inline policies first.", u.Name))
}
