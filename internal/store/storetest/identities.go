package storetest

import (
	"testing"

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
	fails(t, s.CreateAccessKey(ctx, key), store.ErrNotFound)
	ok(t, s.CreateUser(ctx, store.User{Name: "web1", Path: "/"}))
	ok(t, s.CreateUser(ctx, store.User{Name: "web2", Path: "/"}))
	ok(t, s.CreateAccessKey(ctx, key))
	root := store.AccessKey{ID: "AKIAROOT", Secret: []byte("sealed"), Active: true, CreatedAt: begin}
	ok(t, s.CreateAccessKey(ctx, root))
	clash := key
	clash.User = "web2"
	fails(t, s.CreateAccessKey(ctx, clash), store.ErrExists)

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

func policies(t *testing.T, s store.Store) {
	ctx := t.Context()
	fails(t, s.PutPolicy(ctx, "web1", "p", "{}"), store.ErrNotFound)
	ok(t, s.CreateUser(ctx, store.User{Name: "web1", Path: "/"}))
	_, err := s.Policy(ctx, "web1", "p")
	fails(t, err, store.ErrNotFound)
	ok(t, s.PutPolicy(ctx, "web1", "p", "{}"))
	ok(t, s.PutPolicy(ctx, "web1", "a", "{}"))
	ok(t, s.PutPolicy(ctx, "web1", "p", `{"Version": "2012-10-17"}`))
	document, err := s.Policy(ctx, "web1", "p")
	ok(t, err)
	same(t, "policy, byte for byte", document, `{"Version": "2012-10-17"}`)
	list, err := s.Policies(ctx, "web1")
	ok(t, err)
	same(t, "policies", list, []string{"a", "p"})
	fails(t, s.DeleteUser(ctx, "web1"), store.ErrInUse)
	ok(t, s.DeletePolicy(ctx, "web1", "p"))
	fails(t, s.DeletePolicy(ctx, "web1", "p"), store.ErrNotFound)
	ok(t, s.DeletePolicy(ctx, "web1", "a"))
	ok(t, s.DeleteUser(ctx, "web1"))
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
