package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Config is the agent's configuration file (agent.md 2). Keys of the file that are not served have no field.
type Config struct {
	ProgramName               string // file-name prefix of log and pid file
	LogDir                    string
	PIDDir                    string
	RootDir                   string // deployment root
	Verbose                   bool
	WaitBetweenRuns           time.Duration // least time between the starts of two polls that brought nothing
	HTTPReadTimeout           time.Duration // must exceed the time the service holds a poll
	MaxRevisions              int           // deployments kept per group, the current one included
	OnPremisesConfigFile      string
	ProxyURI                  string // may hold user:password, so never log it
	UseFIPSMode               bool
	DeployControlEndpoint     string // full URL instead of the one computed from the region
	S3EndpointOverride        string
	EnableAuthPolicy          bool
	EnableDeploymentsLog      bool
	OngoingDeploymentTracking string // name of the folder of tracking files
	KillAgentMaxWait          time.Duration
	ArchiveMaxExtractionSize  int64 // bytes, 0 = no limit

	// CAFile is a PEM file of certificate authorities that are trusted besides the system's: an extension.
	CAFile string
	// SpecificationSigner is the SHA-256 of the DER form of the certificate that must have signed a specification, in
	// lower-case hex; "" accepts any signer, as stock agents do: an extension.
	SpecificationSigner string
}

// Where the configuration file is looked for (agent.md 1.1).
var configPaths = []string{
	"/etc/codedeploy-agent/conf/codedeployagent.yml",
	"/opt/codedeploy-agent/conf/codedeployagent.yml",
}

// DefaultConfig returns what holds without a configuration file.
func DefaultConfig() Config {
	return Config{
		ProgramName:               "codedeploy-agent",
		LogDir:                    "/var/log/aws/codedeploy-agent",
		PIDDir:                    "/opt/codedeploy-agent/state/.pid",
		RootDir:                   "/opt/codedeploy-agent/deployment-root",
		WaitBetweenRuns:           30 * time.Second,
		HTTPReadTimeout:           80 * time.Second,
		MaxRevisions:              5,
		OnPremisesConfigFile:      "/etc/codedeploy-agent/conf/codedeploy.onpremises.yml",
		EnableDeploymentsLog:      true,
		OngoingDeploymentTracking: "ongoing-deployment",
		KillAgentMaxWait:          2 * time.Hour,
	}
}

// LoadConfig reads the configuration file at path, or with "" the first that exists at the usual places, or else the
// defaults. The warnings are for the agent's log.
func LoadConfig(path string) (c Config, warnings []string, err error) {
	if path == "" {
		path = usualConfig()
	}
	c = DefaultConfig()
	if path == "" {
		return c, nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil, fmt.Errorf("configuration file %s does not exist; name another with --config-file", path)
	} else if err != nil {
		return Config{}, nil, fmt.Errorf("cannot read the configuration file: %w", err)
	}
	if warnings, err = c.read(data); err == nil {
		err = c.check(&warnings)
	}
	if err != nil {
		return Config{}, nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	return c, warnings, nil
}

func usualConfig() string {
	for _, path := range configPaths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// A setting stores the value of one key.
type setting func(value string) error

// settings says what each key of the file sets.
func (c *Config) settings() map[string]setting {
	return map[string]setting{
		"program_name":                     text(&c.ProgramName),
		"log_dir":                          text(&c.LogDir),
		"pid_dir":                          text(&c.PIDDir),
		"root_dir":                         text(&c.RootDir),
		"verbose":                          boolean(&c.Verbose),
		"wait_between_runs":                seconds(&c.WaitBetweenRuns),
		"http_read_timeout":                seconds(&c.HTTPReadTimeout),
		"max_revisions":                    count(&c.MaxRevisions),
		"on_premises_config_file":          text(&c.OnPremisesConfigFile),
		"proxy_uri":                        text(&c.ProxyURI),
		"use_fips_mode":                    boolean(&c.UseFIPSMode),
		"deploy_control_endpoint":          text(&c.DeployControlEndpoint),
		"s3_endpoint_override":             text(&c.S3EndpointOverride),
		"enable_auth_policy":               boolean(&c.EnableAuthPolicy),
		"enable_deployments_log":           boolean(&c.EnableDeploymentsLog),
		"ongoing_deployment_tracking":      text(&c.OngoingDeploymentTracking),
		"kill_agent_max_wait_time_seconds": seconds(&c.KillAgentMaxWait),
		"archive_max_extraction_size":      size(&c.ArchiveMaxExtractionSize),
		"ca_file":                          text(&c.CAFile),
		"specification_signer_sha256":      fingerprint(&c.SpecificationSigner),
	}
}

// withoutEffect are keys of stock configuration files that mean nothing to this agent (agent.md 2): it has no child
// processes, no metadata client yet, and nothing that logs requests.
var withoutEffect = []string{
	"wait_after_error", "wait_after_throttle_error", "wait_after_connection_problem", "children", "max_runs_per_worker",
	"codedeploy_test_profile", "enable_command_port", "enable_archive_reuse", "disable_core_dumps", "disable_imds_v1",
	"log_aws_wire", "user", "group", "disable_powershell_profile_in_hooks",
}

// notYetServed are the hardening flags (agent.md 15). Someone who sets one counts on its protection, so it must not be
// passed over in silence.
var notYetServed = []string{
	"reject_symlinks_in_bundle", "reject_path_traversal_in_bundle", "reject_unsafe_permissions_in_bundle",
	"reject_unconfined_selinux_in_bundle", "reject_symlink_permission_targets", "ignore_ownership_in_bundle",
	"restrict_agent_dir_permissions", "restrict_log_dir_permissions", "restrict_hook_env_to_allowlist",
	"strip_loader_env_in_hooks",
}

// read stores every key of the file; keys may be plain or in the symbol style of the Ruby agent (":log_dir:"), and the
// last of two equal keys wins.
func (c *Config) read(data []byte) (warnings []string, err error) {
	pairs, err := mapping(data)
	if err != nil {
		return nil, err
	}
	settings := c.settings()
	for _, p := range pairs {
		set, known := settings[p.key]
		switch {
		case p.value == "":
		case known:
			if err := set(p.value); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", p.line, p.key, err)
			}
		case slices.Contains(notYetServed, p.key):
			if on, err := parseBool(p.value); err != nil || on {
				return nil, fmt.Errorf("line %d: %s is not served by this version; remove the line to start without its protection", p.line, p.key)
			}
		case slices.Contains(withoutEffect, p.key):
		default:
			warnings = append(warnings, fmt.Sprintf("configuration key %s (line %d) is not known and has no effect", p.key, p.line))
		}
	}
	return warnings, nil
}

// check refuses what would only show later, in the middle of a deployment.
func (c *Config) check(warnings *[]string) error {
	if strings.ContainsRune(c.ProgramName, '/') || strings.ContainsRune(c.OngoingDeploymentTracking, '/') {
		return errors.New("program_name and ongoing_deployment_tracking are names, not paths")
	}
	const longest = 24 * time.Hour
	c.KillAgentMaxWait = min(c.KillAgentMaxWait, longest)
	// Pointers from one deployment to another are absolute paths, and the agent may be started from anywhere.
	for _, dir := range []*string{&c.RootDir, &c.LogDir, &c.PIDDir} {
		absolute, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("%s: %w", *dir, err)
		}
		*dir = absolute
	}
	for _, e := range []struct{ key, url string }{
		{"deploy_control_endpoint", c.DeployControlEndpoint}, {"s3_endpoint_override", c.S3EndpointOverride},
	} {
		if e.url == "" {
			continue
		}
		plain, err := checkEndpoint(e.url)
		if err != nil {
			return fmt.Errorf("%s: %w", e.key, err)
		}
		if plain {
			*warnings = append(*warnings, e.key+" is plain http to another machine: what is deployed can be read and changed on the way; use https")
		}
	}
	if c.HTTPReadTimeout < longestHold {
		*warnings = append(*warnings, fmt.Sprintf("http_read_timeout is shorter than services hold a poll (up to %v), so idle polls will fail", longestHold))
	}
	return nil
}

// longestHold is how long services are known to hold a poll (service.md 4.6).
const longestHold = 60 * time.Second

// checkEndpoint reports whether an endpoint is plain http that leaves this machine.
func checkEndpoint(endpoint string) (plain bool, err error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false, err
	}
	if u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return false, fmt.Errorf("%q is no full URL; write https://host[:port]", endpoint)
	}
	return u.Scheme == "http" && !isLoopback(u.Hostname()), nil
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// fipsRegions are where AWS has FIPS endpoints for the command service (agent.md 2).
var fipsRegions = []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-west-1", "us-gov-east-1"}

// endpoint is the address of the host-command service in a region (agent.md 3.3).
func (c *Config) endpoint(region string) (string, error) {
	if c.UseFIPSMode && !slices.Contains(fipsRegions, region) {
		return "", fmt.Errorf("use_fips_mode is set, but region %s has no FIPS endpoint; regions that have: %s", region, strings.Join(fipsRegions, ", "))
	}
	if c.DeployControlEndpoint != "" {
		return c.DeployControlEndpoint, nil
	}
	name := "codedeploy-commands"
	if c.EnableAuthPolicy {
		name += "-secure"
	}
	if c.UseFIPSMode {
		name += "-fips"
	}
	return "https://" + name + "." + region + "." + domain(region), nil
}

func domain(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn"
	case strings.HasPrefix(region, "eusc-"):
		return "amazonaws.eu"
	default:
		return "amazonaws.com"
	}
}

// pair is one key of a flat YAML mapping. A null value is "".
type pair struct {
	key, value string
	line       int
}

// mapping reads a flat YAML mapping of scalars, as both of the agent's files are. Values keep their source text, so that
// no rule of YAML turns an account number into a float.
func mapping(data []byte) ([]pair, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want lines of the form \"key: value\"", root.Line)
	}
	var pairs []pair
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		p := pair{key: strings.Trim(key.Value, ":"), line: key.Line}
		switch {
		case value.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: %s: want one value, not a list or a mapping", value.Line, p.key)
		case value.Tag != "!!null":
			p.value = strings.TrimSpace(value.Value)
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func text(dst *string) setting {
	return func(v string) error { *dst = v; return nil }
}

func boolean(dst *bool) setting {
	return func(v string) (err error) { *dst, err = parseBool(v); return err }
}

// parseBool knows the words of YAML 1.1, which stock configuration files may use.
func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

func seconds(dst *time.Duration) setting {
	return func(v string) error {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("%q is no number of seconds", v)
		}
		*dst = time.Duration(n * float64(time.Second))
		return nil
	}
}

func count(dst *int) setting {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no whole number of at least 1", v)
		}
		*dst = n
		return nil
	}
}

// sizeUnits, longest suffix first.
var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1}, {"", 1}}

func size(dst *int64) setting {
	return func(v string) error {
		for _, unit := range sizeUnits {
			number, ok := strings.CutSuffix(strings.ToLower(v), unit.suffix)
			if !ok {
				continue
			}
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || n < 0 || n*unit.bytes >= math.MaxInt64 {
				break
			}
			*dst = int64(n * unit.bytes)
			return nil
		}
		return fmt.Errorf("%q is no size; write bytes, or a number with a unit such as 500MB or 1GiB", v)
	}
}

// fingerprint accepts the forms that openssl and browsers print: any case, with or without colons.
func fingerprint(dst *string) setting {
	return func(v string) error {
		hash := strings.ToLower(strings.ReplaceAll(v, ":", ""))
		if raw, err := hex.DecodeString(hash); err != nil || len(raw) != 32 {
			return fmt.Errorf("%q is no SHA-256 in hex (64 digits)", v)
		}
		*dst = hash
		return nil
	}
}
