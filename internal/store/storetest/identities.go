package storetest

import (
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

func users(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.User(ctx, "web1")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteUser(ctx, "web1"), store.ErrNotFound)
	want := store.User{Name: "web1", Path: "/AWS/CodeDeploy/", ID: "AIDA1", CreatedAt: begin}
	ok(t, s.CreateUser(ctx, want))
	fails(t, s.CreateUser(ctx, want), store.ErrExists)
	got, err := s.User(ctx, "web1")
	ok(t, err)
	same(t, "user", got, want)
	ok(t, s.CreateUser(ctx, store.User{Name: "app1", Path: "/"}))
	all, err := s.Users(ctx, "", 0)
	ok(t, err)
	same(t, "users", all, []store.User{{Name: "app1", Path: "/"}, want})
	page, err := s.Users(ctx, "app1", 1)
	ok(t, err)
	same(t, "page", page, []store.User{want})
	ok(t, s.DeleteUser(ctx, "web1"))
}

func accessKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	key := store.AccessKey{ID: "AKIA1", User: "web1", Secret: []byte{0, 1, 255}, Active: true, CreatedAt: begin}
	fails(t, s.CreateAccessKey(ctx, key, 0), store.ErrNotFound)
	ok(t, s.CreateUser(ctx, store.User{Name: "web1", Path: "/"}))
	ok(t, s.CreateUser(ctx, store.User{Name: "web2", Path: "/"}))
	ok(t, s.CreateAccessKey(ctx, key, 0))
	root := store.AccessKey{ID: "AKIAROOT", Secret: []byte("sealed"), Active: true, CreatedAt: begin}
	ok(t, s.CreateAccessKey(ctx, root, 0))
	clash := key
	clash.User = "web2"
	fails(t, s.CreateAccessKey(ctx, clash, 0), store.ErrExists)

	got, err := s.AccessKey(ctx, "AKIA1")
	ok(t, err)
	same(t, "key", got, key)
	_, err = s.AccessKey(ctx, "akia1")
	fails(t, err, store.ErrNotFound)
	for user, want := range map[string][]store.AccessKey{"": {root}, "web1": {key}, "web2": nil} {
		all, err := s.AccessKeys(ctx, user)
		ok(t, err)
		same(t, "keys of "+user, all, want)
	}

	fails(t, s.SetAccessKeyActive(ctx, "web2", "AKIA1", false), store.ErrNotFound)
	fails(t, s.SetAccessKeyActive(ctx, "", "AKIA1", false), store.ErrNotFound)
	ok(t, s.SetAccessKeyActive(ctx, "web1", "AKIA1", false))
	ok(t, s.SetAccessKeyActive(ctx, "", "AKIAROOT", false))
	for _, id := range []string{"AKIA1", "AKIAROOT"} {
		k, err := s.AccessKey(ctx, id)
		ok(t, err)
		same(t, id+" is active", k.Active, false)
	}

	fails(t, s.DeleteUser(ctx, "web1"), store.ErrInUse)
	fails(t, s.DeleteAccessKey(ctx, "web2", "AKIA1"), store.ErrNotFound)
	ok(t, s.DeleteAccessKey(ctx, "web1", "AKIA1"))
	ok(t, s.DeleteAccessKey(ctx, "", "AKIAROOT"))
	fails(t, s.DeleteAccessKey(ctx, "web1", "AKIA1"), store.ErrNotFound)
	ok(t, s.DeleteUser(ctx, "web1"))
}

func roles(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Role(ctx, "ci")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteRole(ctx, "ci"), store.ErrNotFound)
	fails(t, s.UpdateRole(ctx, "ci", store.RoleChange{}), store.ErrNotFound)
	want := store.Role{
		Name: "ci", Path: "/ops/", ID: "AROA1", Trust: `{"a": 1}`, Description: "builds", MaxSession: time.Hour, CreatedAt: begin,
	}
	ok(t, s.CreateRole(ctx, want))
	fails(t, s.CreateRole(ctx, want), store.ErrExists)
	ok(t, s.CreateRole(ctx, store.Role{Name: "agent", Path: "/"}))
	got, err := s.Role(ctx, "ci")
	ok(t, err)
	same(t, "role", got, want)

	ok(t, s.UpdateRole(ctx, "ci", store.RoleChange{}))
	got, err = s.Role(ctx, "ci")
	ok(t, err)
	same(t, "role after no change", got, want)
	ok(t, s.UpdateRole(ctx, "ci", store.RoleChange{Description: ptr(""), MaxSession: ptr(2 * time.Hour)}))
	ok(t, s.UpdateRole(ctx, "ci", store.RoleChange{Trust: ptr("{}")}))
	want.Description, want.MaxSession, want.Trust = "", 2*time.Hour, "{}"

	all, err := s.Roles(ctx, "", 0)
	ok(t, err)
	same(t, "roles", all, []store.Role{{Name: "agent", Path: "/"}, want})
	page, err := s.Roles(ctx, "agent", 1)
	ok(t, err)
	same(t, "page", page, []store.Role{want})
	ok(t, s.DeleteRole(ctx, "ci"))
}

func policies(t *testing.T, s store.Store) {
	ctx := t.Context()
	user, role := store.Owner{User: "web1"}, store.Owner{Role: "web1"}
	for _, of := range []store.Owner{user, role} {
		fails(t, s.PutPolicy(ctx, of, store.Policy{Name: "p", Document: "{}"}), store.ErrNotFound)
	}
	ok(t, s.CreateUser(ctx, store.User{Name: "web1", Path: "/"}))
	ok(t, s.CreateRole(ctx, store.Role{Name: "web1", Path: "/"}))
	ok(t, s.PutPolicy(ctx, user, store.Policy{Name: "p", Document: "{}"}))
	ok(t, s.PutPolicy(ctx, user, store.Policy{Name: "a", Document: "{}"}))
	ok(t, s.PutPolicy(ctx, user, store.Policy{Name: "p", Document: `{"Version": "2012-10-17"}`}))
	ok(t, s.PutPolicy(ctx, role, store.Policy{Name: "p", Document: "[]"}))
	for of, want := range map[store.Owner][]store.Policy{
		user:            {{Name: "a", Document: "{}"}, {Name: "p", Document: `{"Version": "2012-10-17"}`}}, // byte for byte
		role:            {{Name: "p", Document: "[]"}},
		{User: "other"}: nil,
	} {
		list, err := s.Policies(ctx, of)
		ok(t, err)
		same(t, "policies", list, want)
	}
	fails(t, s.DeleteUser(ctx, "web1"), store.ErrInUse)
	fails(t, s.DeleteRole(ctx, "web1"), store.ErrInUse)
	ok(t, s.DeletePolicy(ctx, user, "p"))
	fails(t, s.DeletePolicy(ctx, user, "p"), store.ErrNotFound)
	ok(t, s.DeletePolicy(ctx, user, "a"))
	ok(t, s.DeletePolicy(ctx, role, "p"))
	ok(t, s.DeleteUser(ctx, "web1"))
	ok(t, s.DeleteRole(ctx, "web1"))
}

// identityVersion: each write that may change who may do what moves the version, and what does not leaves it.
func identityVersion(t *testing.T, s store.Store) {
	ctx := t.Context()
	before := s.IdentityVersion()
	moves := func(what string, want bool, err error) {
		t.Helper()
		ok(t, err)
		now := s.IdentityVersion()
		same(t, what+" moves the version", now != before, want)
		before = now
	}
	user := store.Owner{User: "web1"}
	info := awsapi.InstanceInfo{InstanceName: ptr("web1"), IamUserArn: ptr("arn:aws:iam::000000000000:user/web1"), RegisterTime: awsapi.At(begin)}
	moves("CreateUser", true, s.CreateUser(ctx, store.User{Name: "web1", Path: "/"}))
	moves("CreateAccessKey", true, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA1", User: "web1", Active: true, Secret: []byte{1}}, 0))
	moves("SetAccessKeyActive", true, s.SetAccessKeyActive(ctx, "web1", "AKIA1", false))
	moves("DeleteAccessKey", true, s.DeleteAccessKey(ctx, "web1", "AKIA1"))
	moves("PutPolicy", true, s.PutPolicy(ctx, user, store.Policy{Name: "p", Document: "{}"}))
	moves("DeletePolicy", true, s.DeletePolicy(ctx, user, "p"))
	moves("DeleteUser", true, s.DeleteUser(ctx, "web1"))
	moves("CreateRole", true, s.CreateRole(ctx, store.Role{Name: "web1", Path: "/"}))
	moves("UpdateRole", true, s.UpdateRole(ctx, "web1", store.RoleChange{Trust: ptr("{}")}))
	moves("DeleteRole", true, s.DeleteRole(ctx, "web1"))
	moves("RegisterHost", true, s.RegisterHost(ctx, store.Host{Info: info}))
	moves("HostsSeen", false, s.HostsSeen(ctx, []store.Presence{{Host: "web1", At: begin}}))
	moves("TagHosts", false, s.TagHosts(ctx, []string{"web1"}, store.TagChange{Limit: 1}))
	_, err := s.DeregisterHost(ctx, "web1", begin)
	moves("DeregisterHost", true, err)
}

func secrets(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Secret(ctx, "signer")
	fails(t, err, store.ErrNotFound)
	for range 2 {
		stored, err := s.AddSecret(ctx, "signer", []byte{0, 1, 2})
		ok(t, err)
		same(t, "stored", stored, []byte{0, 1, 2})
	}
	stored, err := s.AddSecret(ctx, "signer", []byte("another"))
	ok(t, err)
	same(t, "stored after a second one", stored, []byte{0, 1, 2})
	stored, err = s.Secret(ctx, "signer")
	ok(t, err)
	same(t, "secret", stored, []byte{0, 1, 2})
}
