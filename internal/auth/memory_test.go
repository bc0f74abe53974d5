package auth

import (
	"context"
	"slices"
	"sync"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// memory is a Store of maps.
type memory struct {
	store.Identities // what the tests do not call
	mu               sync.Mutex
	users            map[string]store.User
	keys             map[string]store.AccessKey
	hosts            map[string]store.Host // by ARN
	open             map[string][]store.Deployment
	reads            int // of access keys
}

func newMemory() *memory {
	return &memory{
		users: map[string]store.User{}, keys: map[string]store.AccessKey{}, hosts: map[string]store.Host{},
		open: map[string][]store.Deployment{},
	}
}

func find[T any](m *memory, rows map[string]T, key string) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := rows[key]
	if !ok {
		return row, store.ErrNotFound
	}
	return row, nil
}

func (m *memory) CreateUser(_ context.Context, u store.User) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[u.Name] = u
	return nil
}

func (m *memory) User(_ context.Context, name string) (store.User, error) {
	return find(m, m.users, name)
}

func (m *memory) CreateAccessKey(_ context.Context, k store.AccessKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.keys[k.ID]; ok {
		return store.ErrExists
	}
	m.keys[k.ID] = k
	return nil
}

func (m *memory) AccessKey(_ context.Context, id string) (store.AccessKey, error) {
	m.mu.Lock()
	m.reads++
	m.mu.Unlock()
	return find(m, m.keys, id)
}

func (m *memory) AccessKeys(_ context.Context, user string) ([]store.AccessKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []store.AccessKey
	for _, k := range m.keys {
		if k.User == user {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b store.AccessKey) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return found, nil
}

func (m *memory) SetAccessKeyActive(_ context.Context, user, id string, active bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[id]
	if !ok || k.User != user {
		return store.ErrNotFound
	}
	k.Active = active
	m.keys[id] = k
	return nil
}

func (m *memory) DeleteAccessKey(_ context.Context, user, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.keys[id]; !ok || k.User != user {
		return store.ErrNotFound
	}
	delete(m.keys, id)
	return nil
}

func (m *memory) HostByARN(_ context.Context, arn string) (store.Host, error) {
	return find(m, m.hosts, arn)
}

func (m *memory) OpenDeployments(_ context.Context, host string) ([]store.Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[host], nil
}

func (m *memory) RegisterHost(_ context.Context, h store.Host) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hosts[*h.Info.IamUserArn] = h
	return nil
}

func (m *memory) DeregisterHost(_ context.Context, name string, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for arn, h := range m.hosts {
		if *h.Info.InstanceName == name {
			delete(m.hosts, arn)
		}
	}
	return nil
}

func hostRow(name, arn string) store.Host {
	return store.Host{Info: awsapi.InstanceInfo{InstanceName: &name, IamUserArn: &arn}}
}
