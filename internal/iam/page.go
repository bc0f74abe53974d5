package iam

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
