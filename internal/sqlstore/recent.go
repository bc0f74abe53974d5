package sqlstore

import "sync"

// maxRecent bounds what one recent holds.
const maxRecent = 1024

// recent remembers what was read until anything at all is written: clients that wait for a deployment ask for it again and
// again, and between two writes the answer is the same. What it returns is shared: nobody may change it.
//
// Only a database whose writes all pass through this process can tell that nothing was written, see database.written.
type recent[K comparable, V any] struct {
	mu     sync.Mutex
	at     uint64 // the count of writes that values are good for
	values map[K]V
}

// recall returns what is remembered under the key, or else what read returns. A write that ends while read runs leaves
// behind a value that is never asked for: by then the count is another.
func recall[K comparable, V any](db database, r *recent[K, V], key K, read func() (V, error)) (V, error) {
	at, known := db.written()
	if !known {
		return read()
	}
	if v, ok := r.get(at, key); ok {
		return v, nil
	}
	v, err := read()
	if err == nil {
		r.put(at, key, v)
	}
	return v, err
}

func (r *recent[K, V]) get(at uint64, key K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == at {
		v, ok = r.values[key]
	}
	return v, ok
}

func (r *recent[K, V]) put(at uint64, key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at < r.at {
		return // read before a write that others have seen already
	}
	if at > r.at || r.values == nil || len(r.values) >= maxRecent {
		r.at, r.values = at, make(map[K]V)
	}
	r.values[key] = v
}
