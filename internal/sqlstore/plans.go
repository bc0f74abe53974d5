package sqlstore

import (
	"sync"

	"grapnel/internal/deploy"
)

// maxPlans bounds the memory of decoded plans: one of thousands of targets takes some hundred kilobytes.
const maxPlans = 64

// plans remembers decoded plans. They are frozen, so a copy cannot go stale, and every round of a deployment needs one.
// What it returns is shared: nobody may change it.
type plans struct {
	mu    sync.Mutex
	byID  map[string]deploy.Plan
	order []string // oldest first
}

func newPlans() *plans { return &plans{byID: make(map[string]deploy.Plan)} }

func (p *plans) get(id string) (deploy.Plan, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan, ok := p.byID[id]
	return plan, ok
}

func (p *plans) put(id string, plan deploy.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byID[id]; !ok {
		p.order = append(p.order, id)
	}
	p.byID[id] = plan
	if len(p.order) > maxPlans {
		delete(p.byID, p.order[0])
		p.order = p.order[1:]
	}
}

// load returns the plan of a deployment that exists.
func (p *plans) load(t *tx, id string) (deploy.Plan, error) {
	if plan, ok := p.get(id); ok {
		return plan, nil
	}
	plan, err := one(t, func(row scanner) (deploy.Plan, error) {
		var plan deploy.Plan
		err := row.Scan(document{&plan})
		return plan, err
	}, `SELECT plan FROM deployments WHERE id = $1`, id)
	if err == nil {
		p.put(id, plan)
	}
	return plan, err
}
