package identity

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"grapnel/internal/agent/config"
)

// fipsRegions are where AWS has FIPS endpoints of the command service (agent.md 2).
var fipsRegions = []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-west-1", "us-gov-east-1"}

// partition is a part of AWS that has a name in ARNs and a domain of its own.
type partition struct{ prefix, name, domain string }

// partitions by the prefix of their regions (agent.md 3.3), the last for every other region. Instance metadata wins, which
// knows of partitions that are not listed here.
var partitions = []partition{
	{"cn-", "aws-cn", "amazonaws.com.cn"},
	{"eusc-", "aws-eusc", "amazonaws.eu"},
	{"us-gov-", "aws-us-gov", "amazonaws.com"},
	{"", "aws", "amazonaws.com"},
}

func partitionOf(region string) partition {
	return partitions[slices.IndexFunc(partitions, func(p partition) bool { return strings.HasPrefix(region, p.prefix) })]
}

// validRegion keeps what is no name of a region out of the names of hosts that keys are sent to.
var validRegion = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)

// locate finds the services of the region: what is overridden wins over what is computed (agent.md 3.3, 3.4).
func (id *Identity) locate(cfg config.Config) error {
	if !validRegion.MatchString(id.Region) {
		return fmt.Errorf("%q is no name of a region, such as us-east-1; correct it in %s or %s", id.Region, cfg.OnPremisesConfigFile, regionVariable)
	}
	command, s3 := "codedeploy-commands", "s3"
	if cfg.EnableAuthPolicy {
		command += "-secure"
	}
	if cfg.UseFIPSMode {
		if !slices.Contains(fipsRegions, id.Region) {
			return fmt.Errorf("use_fips_mode is set, but region %s has no FIPS endpoint; set it to false, or move to one of %s",
				id.Region, strings.Join(fipsRegions, ", "))
		}
		command, s3 = command+"-fips", s3+"-fips"
	}
	usual := partitionOf(id.Region)
	id.Partition, id.Domain = cmp.Or(id.Partition, usual.name), cmp.Or(id.Domain, usual.domain)
	host := "." + id.Region + "." + id.Domain
	id.CommandEndpoint = cmp.Or(cfg.DeployControlEndpoint, "https://"+command+host)
	id.S3Endpoint = cmp.Or(cfg.S3EndpointOverride, "https://"+s3+host)
	return nil
}
