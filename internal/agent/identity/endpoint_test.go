package identity

import (
	"slices"
	"strings"
	"testing"

	"grapnel/internal/agent/config"
)

// agent.md 16: 63-67
func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		region      string
		cfg         config.Config
		command, s3 string
	}{
		{"us-east-1", config.Config{}, "https://codedeploy-commands.us-east-1.amazonaws.com", "https://s3.us-east-1.amazonaws.com"},
		{"us-east-1", config.Config{UseFIPSMode: true}, "https://codedeploy-commands-fips.us-east-1.amazonaws.com", "https://s3-fips.us-east-1.amazonaws.com"},
		{"us-gov-west-1", config.Config{UseFIPSMode: true}, "https://codedeploy-commands-fips.us-gov-west-1.amazonaws.com", "https://s3-fips.us-gov-west-1.amazonaws.com"},
		{"eu-west-1", config.Config{EnableAuthPolicy: true}, "https://codedeploy-commands-secure.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"},
		{"us-east-2", config.Config{EnableAuthPolicy: true, UseFIPSMode: true}, "https://codedeploy-commands-secure-fips.us-east-2.amazonaws.com", "https://s3-fips.us-east-2.amazonaws.com"},
		{"cn-north-1", config.Config{}, "https://codedeploy-commands.cn-north-1.amazonaws.com.cn", "https://s3.cn-north-1.amazonaws.com.cn"},
		{"cn-northwest-1", config.Config{}, "https://codedeploy-commands.cn-northwest-1.amazonaws.com.cn", "https://s3.cn-northwest-1.amazonaws.com.cn"},
		{"eusc-de-east-1", config.Config{}, "https://codedeploy-commands.eusc-de-east-1.amazonaws.eu", "https://s3.eusc-de-east-1.amazonaws.eu"},
		{"mars", config.Config{DeployControlEndpoint: "http://127.0.0.1:8700", S3EndpointOverride: "https://store.example:9000/s3"}, "http://127.0.0.1:8700", "https://store.example:9000/s3"},
		{"us-west-1", config.Config{DeployControlEndpoint: "https://deploy.example", UseFIPSMode: true, EnableAuthPolicy: true}, "https://deploy.example", "https://s3-fips.us-west-1.amazonaws.com"},
		{"us-west-1", config.Config{S3EndpointOverride: "https://store.example", UseFIPSMode: true}, "https://codedeploy-commands-fips.us-west-1.amazonaws.com", "https://store.example"},
	} {
		id := Identity{Region: test.region}
		if err := id.locate(test.cfg); err != nil || id.CommandEndpoint != test.command || id.S3Endpoint != test.s3 {
			t.Errorf("%s, %+v: %q and %q, %v; want %q and %q", test.region, test.cfg, id.CommandEndpoint, id.S3Endpoint, err, test.command, test.s3)
		}
	}
}

// agent.md 16: 49
func TestFIPSRegions(t *testing.T) {
	t.Parallel()
	with := []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-west-1", "us-gov-east-1"}
	for _, region := range append(slices.Clone(with), "eu-west-1", "ca-central-1", "cn-north-1", "us-iso-east-1") {
		for _, override := range []string{"", "https://deploy.example"} {
			id := Identity{Region: region}
			err := id.locate(config.Config{UseFIPSMode: true, DeployControlEndpoint: override})
			if slices.Contains(with, region) != (err == nil) {
				t.Errorf("%s: %v", region, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "use_fips_mode") || !strings.Contains(err.Error(), region)) {
				t.Errorf("error = %v, want the setting and the region named", err)
			}
		}
	}
}

// A region's prefix tells the partition of ARNs and the domain where metadata does not.
func TestPartitions(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-east-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc", "us-east-1": "aws",
	} {
		if got := partitionOf(region).name; got != want {
			t.Errorf("%s is of partition %s, want %s", region, got, want)
		}
	}
	id := Identity{Region: "us-iso-east-1", Partition: "aws-iso", Domain: "c2s.ic.gov"}
	if err := id.locate(config.Config{}); err != nil || id.CommandEndpoint != "https://codedeploy-commands.us-iso-east-1.c2s.ic.gov" || id.Partition != "aws-iso" {
		t.Errorf("what metadata told is overwritten: %+v, %v", id, err)
	}
}
