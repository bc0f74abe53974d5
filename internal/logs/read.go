package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

const (
	// maxWait is the longest that a request is held.
	maxWait = 20 * time.Second
	// lookAgain is how often a held request looks by itself: another server on the same store rings no bell here.
	lookAgain = time.Second
	// maxReply is how many chunks one reply has at most: about a megabyte.
	maxReply = 128
)

// GetDeploymentLog answers with the next part of a deployment's log, waiting for it when there is none and the caller wants
// to wait.
func (s *Service) GetDeploymentLog(ctx context.Context, in *awsapi.GetDeploymentLogInput) (*awsapi.GetDeploymentLogOutput, error) {
	filter, err := s.filter(ctx, in)
	if err != nil {
		return nil, err
	}
	wait := min(time.Duration(max(in.WaitMilliseconds, 0))*time.Millisecond, maxWait)
	chunks, err := s.next(ctx, filter, wait)
	if err != nil {
		return nil, err
	}
	out := &awsapi.GetDeploymentLogOutput{After: in.After, Chunks: []awsapi.LogChunk{}}
	for _, c := range chunks {
		out.After = c.Place
		out.Chunks = append(out.Chunks, s.shown(c))
	}
	return out, nil
}

func (s *Service) filter(ctx context.Context, in *awsapi.GetDeploymentLogInput) (store.LogFilter, error) {
	id := awsapi.Value(in.DeploymentId)
	if id == "" {
		return store.LogFilter{}, awsjson.Errorf(awsapi.DeploymentIdRequiredException, "deploymentId is missing; give it a value.")
	}
	if err := s.authorize(ctx, id); err != nil {
		return store.LogFilter{}, err
	}
	if in.After < 0 {
		return store.LogFilter{}, awsjson.Errorf(awsapi.InvalidInputException, "after is %d; it must be what the last reply had, or 0.", in.After)
	}
	if in.After == 0 {
		if err := s.exists(ctx, id); err != nil {
			return store.LogFilter{}, err
		}
	}
	return store.LogFilter{
		Deployment: id, After: in.After, Target: awsapi.Value(in.Host), Event: awsapi.Value(in.Event), Limit: maxReply,
	}, nil
}

// exists tells a reader who begins that there is no such deployment.
func (s *Service) exists(ctx context.Context, deployment string) error {
	_, err := s.store.Deployment(ctx, deployment)
	if errors.Is(err, store.ErrNotFound) {
		return awsjson.Errorf(awsapi.DeploymentDoesNotExistException, "The deployment %s does not exist; list-deployments shows those that do.", deployment)
	}
	return err
}

// next returns what the filter selects, as soon as there is something. It listens before it looks, so that nothing that is
// stored in between is missed.
func (s *Service) next(ctx context.Context, f store.LogFilter, wait time.Duration) ([]store.LogChunk, error) {
	s.bells.Join(f.Deployment)
	defer s.bells.Leave(f.Deployment)
	end := time.NewTimer(wait)
	defer end.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for last := wait == 0; ; {
		rung := s.bells.Listen(f.Deployment)
		chunks, err := s.store.LogChunks(ctx, f)
		if err != nil || len(chunks) > 0 || last {
			return chunks, err
		}
		select {
		case <-rung:
		case <-again.C:
		case <-end.C:
			last = true
		case <-s.stopped:
			last = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// shown is a chunk as readers get it.
func (s *Service) shown(c store.LogChunk) awsapi.LogChunk {
	lines := c.Lines
	if c.Cut {
		lines = []awsapi.LogLine{{Text: fmt.Sprintf("… the output ends here: the server keeps at most %d MiB of an event and %d MiB of a deployment; "+
			"scripts.log on the host has the rest", s.limits.Work>>20, s.limits.Deployment>>20)}}
	}
	return awsapi.LogChunk{Host: c.Target, Event: c.Event, Lines: lines}
}
