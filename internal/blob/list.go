package blob

import (
	"slices"
	"strings"
)

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

// VersionQuery selects a page of a listing of versions.
type VersionQuery struct {
	Query               // Max counts versions and prefixes together
	AfterVersion string // of the key Query.After, list the versions after (older than) this one; "" for none of them
}

// VersionPage is a part of a listing of versions.
type VersionPage struct {
	Versions          []Object // delete markers among them
	Prefixes          []string
	Next, NextVersion string // Query.After and AfterVersion of the next page; Next is "" on the last
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
		prefix, rolled := q.RollUp(key)
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

// SelectVersions applies a query to the sorted keys of a bucket. versions returns those of a key, the newest first.
func SelectVersions(sorted []string, q VersionQuery, versions func(key string) ([]Object, error)) (VersionPage, error) {
	var page VersionPage
	var last, lastVersion string // entry that the page ends with
	full := func() bool {
		if len(page.Versions)+len(page.Prefixes) < q.Max {
			return false
		}
		page.Next, page.NextVersion = last, lastVersion
		return true
	}
	for _, key := range sorted {
		within := key == q.After && q.AfterVersion != ""
		if !strings.HasPrefix(key, q.Prefix) || key <= q.After && !within {
			continue
		}
		if prefix, rolled := q.RollUp(key); rolled {
			if prefix == q.After || prefix == last {
				continue
			}
			if full() {
				return page, nil
			}
			page.Prefixes = append(page.Prefixes, prefix)
			last, lastVersion = prefix, ""
			continue
		}
		all, err := versions(key)
		if err != nil {
			return page, err
		}
		if within {
			all = after(all, q.AfterVersion)
		}
		for _, v := range all {
			if full() {
				return page, nil
			}
			page.Versions = append(page.Versions, v)
			last, lastVersion = key, v.Version
		}
	}
	return page, nil
}

// after returns the versions behind the one with the id. If that has been deleted meanwhile, as one does who empties a
// bucket page by page, all that are left are still to come.
func after(versions []Object, id string) []Object {
	i := slices.IndexFunc(versions, func(v Object) bool { return v.Version == id })
	return versions[i+1:]
}

// RollUp returns the common prefix that stands for the key, if any does.
func (q Query) RollUp(key string) (string, bool) {
	rest, within := strings.CutPrefix(key, q.Prefix)
	i := strings.Index(rest, q.Delimiter)
	if !within || q.Delimiter == "" || i < 0 {
		return "", false
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)], true
}
