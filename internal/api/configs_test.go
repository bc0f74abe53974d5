package api_test

import (
	"strings"
	"testing"
)

// What typed clients do not send, and the order of errors.
func TestCustomConfigs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	n := 0
	config := func(name string, more fields, want string) refusal {
		n++
		in := fields{"deploymentConfigName": strings.Repeat("c", n)}
		for k, v := range more {
			in[k] = v
		}
		return refusal{name, "CreateDeploymentConfig", in, want}
	}
	hosts := func(kind string, value any) fields {
		return fields{"minimumHealthyHosts": fields{"type": kind, "value": value}}
	}
	traffic := func(platform string, routing fields) fields {
		return fields{"computePlatform": platform, "trafficRoutingConfig": routing}
	}
	linear := func(percent, minutes int) fields {
		return traffic("ECS", fields{"type": "TimeBasedLinear", "timeBasedLinear": fields{"linearPercentage": percent, "linearInterval": minutes}})
	}
	s.refuse([]refusal{
		config("hosts without value, as typed SDKs send 0", hosts("HOST_COUNT", nil), ""),
		config("three intervals", linear(30, 960), ""),
		config("no overflow", linear(1, 1<<31), "InvalidTrafficRoutingConfiguration"),
		config("at once with more", traffic("ECS", fields{"type": "AllAtOnce", "timeBasedLinear": fields{}}), "InvalidTrafficRoutingConfiguration"),
		config("no type", traffic("ECS", fields{}), "InvalidTrafficRoutingConfiguration"),
		config("unknown type", traffic("ECS", fields{"type": "Slowly"}), "InvalidTrafficRoutingConfiguration"),
		config("zones", fields{"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "zonalConfig": fields{"monitorDurationInSeconds": -1}}, "InvalidZonalDeploymentConfiguration"),
		config("zones", fields{"minimumHealthyHosts": fields{"type": "HOST_COUNT"}, "zonalConfig": fields{
			"minimumHealthyHostsPerZone": fields{"type": "FLEET_PERCENT", "value": 100}}}, "InvalidZonalDeploymentConfiguration"),
		config("the order of errors", fields{"computePlatform": "Mars", "minimumHealthyHosts": fields{"type": "MOST_CONCURRENCY"}}, "InvalidMinimumHealthyHostValue"),
		config("the order of errors", fields{"trafficRoutingConfig": fields{"type": "Slowly"}, "computePlatform": "Mars"}, "InvalidComputePlatform"),
		config("the order of errors", fields{"zonalConfig": fields{"monitorDurationInSeconds": -1}}, "InvalidZonalDeploymentConfiguration"),
	})
}
