package store

import (
	"context"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/planner"
)

// fleet is what Candidates reads.
type fleet interface {
	Hosts(ctx context.Context) ([]Host, error)
	GroupHealth(ctx context.Context, group string) ([]TargetHealth, error)
}

// Candidates returns every registered host with what the group with this id remembers of it, as a plan is made of them.
func Candidates(ctx context.Context, s fleet, group string) ([]planner.Host, error) {
	registered, err := s.Hosts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	remembered, err := s.GroupHealth(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("load the health of the group's hosts: %w", err)
	}
	health := make(map[string]TargetHealth, len(remembered))
	for _, h := range remembered {
		health[h.Target] = h
	}
	var candidates []planner.Host
	for _, h := range registered {
		if !h.Info.DeregisterTime.IsZero() {
			continue
		}
		name := awsapi.Value(h.Info.InstanceName)
		known := health[name]
		candidates = append(candidates, planner.Host{Name: name, Tags: h.Info.Tags, Healthy: known.Healthy, RevisionKey: known.RevisionKey})
	}
	return candidates, nil
}
