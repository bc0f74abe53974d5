package iam

import (
	"context"
	"strings"
)

const (
	defaultPage = 100 // items, as on AWS
	maxPage     = 1000
)

// paging is the part of a request that says which page of a list is wanted. A marker is the key of the last item of the
// page before, so that a list which changes in between neither repeats nor skips what stays.
type paging struct {
	marker string
	size   int
}

func newPaging(marker string, maxItems *int) (paging, error) {
	p := paging{marker: marker, size: defaultPage}
	if maxItems != nil {
		p.size = *maxItems
	}
	if p.size < 1 || p.size > maxPage {
		return paging{}, invalid("MaxItems must be between 1 and %d, got %d", maxPage, p.size)
	}
	return p, nil
}

// cut returns the page of items, which are in the order of their keys, and the marker of the next page, "" on the last.
func cut[T any](items []T, key func(T) string, p paging) (page []T, next string) {
	for len(items) > 0 && key(items[0]) <= p.marker {
		items = items[1:]
	}
	if len(items) <= p.size {
		return items, ""
	}
	return items[:p.size], key(items[p.size-1])
}

// below returns a page of what list returns, in the order of names: those items whose path begins with prefix.
func below[T any](
	ctx context.Context, list func(ctx context.Context, after string, limit int) ([]T, error), of func(T) (path, name string),
	prefix string, p paging,
) (page []T, next string, err error) {
	name := func(item T) string { _, name := of(item); return name }
	var found []T
	for after := p.marker; ; {
		batch, err := list(ctx, after, p.size+1)
		if err != nil {
			return nil, "", err
		}
		for _, item := range batch {
			if path, _ := of(item); strings.HasPrefix(path, prefix) {
				found = append(found, item)
			}
		}
		if len(batch) <= p.size || len(found) > p.size {
			page, next = cut(found, name, p)
			return page, next, nil
		}
		after = name(batch[len(batch)-1])
	}
}
