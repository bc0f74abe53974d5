package api_test

import (
	"strings"
	"testing"

	"grapnel/internal/api"
)

// Limits are given by name, one or several at a time; what is wrong is answered with what could be given.
func TestLimitsAreSet(t *testing.T) {
	t.Parallel()
	var l api.Limits
	for _, setting := range []string{"applications=5", "alarms=3, triggers=4", "applications=6"} {
		if err := l.Set(setting); err != nil {
			t.Error(err)
		}
	}
	if l.Applications != 6 || l.Alarms != 3 || l.Triggers != 4 || l.String() != "applications=6,triggers=4,alarms=3" {
		t.Errorf("got %q in %+v", l.String(), l)
	}
	q := l.Quotas()
	if q.Applications != 6 || q.Groups != 1000 || q.Configs != 200 || q.Deployments != 1000 || q.Targets != 1000 {
		t.Errorf("quotas: %+v", q)
	}
	for setting, want := range map[string]string{
		"hosts=5":           "batch-instances=25", // one of the list of all
		"applications":      "applications=1000",
		"applications=0":    "from 1 on",
		"applications=many": "from 1 on",
		"":                  "github-tokens=25",
	} {
		if err := l.Set(setting); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", setting, err, want)
		}
	}
}
