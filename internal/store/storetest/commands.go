package storetest

import (
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
)

func handOver(t *testing.T, s Moving) {
	ctx := t.Context()
	_, err := s.HandOver(ctx, "h", begin, begin)
	fails(t, err, store.ErrNotFound)
	newApplication(t, s, "app")
	for i, group := range []string{"g", "g2"} { // two deployments to one host, the second one's Work is older
		newGroup(t, s, "app", group)
		d := deploymentOf(names("d-", 2)[i], "h")
		d.GroupID, d.Info.CreateTime = "id of "+group, awsapi.At(begin)
		ok(t, s.CreateDeployment(ctx, d))
		r := firstRound(loaded(t, s, names("d-", 2)[i]))
		r.Decision.Issue[0].IssuedAt = after(time.Second - time.Duration(i)*time.Millisecond)
		if i == 1 { // neither the server's own Work nor another host's is for h
			r.Decision.Issue = append(r.Decision.Issue, workOf("d-1", 1, "other"), workOf("d-1", 1, "h"))
			r.Decision.Issue[2].By, r.Decision.Issue[2].IssuedAt = lifecycle.Server, begin
		}
		ok(t, s.Commit(ctx, r))
	}

	at := after(2 * time.Second)
	again := at.Add(-30 * time.Second)
	want := store.Command{Work: workOf("d-1", 0, "h"), Deployment: "d-1", HandedAt: at, Handovers: 1}
	want.IssuedAt = after(999 * time.Millisecond)
	got, err := s.HandOver(ctx, "h", at, again)
	ok(t, err)
	same(t, "first hand-over", got, want)
	got, err = s.HandOver(ctx, "h", at, again)
	ok(t, err)
	same(t, "second hand-over", got, store.Command{Work: workOf("d-0", 0, "h"), Deployment: "d-0", HandedAt: at, Handovers: 1})
	_, err = s.HandOver(ctx, "h", at, again)
	fails(t, err, store.ErrNotFound)
	_, err = s.HandOver(ctx, "h", at.Add(30*time.Second), at)
	fails(t, err, store.ErrNotFound) // not before again

	want.HandedAt, want.Handovers = at.Add(31*time.Second), 2
	got, err = s.HandOver(ctx, "h", want.HandedAt, at.Add(time.Second))
	ok(t, err)
	same(t, "hand-over of what nobody acknowledged", got, want)
	_, _, err = s.Acknowledge(ctx, want.ID, false, want.HandedAt)
	ok(t, err)
	ok(t, s.Complete(ctx, workOf("d-0", 0, "h").ID, deploy.WorkFailed, deploy.Diagnostics{}, want.HandedAt))
	_, err = s.HandOver(ctx, "h", after(4*time.Minute), after(3*time.Minute))
	fails(t, err, store.ErrNotFound) // both were taken
	_, err = s.HandOver(ctx, "other", after(5*time.Minute), begin)
	fails(t, err, store.ErrNotFound) // it is due: the engine's
}

func handBack(t *testing.T, s Moving) {
	ctx := t.Context()
	started(t, s, "d-1", "h")
	first, err := s.HandOver(ctx, "h", after(2*time.Second), begin)
	ok(t, err)
	ok(t, s.HandBack(ctx, first.ID, first.HandedAt))
	second, err := s.HandOver(ctx, "h", after(3*time.Second), begin)
	ok(t, err)
	same(t, "number of hand-overs", second.Handovers, 2) // the first may have arrived after all
	ok(t, s.HandBack(ctx, first.ID, first.HandedAt))     // too late: it was handed over again
	_, err = s.HandOver(ctx, "h", after(4*time.Second), begin)
	fails(t, err, store.ErrNotFound)
	ok(t, s.HandBack(ctx, "unknown", begin))
}

func reprieve(t *testing.T, s Moving) {
	ctx := t.Context()
	started(t, s, "d-1", "pending", "running", "ended")
	_, _, err := s.Acknowledge(ctx, workOf("d-1", 0, "running").ID, false, after(time.Minute))
	ok(t, err)
	ok(t, s.Complete(ctx, workOf("d-1", 0, "ended").ID, deploy.WorkFailed, deploy.Diagnostics{}, after(time.Minute)))

	until := after(30 * time.Minute)
	ok(t, s.Reprieve(ctx, until))
	due := map[string]time.Time{}
	for _, w := range loaded(t, s, "d-1").Work {
		due[w.Target] = w.Due
	}
	same(t, "deadlines", due, map[string]time.Time{
		"pending": until,
		"running": after(time.Minute + time.Hour), // later than that already
		"ended":   workOf("d-1", 0, "ended").Due,
	})
	_, err = s.HandOver(ctx, "pending", after(29*time.Minute), begin)
	ok(t, err)
}

func acknowledge(t *testing.T, s Moving) {
	ctx := t.Context()
	_, _, err := s.Acknowledge(ctx, "unknown", false, begin)
	fails(t, err, store.ErrNotFound)
	started(t, s, "d-1", "run", "noop", "late")

	want := store.Command{Work: workOf("d-1", 0, "run"), Deployment: "d-1"}
	want.Status, want.AckedAt, want.Due = deploy.WorkRunning, after(time.Minute), after(time.Minute+time.Hour)
	for i := range 2 { // the first answer stands, also when the second comes in the same microsecond
		got, first, err := s.Acknowledge(ctx, want.ID, false, after(time.Minute))
		ok(t, err)
		same(t, "first", first, i == 0)
		same(t, "acknowledged", got, want)
	}
	got, first, err := s.Acknowledge(ctx, want.ID, true, after(2*time.Minute))
	ok(t, err)
	same(t, "acknowledged again, as a no-op", got, want)
	same(t, "first", first, false)
	got, err = s.Command(ctx, want.ID)
	ok(t, err)
	same(t, "command", got, want)

	want = store.Command{Work: workOf("d-1", 0, "noop"), Deployment: "d-1"}
	want.Status, want.AckedAt, want.EndedAt, want.ErrorCode = deploy.WorkSucceeded, after(time.Minute), after(time.Minute), "Success"
	got, first, err = s.Acknowledge(ctx, want.ID, true, after(time.Minute))
	ok(t, err)
	same(t, "acknowledged as a no-op", got, want)
	same(t, "first", first, true)

	want = store.Command{Work: workOf("d-1", 0, "late"), Deployment: "d-1"}
	got, first, err = s.Acknowledge(ctx, want.ID, false, after(5*time.Minute))
	ok(t, err)
	same(t, "acknowledged when it was due", got, want)
	same(t, "first", first, false)
	same(t, "Work of the next round", len(loaded(t, s, "d-1").Work), 3)
}

func complete(t *testing.T, s Moving) {
	ctx := t.Context()
	fails(t, s.Complete(ctx, "unknown", deploy.WorkFailed, deploy.Diagnostics{}, begin), store.ErrNotFound)
	started(t, s, "d-1", "a", "b")
	id := workOf("d-1", 0, "a").ID
	_, _, err := s.Acknowledge(ctx, id, false, after(time.Minute))
	ok(t, err)
	why := deploy.Diagnostics{ErrorCode: "ScriptFailed", ScriptName: "stop.sh", Message: "exit 1", LogTail: "größer\n"}
	ok(t, s.Complete(ctx, id, deploy.WorkFailed, why, after(2*time.Minute)))
	fails(t, s.Complete(ctx, id, deploy.WorkSucceeded, deploy.Diagnostics{}, after(3*time.Minute)), store.ErrEnded)
	c, err := s.Command(ctx, id)
	ok(t, err)
	same(t, "end", []any{c.Status, c.EndedAt, c.Diagnostics}, []any{deploy.WorkFailed, after(2 * time.Minute), why})
	// Never acknowledged, because the acknowledgement got lost.
	ok(t, s.Complete(ctx, workOf("d-1", 0, "b").ID, deploy.WorkSucceeded, deploy.Diagnostics{}, after(2*time.Minute)))

	// What the engine has ended takes no more facts, although the status would.
	state := loaded(t, s, "d-1")
	issue := store.Round{State: state, At: after(time.Hour), Decision: deploy.Decision{Issue: []deploy.Work{workOf("d-1", 1, "a")}}}
	ok(t, s.Commit(ctx, issue))
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)))
	fails(t, s.Complete(ctx, workOf("d-1", 1, "a").ID, deploy.WorkSucceeded, deploy.Diagnostics{}, after(2*time.Hour)), store.ErrEnded)
}
