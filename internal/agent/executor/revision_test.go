package executor

import "testing"

// The table of agent.md 9.1.
//
// agent.md 16: 177
func TestSourceOfScripts(t *testing.T) {
	t.Parallel()
	normal := &Deployment{Creator: "user", Type: "IN_PLACE"}
	rollback := &Deployment{Creator: "codeDeployRollback", Type: "BLUE_GREEN"}
	for event, want := range map[string][2]origin{
		"BeforeBlockTraffic": {lastSuccessful, mostRecent},
		"AfterBlockTraffic":  {lastSuccessful, mostRecent},
		"ApplicationStop":    {lastSuccessful, lastSuccessful},
		"BeforeInstall":      {current, current},
		"AfterInstall":       {current, current},
		"ApplicationStart":   {current, current},
		"ValidateService":    {current, current},
		"BeforeAllowTraffic": {current, lastSuccessful},
		"AfterAllowTraffic":  {current, lastSuccessful},
		"Custom":             {current, current},
	} {
		if got := [2]origin{originOf(event, normal), originOf(event, rollback)}; got != want {
			t.Errorf("%s: normally and on rollback %v, want %v", event, got, want)
		}
	}
}
