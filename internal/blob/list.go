package blob

import "strings"

// Query selects a page of a listing.
type Query struct {
	Prefix    string // only keys that begin with it
	Delimiter string // keys that have it after the prefix are rolled up to where it first ends; "" for no roll-up
	After     string // only what comes after this key or rolled-up prefix
	Max       int    // entries of the page, keys and prefixes together
}

// Page is a part of a listing.
type Page struct {
	Objects  []Object
	Prefixes []string // rolled up by the delimiter
	Next     string   // Query.After of the next page; "" on the last
}

// Keys is a page before its objects are looked at.
type Keys struct {
	Keys     []string
	Prefixes []string
	Next     string
}

// Select applies a query to the sorted keys of a bucket, for providers that have these at hand.
func Select(sorted []string, q Query) Keys {
	var page Keys
	var last string // entry that the page ends with
	for _, key := range sorted {
		if !strings.HasPrefix(key, q.Prefix) || key <= q.After {
			continue
		}
		prefix, rolled := q.rollUp(key)
		if rolled && (prefix == q.After || prefix == last) {
			continue // handed out on the page before, or just now
		}
		if len(page.Keys)+len(page.Prefixes) >= q.Max {
			page.Next = last
			break
		}
		if rolled {
			page.Prefixes = append(page.Prefixes, prefix)
			last = prefix
		} else {
			page.Keys = append(page.Keys, key)
			last = key
		}
	}
	return page
}

// rollUp returns the common prefix that stands for the key, if any does.
func (q Query) rollUp(key string) (string, bool) {
	if q.Delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)], true
}
