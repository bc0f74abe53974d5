package planner

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/awsapi"
)

func tag(key, value string) awsapi.Tag { return awsapi.Tag{Key: &key, Value: &value} }

func keyAndValue(key, value string) awsapi.TagFilter {
	return awsapi.TagFilter{Key: &key, Value: &value, Type: awsapi.TagFilterTypeKeyAndValue}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	all := []Host{
		{Name: "web-2", Tags: []awsapi.Tag{tag("role", "web"), tag("env", "prod")}},
		{Name: "web-1", Tags: []awsapi.Tag{tag("role", "web"), tag("env", "test")}},
		{Name: "db-1", Tags: []awsapi.Tag{tag("role", "db"), tag("role", "cache"), tag("env", "prod")}},
		{Name: "bare", Tags: []awsapi.Tag{{Key: new("spare")}}},
		{Name: "none"},
	}
	filters := func(f ...awsapi.TagFilter) awsapi.DeploymentGroupInfo {
		return awsapi.DeploymentGroupInfo{OnPremisesInstanceTagFilters: f}
	}
	set := func(lists ...[]awsapi.TagFilter) awsapi.DeploymentGroupInfo {
		return awsapi.DeploymentGroupInfo{OnPremisesTagSet: &awsapi.OnPremisesTagSet{OnPremisesTagSetList: lists}}
	}
	web, db, prod := keyAndValue("role", "web"), keyAndValue("role", "db"), keyAndValue("env", "prod")
	tests := []struct {
		name  string
		group awsapi.DeploymentGroupInfo
		want  []string
	}{
		{"no filter selects nobody", filters(), nil},
		{"key and value", filters(web), []string{"web-1", "web-2"}},
		{"any of several filters", filters(db, web), []string{"db-1", "web-1", "web-2"}},
		{"key and value must be of one tag", filters(keyAndValue("env", "web")), nil},
		{"one key with two values", filters(keyAndValue("role", "cache")), []string{"db-1"}},
		{"case matters", filters(keyAndValue("role", "Web")), nil},
		{"the case of keys too", filters(keyAndValue("Role", "web")), nil},
		{"key only", filters(awsapi.TagFilter{Key: new("spare"), Type: awsapi.TagFilterTypeKeyOnly}), []string{"bare"}},
		{"value only", filters(awsapi.TagFilter{Value: new("prod"), Type: awsapi.TagFilterTypeValueOnly}), []string{"db-1", "web-2"}},
		{"the type follows from the members", filters(awsapi.TagFilter{Key: new("spare")}, awsapi.TagFilter{Value: new("test")}), []string{"bare", "web-1"}},
		{"a star", filters(keyAndValue("role", "*b")), []string{"db-1", "web-1", "web-2"}},
		{"a star is none in a key", filters(keyAndValue("*", "web")), nil},
		{"every list of a set", set([]awsapi.TagFilter{web, db}, []awsapi.TagFilter{prod}), []string{"db-1", "web-2"}},
		{"a set without lists selects nobody", set(), nil},
		{"an empty list is met by nobody", set([]awsapi.TagFilter{web}, nil), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, h := range Select(tt.group, all) {
				got = append(got, h.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, value string
		want           bool
	}{
		{"GRP-*a", "GRP-alpha", true},
		{"GRP-*a", "GRP-a", true},
		{"GRP-*a", "GRP-beth", false},
		{"GRP-*a", "grp-alpha", false},
		{"ab*ba", "aba", false}, // prefix and suffix may not share a character
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"**", "abc", true},
		{"*b*", "abc", true},
		{"*b*b*", "abc", false},
		{"a.c", "abc", false},
	} {
		if got := matches(tt.pattern, tt.value); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.pattern, tt.value, got)
		}
	}
}

// slowMatches tries every length for every star.
func slowMatches(pattern, value string) bool {
	if pattern == "" {
		return value == ""
	}
	if pattern[0] == '*' {
		return slowMatches(pattern[1:], value) || value != "" && slowMatches(pattern, value[1:])
	}
	return value != "" && value[0] == pattern[0] && slowMatches(pattern[1:], value[1:])
}

func TestMatchesAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{0,7}`).Draw(t, "pattern")
		value := rapid.StringMatching(`[ab]{0,9}`).Draw(t, "value")
		if got, want := matches(pattern, value), slowMatches(pattern, value); got != want {
			t.Fatalf("matches(%q, %q) = %v, want %v", pattern, value, got, want)
		}
	})
}

// slowSelects asks of one host, in nested loops, what service.md 4.1 says.
func slowSelects(g awsapi.DeploymentGroupInfo, h Host) bool {
	meets := func(list []awsapi.TagFilter) bool {
		for _, f := range list {
			for _, t := range h.Tags {
				key, value := *f.Key == *t.Key, slowMatches(*f.Value, *t.Value)
				if f.Type == awsapi.TagFilterTypeKeyOnly && key ||
					f.Type == awsapi.TagFilterTypeValueOnly && value ||
					f.Type == awsapi.TagFilterTypeKeyAndValue && key && value {
					return true
				}
			}
		}
		return false
	}
	if g.OnPremisesTagSet == nil {
		return meets(g.OnPremisesInstanceTagFilters)
	}
	met := 0
	for _, list := range g.OnPremisesTagSet.OnPremisesTagSetList {
		if meets(list) {
			met++
		}
	}
	return met > 0 && met == len(g.OnPremisesTagSet.OnPremisesTagSetList)
}

func TestSelectAgainstModel(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[abA]{1,2}`)
	filter := rapid.Custom(func(t *rapid.T) awsapi.TagFilter {
		return awsapi.TagFilter{
			Key:   new(word.Draw(t, "key")),
			Value: new(rapid.StringMatching(`[abA*]{0,2}`).Draw(t, "value")),
			Type: rapid.SampledFrom([]awsapi.TagFilterType{
				awsapi.TagFilterTypeKeyOnly, awsapi.TagFilterTypeValueOnly, awsapi.TagFilterTypeKeyAndValue,
			}).Draw(t, "type"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var g awsapi.DeploymentGroupInfo
		if rapid.Bool().Draw(t, "as a set") {
			lists := rapid.SliceOfN(rapid.SliceOfN(filter, 1, 3), 1, 3).Draw(t, "set")
			g.OnPremisesTagSet = &awsapi.OnPremisesTagSet{OnPremisesTagSetList: lists}
		} else {
			g.OnPremisesInstanceTagFilters = rapid.SliceOfN(filter, 0, 3).Draw(t, "filters")
		}
		var hosts []Host
		var want []string
		for _, name := range []string{"h1", "h2", "h3"} {
			h := Host{Name: name}
			for range rapid.IntRange(0, 3).Draw(t, "tags") {
				h.Tags = append(h.Tags, tag(word.Draw(t, "key"), word.Draw(t, "value")))
			}
			hosts = append(hosts, h)
			if slowSelects(g, h) {
				want = append(want, name)
			}
		}
		slices.Reverse(hosts)
		var got []string
		for _, h := range Select(g, hosts) {
			got = append(got, h.Name)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
