package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// together calls f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = f(i)
		})
	}
	done.Wait()
	return errs
}

// oneWins demands that one call succeeded and that the others failed as lost says.
func oneWins(t *testing.T, errs []error, lost func(error) bool) {
	t.Helper()
	var won int
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !lost(err):
			t.Errorf("unexpected error: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d succeeded, want 1", won, len(errs))
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// lostUpdates reads and writes one row from many sides. At PostgreSQL's default level three of four changes get lost.
func lostUpdates(t *testing.T, s store.Store) {
	ok(t, s.RegisterHost(t.Context(), hostOf("h")))
	const sides, changes = 8, 50
	for _, err := range together(sides, func(side int) error {
		for i := range changes {
			change := store.TagChange{Add: []awsapi.Tag{tag(fmt.Sprint(side), fmt.Sprint(i))}, Limit: sides * changes}
			if err := s.TagHosts(t.Context(), []string{"h"}, change); err != nil {
				return err
			}
		}
		return nil
	}) {
		ok(t, err)
	}
	h, err := s.Host(t.Context(), "h")
	ok(t, err)
	same(t, "changes", len(h.Info.Tags), sides*changes)
}

// settingsRace changes one application and one group from many sides, each anew as long as another one was quicker: every
// change must be there in the end.
func settingsRace(t *testing.T, s store.Store) {
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	const sides = 8
	untilCurrent := func(change func() error) error {
		for {
			if err := change(); !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
	for _, err := range together(2*sides, func(side int) error {
		mark := tag(fmt.Sprint(side), "")
		return untilCurrent(func() error {
			if side%2 == 0 {
				a, err := s.Application(t.Context(), "app")
				a.Tags = append(a.Tags, mark)
				return errors.Join(err, s.UpdateApplication(t.Context(), "app", a))
			}
			g, err := s.Group(t.Context(), "app", "g")
			g.Tags = append(g.Tags, mark)
			return errors.Join(err, s.UpdateGroup(t.Context(), "app", "g", g))
		})
	}) {
		ok(t, err)
	}
	a, err := s.Application(t.Context(), "app")
	ok(t, err)
	g, err := s.Group(t.Context(), "app", "g")
	ok(t, err)
	same(t, "changes", []int{len(a.Tags), len(g.Tags)}, []int{sides, sides})
}

func commitRace(t *testing.T, s Moving) {
	started(t, s, "d-1", "h")
	for range 10 {
		state := loaded(t, s, "d-1")
		oneWins(t, together(4, func(i int) error {
			return s.Commit(t.Context(), store.Round{State: state, At: after(time.Hour), Decision: deploy.Decision{Phase: i}})
		}), is(store.ErrConflict))
	}
}

func createRace(t *testing.T, s Moving) {
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	oneWins(t, together(8, func(i int) error {
		return s.CreateDeployment(t.Context(), deploymentOf(fmt.Sprint("d-", i), "h"))
	}), func(err error) bool {
		var busy *store.BusyError
		return errors.As(err, &busy)
	})
	live, err := s.Live(t.Context())
	ok(t, err)
	same(t, "number of live deployments", len(live), 1)
}

// handOverRace lets agents with the same name poll at once. There is as much Work as there are polls: nobody may go away
// empty-handed because another one was quicker.
func handOverRace(t *testing.T, s Moving) {
	newApplication(t, s, "app")
	const polls = 6
	for i, id := range names("d-", polls) {
		group := fmt.Sprint("g", i)
		newGroup(t, s, "app", group)
		d := deploymentOf(id, "h")
		d.GroupID = "id of " + group
		ok(t, s.CreateDeployment(t.Context(), d))
		ok(t, s.Commit(t.Context(), firstRound(loaded(t, s, id))))
	}
	var mu sync.Mutex
	handed := make(map[string]int)
	for _, err := range together(polls, func(int) error {
		c, err := s.HandOver(t.Context(), "h", after(2*time.Second), begin)
		mu.Lock()
		defer mu.Unlock()
		handed[c.ID]++
		return err
	}) {
		ok(t, err)
	}
	same(t, "distinct Work handed over", len(handed), polls)
	oneWins(t, together(polls, func(i int) error {
		return s.Complete(t.Context(), workOf("d-0", 0, "h").ID, deploy.WorkFailed, deploy.Diagnostics{}, after(time.Minute))
	}), is(store.ErrEnded))
}

// completionsDuringCommit reports completions while rounds are committed: every one is seen by a round, and none lets a
// commit fail that did not touch its Work.
func completionsDuringCommit(t *testing.T, s Moving) {
	hosts := names("h", 50)
	started(t, s, "d-1", hosts...)
	var reported sync.WaitGroup
	for _, host := range hosts {
		reported.Go(func() {
			id := workOf("d-1", 0, host).ID
			if _, _, err := s.Acknowledge(t.Context(), id, false, after(time.Minute)); err != nil {
				t.Error(err)
			}
			if err := s.Complete(t.Context(), id, deploy.WorkSucceeded, deploy.Diagnostics{}, after(time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
	settled := 0
	for settled < len(hosts) && !t.Failed() {
		state := loaded(t, s, "d-1")
		r := store.Round{State: state, At: after(time.Minute)}
		for _, w := range state.Work {
			if !w.Status.Open() {
				r.Decision.Settle = append(r.Decision.Settle, deploy.Settle{ID: w.ID, Saw: w.Status, Status: w.Status})
			}
		}
		ok(t, s.Commit(t.Context(), r))
		settled += len(r.Decision.Settle)
	}
	reported.Wait()
}

func registerRace(t *testing.T, s store.Store) {
	oneWins(t, together(8, func(i int) error {
		h := hostOf(fmt.Sprint("h", i))
		h.Info.IamUserArn = ptr("arn:aws:iam::000000000000:user/shared")
		return s.RegisterHost(t.Context(), h)
	}), func(err error) bool {
		var inUse *store.ARNInUseError
		return errors.As(err, &inUse)
	})
	oneWins(t, together(8, func(i int) error {
		h := hostOf("same")
		h.Info.IamUserArn = ptr(fmt.Sprint("arn:aws:iam::000000000000:user/", i))
		return s.RegisterHost(t.Context(), h)
	}), is(store.ErrExists))
}

func secretRace(t *testing.T, s store.Store) {
	stored := make([]string, 8)
	for _, err := range together(len(stored), func(i int) error {
		got, err := s.AddSecret(t.Context(), "signer", []byte{byte(i)})
		stored[i] = string(got)
		return err
	}) {
		ok(t, err)
	}
	for _, got := range stored {
		same(t, "what each server got", got, stored[0])
	}
}

// failuresAreIsolated mixes writes that fail half-way with writes that do not.
func failuresAreIsolated(t *testing.T, s store.Store) {
	ctx := t.Context()
	newApplication(t, s, "app")
	ok(t, s.RegisterHost(ctx, hostOf("h")))
	const writes = 60
	for i, err := range together(writes, func(i int) error {
		switch i % 3 {
		case 0:
			return s.CreateUser(ctx, store.User{Name: fmt.Sprintf("user%02d", i), Path: "/"})
		case 1: // writes the tags of h before it finds that there is no host "none"
			return s.TagHosts(ctx, []string{"h", "none"}, store.TagChange{Add: []awsapi.Tag{tag("k", fmt.Sprint(i))}, Limit: writes})
		default:
			return s.CreateGroup(ctx, groupOf("none", fmt.Sprint(i)))
		}
	}) {
		if failed := err != nil; failed != (i%3 != 0) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	all, err := s.Users(ctx, "", 0)
	ok(t, err)
	same(t, "users", len(all), writes/3)
	h, err := s.Host(ctx, "h")
	ok(t, err)
	same(t, "tags of the host", len(h.Info.Tags), 0)
}
