// Package config reads the agent's configuration file (agent.md 2): YAML of flat keys, plain or in the symbol style of the
// Ruby agent. What is not set has the default of stock agents.
package config

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

// Version is what the agent calls itself to the service. It is a number above that of every stock agent with the same
// abilities, because services decide by it what they may send (agent.md 4.1).
const Version = "2.0.0"

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
	ProxyURI                  *url.URL // nil = the one of the environment; may hold user:password, so never log it
	UseFIPSMode               bool
	DeployControlEndpoint     string // full URL instead of the one computed from the region
	S3EndpointOverride        string
	EnableAuthPolicy          bool
	EnableDeploymentsLog      bool
	EnableArchiveReuse        bool // agent.md 10.5
	DisableIMDSv1             bool
	LogAWSWire                bool
	DisableCoreDumps          bool
	OngoingDeploymentTracking string // name of the folder of tracking files
	KillAgentMaxWait          time.Duration
	ArchiveMaxExtractionSize  int64 // bytes, 0 = no limit
	Hardening                 Hardening

	// TrustBundles switches the checks off that stock agents do not make: names that climb with "..", links that lead out
	// of the archive, device files, bundles that unpack to very much: an extension.
	TrustBundles bool
	// CAFile is a PEM file of certificate authorities that are trusted besides the system's: an extension.
	CAFile string
	// SpecificationSigner is the SHA-256 of the DER form of the certificate that must have signed a specification, in
	// lower-case hex; "" accepts any signer, as stock agents do: an extension.
	SpecificationSigner string
}

// Hardening are the switches of agent.md 15, all of them off unless they are set.
type Hardening struct {
	RejectSymlinks                 bool // in a bundle, hard links too
	RejectPathTraversal            bool // in a bundle's names and in the paths of its AppSpec
	RejectUnsafePermissions        bool // set-id files in a bundle, set-id modes in its AppSpec
	RejectUnconfinedSELinux        bool // contexts that confine nothing
	RejectSymlinkPermissionTargets bool
	IgnoreOwnership                bool // of files in a tar
	RestrictAgentDirs              bool // modes of the folders and files that hold the agent's state
	RestrictLogDir                 bool // modes of the log folder and its files
	RestrictHookEnv                bool // scripts inherit only an allow list
	StripLoaderEnv                 bool // scripts do not inherit LD_PRELOAD and the like
}

// FirstPath is the configuration file that is made when there is none.
const FirstPath = "/etc/codedeploy-agent/conf/codedeployagent.yml"

// Where the configuration file is looked for (agent.md 1.1).
var configPaths = []string{
	FirstPath,
	"/opt/codedeploy-agent/conf/codedeployagent.yml",
}

// Default returns what holds without a configuration file.
func Default() Config {
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
		EnableArchiveReuse:        true,
		DisableCoreDumps:          true,
		OngoingDeploymentTracking: "ongoing-deployment",
		KillAgentMaxWait:          2 * time.Hour,
	}
}

// maxFile is more than any of the agent's files has, in bytes.
const maxFile = 1 << 20

// ReadFile reads one of the agent's own files. It never waits, as for a pipe that nobody writes to, and takes 1 MiB at most.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return nil, fmt.Errorf("%s is a pipe or a socket; it must be a file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, and no such file needs more than %d", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Load reads the configuration file at path, or with "" the first that exists at the usual places, or else the
// defaults. The warnings are for the agent's log.
func Load(path string) (c Config, warnings []string, err error) {
	if path == "" {
		path = UsualPath()
	}
	if path == "" {
		return Default(), nil, nil
	}
	data, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil, fmt.Errorf("configuration file %s does not exist; name another with --config-file", path)
	} else if err != nil {
		return Config{}, nil, fmt.Errorf("cannot read the configuration file: %w", err)
	}
	if c, warnings, err = Parse(data); err != nil {
		return Config{}, nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	return c, warnings, nil
}

// Parse is Load for the content of a file.
func Parse(data []byte) (c Config, warnings []string, err error) {
	c = Default()
	if warnings, err = c.read(data); err == nil {
		err = c.check(&warnings)
	}
	return c, warnings, err
}

// UsualPath returns the file that is read when none is named, "" when there is none.
func UsualPath() string {
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
		"proxy_uri":                        proxy(&c.ProxyURI),
		"use_fips_mode":                    boolean(&c.UseFIPSMode),
		"deploy_control_endpoint":          text(&c.DeployControlEndpoint),
		"s3_endpoint_override":             text(&c.S3EndpointOverride),
		"enable_auth_policy":               boolean(&c.EnableAuthPolicy),
		"enable_deployments_log":           boolean(&c.EnableDeploymentsLog),
		"ongoing_deployment_tracking":      text(&c.OngoingDeploymentTracking),
		"kill_agent_max_wait_time_seconds": seconds(&c.KillAgentMaxWait),
		"archive_max_extraction_size":      size(&c.ArchiveMaxExtractionSize),
		"enable_archive_reuse":             boolean(&c.EnableArchiveReuse),
		"disable_imds_v1":                  boolean(&c.DisableIMDSv1),
		"log_aws_wire":                     boolean(&c.LogAWSWire),
		"disable_core_dumps":               boolean(&c.DisableCoreDumps),
		"ca_file":                          text(&c.CAFile),
		"specification_signer_sha256":      fingerprint(&c.SpecificationSigner),
		"trust_bundles":                    boolean(&c.TrustBundles),

		"reject_symlinks_in_bundle":           boolean(&c.Hardening.RejectSymlinks),
		"reject_path_traversal_in_bundle":     boolean(&c.Hardening.RejectPathTraversal),
		"reject_unsafe_permissions_in_bundle": boolean(&c.Hardening.RejectUnsafePermissions),
		"reject_unconfined_selinux_in_bundle": boolean(&c.Hardening.RejectUnconfinedSELinux),
		"reject_symlink_permission_targets":   boolean(&c.Hardening.RejectSymlinkPermissionTargets),
		"ignore_ownership_in_bundle":          boolean(&c.Hardening.IgnoreOwnership),
		"restrict_agent_dir_permissions":      boolean(&c.Hardening.RestrictAgentDirs),
		"restrict_log_dir_permissions":        boolean(&c.Hardening.RestrictLogDir),
		"restrict_hook_env_to_allowlist":      boolean(&c.Hardening.RestrictHookEnv),
		"strip_loader_env_in_hooks":           boolean(&c.Hardening.StripLoaderEnv),
	}
}

// withoutEffect are keys of stock configuration files that mean nothing to this agent (agent.md 2): it has no child
// processes, no second debug port, and is not for Windows.
var withoutEffect = []string{
	"wait_after_error", "wait_after_throttle_error", "wait_after_connection_problem", "children", "max_runs_per_worker",
	"codedeploy_test_profile", "enable_command_port", "disable_powershell_profile_in_hooks",
}

// elsewhere are keys whose work is done by something else now. Someone who set one counts on it.
var elsewhere = map[string]string{
	"user":  "the agent does not change its user; set User= in the unit codedeploy-agent.service instead",
	"group": "the agent does not change its group; set Group= in the unit codedeploy-agent.service instead",
}

// read stores every key of the file; the last of two equal keys wins.
func (c *Config) read(data []byte) (warnings []string, err error) {
	pairs, err := Mapping(data)
	if err != nil {
		return nil, err
	}
	settings := c.settings()
	for _, p := range pairs {
		set, known := settings[p.Key]
		switch {
		case p.Err != nil:
			return nil, p.Err
		case p.Value == "":
		case known:
			if err := set(p.Value); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", p.Line, p.Key, err)
			}
		case elsewhere[p.Key] != "":
			warnings = append(warnings, fmt.Sprintf("configuration key %s (line %d) has no effect: %s", p.Key, p.Line, elsewhere[p.Key]))
		case slices.Contains(withoutEffect, p.Key):
		default:
			warnings = append(warnings, fmt.Sprintf("configuration key %s (line %d) is not known and has no effect", p.Key, p.Line))
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
	return u.Scheme == "http" && !IsLoopback(u.Hostname()), nil
}

// IsLoopback reports whether a host of a URL is this machine itself.
func IsLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// Pair is one key of a flat YAML mapping. A null value is "".
type Pair struct {
	Key, Value string
	Line       int
	Err        error // why there is no value: it is a list or a mapping
}

// Mapping reads a flat YAML mapping of scalars, as both of the agent's files are: this one and the on-premises file. Keys
// may be plain or in the symbol style of the Ruby agent (":log_dir:"), and one may come twice. Values keep their source
// text, so that no rule of YAML turns an account number into a float.
func Mapping(data []byte) ([]Pair, error) {
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
	var pairs []Pair
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		p := Pair{Key: strings.Trim(key.Value, ":"), Line: key.Line}
		switch {
		case value.Kind != yaml.ScalarNode:
			p.Err = fmt.Errorf("line %d: %s: want one value, not a list or a mapping", value.Line, p.Key)
		case value.Tag != "!!null":
			p.Value = strings.TrimSpace(value.Value)
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

// proxy does not quote what it refuses, which may hold a password.
func proxy(dst **url.URL) setting {
	return func(v string) error {
		address, err := url.Parse(v)
		if err != nil || address.Host == "" {
			return errors.New("this is no URL such as http://proxy:3128")
		}
		*dst = address
		return nil
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
