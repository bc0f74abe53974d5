package sqlstore

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
	"grapnel/internal/store/pgtest"
)

const benchTargets = 1000

// BenchmarkRound is one step of a deployment to a thousand hosts: every host takes its command, acknowledges and completes
// it; then the engine loads the state and commits the next step for all of them.
func BenchmarkRound(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkRound(b, filepath.Join(b.TempDir(), "grapnel.db")) })
	b.Run("Postgres", func(b *testing.B) { benchmarkRound(b, pgtest.Start(b).Database(b)) })
}

func benchmarkRound(b *testing.B, dsn string) {
	s, ctx := open(b, dsn), b.Context()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	text := func(s string) *string { return &s }
	check(s.CreateApplication(ctx, store.Application{Info: awsapi.ApplicationInfo{ApplicationName: text("app")}}))
	check(s.CreateGroup(ctx, store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: text("app"), DeploymentGroupName: text("g"), DeploymentGroupId: text("g"),
	}}))
	phase := deploy.Phase{Targets: make([]string, benchTargets)}
	for i := range phase.Targets {
		phase.Targets[i] = fmt.Sprintf("host-%04d.example.com", i)
	}
	check(s.CreateDeployment(ctx, store.Deployment{
		GroupID: "g", Info: awsapi.DeploymentInfo{DeploymentId: text("d-ABCDEF012")}, Plan: deploy.Plan{Phases: []deploy.Phase{phase}},
	}))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var loading, committing, reporting time.Duration
	for step := 0; b.Loop(); step++ {
		begin := time.Now()
		state, err := s.Load(ctx, "d-ABCDEF012")
		check(err)
		loading += time.Since(begin)
		begin = time.Now()
		check(s.Commit(ctx, store.Round{State: state, At: at, Decision: nextStep(state, step, at)}))
		committing += time.Since(begin)
		begin = time.Now()
		report(b, s, phase.Targets, at)
		reporting += time.Since(begin)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 / float64(b.N) }
	b.ReportMetric(ms(loading), "load-ms")
	b.ReportMetric(ms(committing), "commit-ms")
	b.ReportMetric(ms(reporting), "report-ms")
	b.ReportMetric(3*benchTargets*1e3/ms(reporting), "facts/s")
}

// nextStep settles what has ended and issues the next step to every target.
func nextStep(state deploy.State, step int, at time.Time) deploy.Decision {
	d := deploy.Decision{Status: deploy.InProgress}
	for _, w := range state.Work {
		d.Settle = append(d.Settle, deploy.Settle{ID: w.ID, Saw: w.Status, Status: w.Status})
	}
	for _, t := range state.Targets {
		d.Targets = append(d.Targets, deploy.TargetChange{ID: t.ID, Status: deploy.TargetInProgress, Step: step})
		d.Issue = append(d.Issue, deploy.Work{
			ID: deploy.WorkID(state.ID, 0, step, t.ID), Target: t.ID, Step: step, Event: "ValidateService",
			Status: deploy.WorkPending, IssuedAt: at, Due: at.Add(time.Hour), Timeout: time.Hour,
		})
	}
	return d
}

// report lets every host take, acknowledge and complete its command.
func report(b *testing.B, s *Store, hosts []string, at time.Time) {
	var done sync.WaitGroup
	for _, host := range hosts {
		done.Go(func() {
			c, err := s.HandOver(b.Context(), host, at, at)
			if err == nil {
				_, _, err = s.Acknowledge(b.Context(), c.ID, false, at)
			}
			if err == nil {
				err = s.Complete(b.Context(), c.ID, deploy.WorkSucceeded, deploy.Diagnostics{ErrorCode: "Success"}, at)
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
	done.Wait()
}
