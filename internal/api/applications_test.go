package api_test

import (
	"fmt"
	"testing"
)

func TestRenamesThatChangeNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop"})
	s.refuse([]refusal{
		{"to nothing", "UpdateApplication", fields{"applicationName": "shop"}, "ApplicationNameRequired"},
		{"to what is no name", "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "a/b"}, "InvalidApplicationName"},
		{"to itself", "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "shop"}, ""},
	})
}

// names returns n names in ascending order.
func names(stem string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%04d", stem, i)
	}
	return list
}
