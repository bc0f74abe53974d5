package planner

import (
	"cmp"
	"slices"
	"strings"

	"grapnel/internal/awsapi"
)

// Select returns the hosts that the group's on-premises tag filters match (service.md 4.1), by name. A group has either
// filters, of which any must match, or a tag set, of which any filter in every list must match.
func Select(g awsapi.DeploymentGroupInfo, hosts []Host) []Host {
	var found []Host
	for _, h := range hosts {
		if anyFilter(g.OnPremisesInstanceTagFilters, h) || everyList(g.OnPremisesTagSet, h) {
			found = append(found, h)
		}
	}
	slices.SortFunc(found, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

func anyFilter(filters []awsapi.TagFilter, h Host) bool {
	return slices.ContainsFunc(filters, func(f awsapi.TagFilter) bool {
		return slices.ContainsFunc(h.Tags, func(t awsapi.Tag) bool { return fits(f, t) })
	})
}

// everyList reports whether the host meets each list of a tag set. A set without lists selects nothing.
func everyList(set *awsapi.OnPremisesTagSet, h Host) bool {
	if set == nil || len(set.OnPremisesTagSetList) == 0 {
		return false
	}
	return !slices.ContainsFunc(set.OnPremisesTagSetList, func(list []awsapi.TagFilter) bool { return !anyFilter(list, h) })
}

// fits reports whether a filter matches one tag. A filter without a type is of the type that its members make it.
func fits(f awsapi.TagFilter, t awsapi.Tag) bool {
	kind := f.Type
	if kind == "" {
		kind = filterType(f)
	}
	key := awsapi.Value(f.Key) == awsapi.Value(t.Key)
	value := matches(awsapi.Value(f.Value), awsapi.Value(t.Value))
	switch kind {
	case awsapi.TagFilterTypeKeyOnly:
		return key
	case awsapi.TagFilterTypeValueOnly:
		return value
	default:
		return key && value
	}
}

func filterType(f awsapi.TagFilter) awsapi.TagFilterType {
	switch {
	case f.Value == nil:
		return awsapi.TagFilterTypeKeyOnly
	case f.Key == nil:
		return awsapi.TagFilterTypeValueOnly
	default:
		return awsapi.TagFilterTypeKeyAndValue
	}
}

// matches compares a value with a pattern in which each "*" stands for any text. Pieces between stars are taken at their
// first place, so the time is bounded by the product of the lengths, never exponential.
func matches(pattern, value string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return pattern == value
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	rest, ok := strings.CutPrefix(value, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, piece := range pieces[1 : len(pieces)-1] {
		if _, rest, ok = strings.Cut(rest, piece); !ok {
			return false
		}
	}
	return true
}
