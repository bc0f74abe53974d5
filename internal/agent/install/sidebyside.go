package install

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// mostAtOnce bounds how many calls of the kernel are made side by side. More than two for each processor only wait.
const mostAtOnce = 8

func atOnce() int { return min(mostAtOnce, 2*runtime.GOMAXPROCS(0)) }

// sideBySide calls do for ranges of n items, from low to high, several at a time. The first error, or the end of ctx, ends
// it before the next range.
func sideBySide(ctx context.Context, n int, do func(from, to int) error) error {
	const size = 32
	if n <= size {
		return do(0, n)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var hands sync.WaitGroup
	for range min(atOnce(), (n+size-1)/size) {
		hands.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(size)) - size
				if from >= n {
					return
				}
				if err := do(from, min(n, from+size)); err != nil {
					cancel(err)
				}
			}
		})
	}
	hands.Wait()
	return context.Cause(ctx)
}
