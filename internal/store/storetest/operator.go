package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

func replaceAccessKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, store.User{Name: "web-1", Path: "/"}))
	key := func(id string) store.AccessKey {
		return store.AccessKey{ID: id, User: "web-1", Secret: []byte(id), Active: true, CreatedAt: begin}
	}
	ok(t, s.CreateAccessKey(ctx, key("A"), 0))
	fails(t, s.ReplaceAccessKeys(ctx, "web-1", "B", key("C")), store.ErrNotFound)
	fails(t, s.ReplaceAccessKeys(ctx, "", "A", key("C")), store.ErrNotFound)
	keys := func(want ...store.AccessKey) {
		t.Helper()
		got, err := s.AccessKeys(ctx, "web-1")
		ok(t, err)
		same(t, "keys", got, want)
	}
	keys(key("A"))
	ok(t, s.ReplaceAccessKeys(ctx, "web-1", "A", key("B")))
	ok(t, s.ReplaceAccessKeys(ctx, "web-1", "A", key("C"))) // B was made by a call whose reply was lost
	keys(key("A"), key("C"))
	ok(t, s.ReplaceAccessKeys(ctx, "web-1", "C"))
	keys(key("C"))
	fails(t, s.ReplaceAccessKeys(ctx, "web-1", "C", key("C")), store.ErrExists)
	keys(key("C"))
}

// accessKeyRace replaces and creates keys of one user from many sides: after each replacement there are two at most, and
// creation never makes a third.
func accessKeyRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	for round := range 4 {
		user := fmt.Sprintf("web-%d", round)
		ok(t, s.CreateUser(ctx, store.User{Name: user, Path: "/"}))
		key := func(id string) store.AccessKey {
			return store.AccessKey{ID: user + id, User: user, Secret: []byte(id), Active: true, CreatedAt: begin}
		}
		ok(t, s.CreateAccessKey(ctx, key("A"), 2))
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				if err := s.ReplaceAccessKeys(ctx, user, key("A").ID, key(fmt.Sprintf("R%d", i))); err != nil {
					t.Error(err)
				}
			})
			group.Go(func() {
				var quota *store.QuotaError
				if err := s.CreateAccessKey(ctx, key(fmt.Sprintf("C%d", i)), 2); err != nil && !errors.As(err, &quota) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		keys, err := s.AccessKeys(ctx, user)
		ok(t, err)
		if len(keys) > 2 {
			t.Errorf("%s has %d keys, want two at most", user, len(keys))
		}
	}
}

// joinToken is a token that can be used for an hour from begin.
func joinToken(t *testing.T, s store.Store, id string, created time.Time) store.JoinToken {
	t.Helper()
	j := store.JoinToken{
		Info: awsapi.JoinTokenInfo{
			TokenId: &id, CreatedBy: ptr("arn:aws:iam::1:root"), Tags: []awsapi.Tag{{Key: ptr("app"), Value: ptr("shop")}},
			CreateTime: awsapi.At(created), ExpireTime: awsapi.At(created.Add(time.Hour)),
		},
		Secret: []byte{0, 1, 255},
	}
	ok(t, s.CreateJoinToken(t.Context(), j, time.Time{}))
	return j
}

// joining is a host that wants to join.
func joining(token, name, attempt, key string) store.Join {
	arn := "arn:aws:iam::1:user/AWS/CodeDeploy/" + name
	return store.Join{
		Token: token, Attempt: []byte(attempt), At: after(time.Minute),
		User: store.User{Name: name, Path: "/AWS/CodeDeploy/", ID: "AIDA" + name, CreatedAt: begin},
		Key:  store.AccessKey{ID: key, User: name, Secret: []byte(key), Active: true, CreatedAt: begin},
		Host: store.Host{Info: awsapi.InstanceInfo{InstanceName: &name, IamUserArn: &arn, RegisterTime: awsapi.At(begin), Tags: []awsapi.Tag{{Key: ptr("app"), Value: ptr("shop")}}}},
	}
}

func joinTokens(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.JoinToken(ctx, "a")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteJoinToken(ctx, "a"), store.ErrNotFound)
	a, b := joinToken(t, s, "a", begin), joinToken(t, s, "b", after(time.Second))
	got, err := s.JoinToken(ctx, "a")
	ok(t, err)
	same(t, "token", got, a)
	all, err := s.JoinTokens(ctx)
	ok(t, err)
	same(t, "tokens, newest first", all, []store.JoinToken{b, a})
	ok(t, s.DeleteJoinToken(ctx, "b"))
	c := joinToken(t, s, "c", after(2*time.Hour))
	d := c
	d.Info.TokenId = ptr("d")
	ok(t, s.CreateJoinToken(ctx, d, after(90*time.Minute)))
	all, err = s.JoinTokens(ctx)
	ok(t, err)
	same(t, "tokens that have not expired long ago", all, []store.JoinToken{c, d})
}

func join(t *testing.T, s store.Store) {
	ctx := t.Context()
	joinToken(t, s, "a", begin)
	fails(t, s.Join(ctx, joining("none", "web-1", "x", "K1")), store.ErrNotFound)
	late := joining("a", "web-1", "x", "K1")
	late.At = after(2 * time.Hour)
	fails(t, s.Join(ctx, late), store.ErrEnded)
	absent := func(name string) {
		t.Helper()
		_, err := s.User(ctx, name)
		fails(t, err, store.ErrNotFound)
		_, err = s.Host(ctx, name)
		fails(t, err, store.ErrNotFound)
	}
	absent("web-1")

	want := joining("a", "web-1", "x", "K1")
	ok(t, s.Join(ctx, want))
	user, err := s.User(ctx, "web-1")
	ok(t, err)
	same(t, "user", user, want.User)
	host, err := s.HostByARN(ctx, *want.Host.Info.IamUserArn)
	ok(t, err)
	same(t, "host", host, want.Host)
	token, err := s.JoinToken(ctx, "a")
	ok(t, err)
	same(t, "used by", token.Info.UsedBy, ptr("web-1"))
	same(t, "use time", token.Info.UseTime, awsapi.At(want.At))
	if !bytes.Equal(token.Attempt, want.Attempt) {
		t.Errorf("attempt %q", token.Attempt)
	}

	fails(t, s.Join(ctx, joining("a", "web-1", "y", "K2")), store.ErrEnded)
	fails(t, s.Join(ctx, joining("a", "web-2", "x", "K2")), store.ErrEnded)
	absent("web-2")
	ok(t, s.Join(ctx, joining("a", "web-1", "x", "K2"))) // the reply was lost
	keys, err := s.AccessKeys(ctx, "web-1")
	ok(t, err)
	same(t, "keys after the second try", keys, []store.AccessKey{joining("a", "web-1", "x", "K2").Key})
	ok(t, s.ReplaceAccessKeys(ctx, "web-1", "K2", joining("a", "web-1", "x", "K3").Key))
	ok(t, s.ReplaceAccessKeys(ctx, "web-1", "K3"))
	fails(t, s.Join(ctx, joining("a", "web-1", "x", "K4")), store.ErrEnded) // it has replaced its key: nothing was lost
}

func joinNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	joinToken(t, s, "a", begin)
	ok(t, s.RegisterHost(ctx, joining("", "web-1", "", "").Host))
	ok(t, s.CreateUser(ctx, store.User{Name: "ann", Path: "/"}))
	for name, host := range map[string]bool{"web-1": true, "ann": false} {
		var taken *store.JoinNameError
		if err := s.Join(ctx, joining("a", name, "x", "K")); !errors.As(err, &taken) || taken.Host != host {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.Host(ctx, "ann")
	fails(t, err, store.ErrNotFound) // the registration went with the rest
	_, err = s.DeregisterHost(ctx, "web-1", begin)
	ok(t, err)
	ok(t, s.Join(ctx, joining("a", "web-1", "x", "K")))
	_, err = s.DeregisterHost(ctx, "web-1", begin)
	ok(t, err)
	fails(t, s.Join(ctx, joining("a", "web-1", "x", "K2")), store.ErrEnded) // deregistered since
}

// Of many hosts that use a token at once one joins.
func joinRace(t *testing.T, s store.Store) {
	joinToken(t, s, "a", begin)
	const hosts = 8
	results := make(chan error, hosts)
	for i := range hosts {
		name := fmt.Sprintf("web-%d", i)
		go func() { results <- s.Join(context.WithoutCancel(t.Context()), joining("a", name, name, "K"+name)) }()
	}
	joined := 0
	for range hosts {
		if err := <-results; err == nil {
			joined++
		} else {
			fails(t, err, store.ErrEnded)
		}
	}
	all, err := s.Hosts(t.Context())
	ok(t, err)
	same(t, "hosts that joined", []int{joined, len(all)}, []int{1, 1})
}

func gitHubTokens(t *testing.T, s store.Store) {
	ctx := t.Context()
	token := func(name, text string) store.GitHubToken { return store.GitHubToken{Name: name, Sealed: []byte(text)} }
	started(t, s, "d-1", "h") // application app with a group
	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	linked := func(want *string) {
		t.Helper()
		a, err := s.Application(ctx, "app")
		ok(t, err)
		same(t, "linkedToGitHub", a.Info.LinkedToGitHub, ptr(want != nil))
		same(t, "gitHubAccountName", a.Info.GitHubAccountName, want)
	}
	linked(nil)
	_, err = s.GroupGitHubToken(ctx, d.GroupID)
	fails(t, err, store.ErrNotFound)
	fails(t, s.ConnectGitHub(ctx, "app", "acme"), store.ErrNoToken)
	fails(t, s.PutGitHubToken(ctx, token("acme", "1"), "none"), store.ErrNotFound)
	fails(t, s.DeleteGitHubToken(ctx, "acme"), store.ErrNotFound) // all or nothing
	ok(t, s.PutGitHubToken(ctx, token("acme", "1"), "app"))
	linked(ptr("acme"))
	ok(t, s.PutGitHubToken(ctx, token("acme", "2"), ""))
	got, err := s.GroupGitHubToken(ctx, d.GroupID)
	ok(t, err)
	same(t, "token of the group", got, token("acme", "2"))
	ok(t, s.PutGitHubToken(ctx, token("b", "3"), ""))
	ok(t, s.PutGitHubToken(ctx, token("b", "5"), ""))
	fails(t, s.ConnectGitHub(ctx, "none", "b"), store.ErrNotFound)
	ok(t, s.ConnectGitHub(ctx, "app", "b"))
	linked(ptr("b"))

	a, err := s.Application(ctx, "app")
	ok(t, err)
	ok(t, s.UpdateApplication(ctx, "app", a)) // with what it said when it was read
	names, err := s.GitHubTokens(ctx, "", 0)
	ok(t, err)
	same(t, "names", names, []string{"acme", "b"})
	names, err = s.GitHubTokens(ctx, "acme", 1)
	ok(t, err)
	same(t, "names of a page", names, []string{"b"})
	ok(t, s.DeleteGitHubToken(ctx, "b"))
	linked(nil)
	ok(t, s.ConnectGitHub(ctx, "app", "acme"))
	ok(t, s.DeleteApplication(ctx, "app"))
	ok(t, s.DeleteGitHubToken(ctx, "acme"))
}

// record is an audit record of the n-th minute.
func record(n int, who, action string) awsapi.AuditRecord {
	return awsapi.AuditRecord{
		Time: awsapi.At(after(time.Duration(n) * time.Minute)), Who: who, AccessKey: "AKIA", Source: "192.0.2.1", Action: action,
		Resources: []string{"<größe>"}, RequestId: fmt.Sprint(n), Result: "ok", Message: "m",
	}
}

// A change and its record are one transaction.
func auditOfChange(t *testing.T, s store.Store) {
	audit := store.NewAudit(awsapi.AuditRecord{Who: "ann", Action: "codedeploy:CreateApplication"})
	ctx := store.WithAudit(t.Context(), audit)
	audit.Note("codedeploy:RegisterApplicationRevision", "x", "y", "x")
	newApplication(t, s, "taken")
	a, err := s.Application(ctx, "taken")
	ok(t, err)
	fails(t, s.CreateApplication(ctx, a), store.ErrExists)
	count := func(want int) []awsapi.AuditRecord {
		t.Helper()
		all, err := s.AuditRecords(t.Context(), store.AuditFilter{})
		ok(t, err)
		same(t, "number of records", len(all), want)
		return all
	}
	count(0) // the write that failed took its record with it
	ok(t, s.DeleteApplication(ctx, "taken"))
	got := count(1)[0]
	same(t, "resources", got.Resources, []string{"x", "y"})
	same(t, "record", []string{got.Who, got.Action, got.Result}, []string{"ann", "codedeploy:CreateApplication", "ok"})
	ok(t, s.CreateUser(ctx, store.User{Name: "second-write", Path: "/"}))
	count(1)
	if _, more := audit.End(begin, store.AuditOK, ""); more {
		t.Error("the record of a change that succeeded is appended again")
	}
	failed, more := audit.End(begin, "InternalFailure", "no")
	same(t, "record of what failed after its change", []any{failed.Result, more}, []any{"InternalFailure", true})

	silent := store.NewAudit(awsapi.AuditRecord{})
	ok(t, s.CreateUser(store.WithAudit(t.Context(), silent), store.User{Name: "ann", Path: "/"}))
	count(1)
}

func auditLog(t *testing.T, s store.Store) {
	ctx := t.Context()
	const ann = "arn:aws:iam::1:user/x/ann"
	ok(t, s.AppendAudit(ctx, []awsapi.AuditRecord{
		record(1, ann, "iam:CreateUser"), record(2, "", "grapnel:Join"), record(3, "arn:aws:iam::1:user/ann", "iam:CreateAccessKey"),
	}))
	ok(t, s.AppendAudit(ctx, []awsapi.AuditRecord{record(4, ann, "codedeploy:CreateApplication"), record(5, "arn:aws:iam::1:root", "iam:CreateUser")}))
	places := map[string]int64{}
	all, err := s.AuditRecords(ctx, store.AuditFilter{Oldest: true})
	ok(t, err)
	for i, r := range all {
		places[r.RequestId] = r.Place
		if i > 0 && r.Place <= all[i-1].Place {
			t.Errorf("place %d follows %d", r.Place, all[i-1].Place)
		}
	}
	want := record(1, ann, "iam:CreateUser")
	want.Place = places["1"]
	same(t, "record", all[0], want)
	for want, f := range map[string]store.AuditFilter{
		"54321": {},
		"54":    {Limit: 2},
		"345":   {Oldest: true, After: places["2"]},
		"21":    {Before: places["3"]},
		"431":   {Who: "ann"},
		"41":    {Who: ann},
		"531":   {Prefix: "iam:"},
		"53":    {Prefix: "iam:", Limit: 2},
		"135":   {Prefix: "iam:", Oldest: true},
		" ":     {Prefix: "iam:D"},
		"51":    {Action: "iam:CreateUser"},
		"3":     {Prefix: "iam:CreateAccessKey"},
		"543":   {Since: after(3 * time.Minute)},
		"21 ":   {Until: after(3 * time.Minute)},
		"  ":    {Since: after(time.Hour)},
	} {
		got, err := s.AuditRecords(ctx, f)
		ok(t, err)
		var ids string
		for _, r := range got {
			ids += r.RequestId
		}
		same(t, fmt.Sprintf("%+v", f), ids, strings.TrimSpace(want))
	}

	n, err := s.PruneAudit(ctx, after(3*time.Minute), 1)
	ok(t, err)
	same(t, "pruned", n, int64(1))
	n, err = s.PruneAudit(ctx, after(time.Hour), 0)
	ok(t, err)
	same(t, "pruned", n, int64(4))
	ok(t, s.AppendAudit(ctx, []awsapi.AuditRecord{record(6, ann, "iam:CreateUser")}))
	all, err = s.AuditRecords(ctx, store.AuditFilter{After: places["5"]})
	ok(t, err)
	same(t, "records behind those that were pruned", len(all), 1)
}

// A reader who goes on from the last place misses nothing, although many write at once.
func auditOrder(t *testing.T, s store.Store) {
	const writers, each = 8, 10
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				audit := store.NewAudit(record(i, "", fmt.Sprintf("iam:Create%d-%d", w, i)))
				if err := s.CreateUser(store.WithAudit(context.WithoutCancel(t.Context()), audit), store.User{Name: fmt.Sprintf("u%d-%d", w, i), Path: "/"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { group.Wait(); close(written) }()
	last, seen := int64(0), 0
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		records, err := s.AuditRecords(t.Context(), store.AuditFilter{After: last, Oldest: true})
		ok(t, err)
		for _, r := range records {
			last = r.Place
			seen++
		}
	}
	same(t, "records seen", seen, writers*each)
}
