package api_test

import (
	"fmt"
	"regexp"
	"testing"

	"grapnel/internal/awsapi"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func TestApplicationsComeAndGo(t *testing.T) {
	t.Parallel()
	s := serve(t)
	first := do[awsapi.CreateApplicationOutput](s, "CreateApplication", fields{"applicationName": "shop"})
	if !uuid.MatchString(*first.ApplicationId) {
		t.Errorf("A55: id %q", *first.ApplicationId)
	}
	do[fields](s, "CreateApplication", fields{"applicationName": "other", "computePlatform": "Lambda"})
	s.refuse([]refusal{
		{"A56", "CreateApplication", fields{"applicationName": "shop"}, "ApplicationAlreadyExists"},
		{"A59", "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "other"}, "ApplicationAlreadyExists"},
		{"rename to nothing", "UpdateApplication", fields{"applicationName": "shop"}, "ApplicationNameRequired"},
		{"rename to itself", "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "shop"}, ""},
		{"rename of none", "UpdateApplication", fields{"applicationName": "none", "newApplicationName": "some"}, "ApplicationDoesNotExist"},
		{"A61", "DeleteApplication", fields{"applicationName": "none"}, ""},
		{"A63", "BatchGetApplications", fields{"applicationNames": []string{"shop", "none"}}, "ApplicationDoesNotExist"},
		{"A64", "BatchGetApplications", fields{"applicationNames": names("a", 101)}, "BatchLimitExceeded"},
		{"empty batch", "BatchGetApplications", fields{"applicationNames": []string{}}, "ApplicationNameRequired"},
	})
	batch := do[awsapi.BatchGetApplicationsOutput](s, "BatchGetApplications", fields{"applicationNames": []string{"other", "shop"}})
	if got := *batch.ApplicationsInfo[0].ApplicationName; len(batch.ApplicationsInfo) != 2 || got != "other" {
		t.Errorf("batch: %v", batch)
	}
	do[fields](s, "DeleteApplication", fields{"applicationName": "shop"})
	second := do[awsapi.CreateApplicationOutput](s, "CreateApplication", fields{"applicationName": "shop"})
	if *second.ApplicationId == *first.ApplicationId {
		t.Error("A57: a new application has the id of the deleted one")
	}
}

// A58
func TestRenameTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	before := do[awsapi.GetApplicationOutput](s, "GetApplication", fields{"applicationName": "shop"}).Application
	id := s.deployment("v1.zip", nil)
	do[fields](s, "UpdateApplication", fields{"applicationName": "shop", "newApplicationName": "store"})

	after := do[awsapi.GetApplicationOutput](s, "GetApplication", fields{"applicationName": "store"}).Application
	s.equal("id", *after.ApplicationId, *before.ApplicationId)
	s.equal("groups", do[awsapi.ListDeploymentGroupsOutput](s, "ListDeploymentGroups", fields{"applicationName": "store"}).DeploymentGroups, []string{"prod"})
	s.equal("deployment", *s.info(id).ApplicationName, "store")
	if got := do[awsapi.ListApplicationRevisionsOutput](s, "ListApplicationRevisions", fields{"applicationName": "store"}).Revisions; len(got) != 1 {
		t.Errorf("revisions: %v", got)
	}
	s.refuse([]refusal{{"old name", "GetApplication", fields{"applicationName": "shop"}, "ApplicationDoesNotExist"}})
}

// A62
func TestDeleteTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop("web1")
	id := s.deployment("v1.zip", nil)
	do[fields](s, "DeleteApplication", fields{"applicationName": "shop"})
	s.refuse([]refusal{
		{"application", "GetApplication", fields{"applicationName": "shop"}, "ApplicationDoesNotExist"},
		{"deployment", "GetDeployment", fields{"deploymentId": id}, "DeploymentDoesNotExist"},
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
