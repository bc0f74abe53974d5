package api

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// rate returns how many calls a second the clients make, each as fast as it can.
func rate(b *testing.B, fn call) float64 {
	b.Helper()
	counts := make([]int, clients)
	began := time.Now()
	end := began.Add(span)
	var group errgroup.Group
	for client := range clients {
		group.Go(func() error {
			for time.Now().Before(end) {
				if err := fn(context.Background()); err != nil {
					return err
				}
				counts[client]++
			}
			return nil
		})
	}
	check(b, group.Wait())
	took := time.Since(began)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / took.Seconds()
}

// p99 returns the time that 99 of 100 calls take at most, at a given load. A call counts from when it was due, not from when
// a client was free to make it: a server that stops for a moment makes all of them late that should have come meanwhile.
func p99(b *testing.B, fn call, load int) time.Duration {
	b.Helper()
	pause := time.Second * clients / time.Duration(load) // between two calls of one client
	times := make([][]time.Duration, clients)
	began := time.Now().Add(pause)
	var group errgroup.Group
	for client := range clients {
		group.Go(func() error {
			due := began.Add(pause * time.Duration(client) / clients)
			for ; due.Before(began.Add(span)); due = due.Add(pause) {
				time.Sleep(time.Until(due))
				if err := fn(context.Background()); err != nil {
					return err
				}
				times[client] = append(times[client], time.Since(due))
			}
			return nil
		})
	}
	check(b, group.Wait())
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	return all[len(all)*99/100]
}

// figures are the results of several rounds.
type figures []float64

func (f *figures) add(v float64) { *f = append(*f, v) }

func (f figures) sorted() []float64 { return slices.Sorted(slices.Values(f)) }

func (f figures) median() float64 { return f.sorted()[len(f)/2] }

// String is the median with the least and the most, in whole numbers.
func (f figures) String() string { return f.print("%.0f (%.0f-%.0f)") }

// precise is String with one digit after the point.
func (f figures) precise() string { return f.print("%.1f (%.1f-%.1f)") }

func (f figures) print(form string) string {
	if len(f) == 0 {
		return "not measured"
	}
	all := f.sorted()
	return fmt.Sprintf(form, f.median(), all[0], all[len(all)-1])
}

// ratio is how many times the other's median this one is.
func (f figures) ratio(other figures) string {
	if len(other) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", f.median()/other.median())
}
