package api_test

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	long := strings.Repeat("n", 100)
	tests := []refusal{
		{"V25 absent", "GetApplication", fields{}, "ApplicationNameRequired"},
		{"V25 null", "GetApplication", fields{"applicationName": nil}, "ApplicationNameRequired"},
		{"V25 empty", "GetApplication", fields{"applicationName": ""}, "ApplicationNameRequired"},
		{"V26 100 characters", "CreateApplication", fields{"applicationName": long}, ""},
		{"V26 101 characters", "CreateApplication", fields{"applicationName": long + "n"}, "InvalidApplicationName"},
		{"V28", "CreateApplication", fields{"applicationName": "a+=,@-_.Z9"}, ""},
		{"V29 group", "GetDeploymentGroup", fields{"applicationName": "shop", "deploymentGroupName": "no/such"}, "InvalidDeploymentGroupName"},
		{"V29 config", "GetDeploymentConfig", fields{"deploymentConfigName": "no such"}, "InvalidDeploymentConfigName"},
		{"V30", "GetDeploymentGroup", fields{"applicationName": "none", "deploymentGroupName": "none"}, "ApplicationDoesNotExist"},
		{"group name absent", "GetDeploymentGroup", fields{"applicationName": "shop"}, "DeploymentGroupNameRequired"},
		{"config name absent", "GetDeploymentConfig", fields{}, "DeploymentConfigNameRequired"},
		{"V32 absent", "GetDeployment", fields{}, "DeploymentIdRequired"},
		{"V32 form", "GetDeployment", fields{"deploymentId": "d-abc"}, "InvalidDeploymentId"},
		{"V33", "GetDeployment", fields{"deploymentId": "d-ABCDEF123"}, "DeploymentDoesNotExist"},
		{"V35", "CreateApplication", fields{"applicationName": "x", "computePlatform": "server"}, "InvalidComputePlatform"},
		{"P161", "GetOnPremisesInstance", fields{"instanceName": "i-0123"}, "InvalidInstanceName"},
		{"host name absent", "GetOnPremisesInstance", fields{}, "InstanceNameRequired"},
		{"V34 256", "RegisterApplicationRevision", fields{
			"applicationName": "shop", "revision": bundle("a"), "description": strings.Repeat("ü", 256)}, ""},
		{"V34 257", "RegisterApplicationRevision", fields{
			"applicationName": "shop", "revision": bundle("a"), "description": strings.Repeat("d", 257)}, "DescriptionTooLong"},
	}
	for _, bad := range []string{"a b", "a/b", "a:b", "ä", "a\n"} { // V27
		tests = append(tests, refusal{"V27 " + bad, "GetApplication", fields{"applicationName": bad}, "InvalidApplicationName"})
	}
	s.refuse(tests)
}

// V31: tools cut the name out of the message's end.
func TestNotFoundMessagesEndWithTheName(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.shop()
	for _, tt := range []refusal{
		{"none", "GetApplication", fields{"applicationName": "none"}, ""},
		{"none", "GetDeploymentGroup", fields{"applicationName": "shop", "deploymentGroupName": "none"}, ""},
		{"none", "GetDeploymentConfig", fields{"deploymentConfigName": "none"}, ""},
		{"none", "GetOnPremisesInstance", fields{"instanceName": "none"}, ""},
	} {
		if _, message := s.call(tt.operation, tt.in, nil); !strings.HasSuffix(message, " found for name: "+tt.name) {
			t.Errorf("%s: %q", tt.operation, message)
		}
	}
}
