package local

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"grapnel/internal/appspec"
)

const usage = `Usage: codedeploy-local [OPTIONS]      (also: codedeploy-agent deploy-local [OPTIONS])

Deploys a bundle to this host without a service: runs the lifecycle events of its appspec.yml in their order. Without any
option it deploys the current folder.

  -l, --bundle-location LOCATION     what to deploy; the current folder without it
                                       a folder or file of this host
                                       s3://BUCKET/KEY[?versionId=VERSION&etag=ETAG]
                                       https://github.com/ACCOUNT/REPOSITORY[/tree/REF or /commit/REF]
                                       https://api.github.com/repos/ACCOUNT/REPOSITORY/tarball/REF, or zipball
  -t, --type TYPE                    directory (without it), tgz, tar or zip
  -b, --file-exists-behavior WHAT    when a file exists that the bundle wants to create: DISALLOW (without it) fails,
                                       OVERWRITE replaces it, RETAIN keeps it; the AppSpec's own setting wins
  -g, --deployment-group ID          folder below the deployment root; default-local-deployment-group without it
  -d, --deployment-group-name NAME   what scripts see as DEPLOYMENT_GROUP_NAME; LocalFleet without it
  -a, --application-name NAME        what scripts see as APPLICATION_NAME; the location without it
  -e, --events EVENT,EVENT...        only these lifecycle events, in this order, beside DownloadBundle and Install
  -A, --appspec-filename NAME        AppSpec file in the bundle; appspec.yml without it
  -c, --agent-configuration-file FILE
                                     without it the first that exists of
                                       /etc/codedeploy-agent/conf/codedeployagent.yml and
                                       /opt/codedeploy-agent/conf/codedeployagent.yml, else defaults
      --github-token TOKEN           for a private repository; better in the variable CODEDEPLOY_GITHUB_TOKEN, because
                                       other users of this host can see the options of a program
      --dry-run                      change nothing: say what would be created, overwritten, kept and deleted, what is in
                                       the way, which scripts would run, and how much space it takes
      --json                         print JSON: a line for each thing that happens, or with --dry-run one document
  -h, --help                         print this text
  -v, --version                      print the version

Exit codes: 0 it succeeded (or would start), 1 it failed (or would fail), 2 the options make no sense.
`

// options are a command line.
type options struct {
	location, kind, behavior string
	group, groupName         string
	application              string
	events, appSpec          string
	configFile               string // "" for the usual places
	token                    string
	dryRun, json             bool
	help, version            bool
}

// option is one row of agent.md 1.2.
type option struct {
	names []string
	value *string // nil for one that takes no value
	set   *bool
}

// known are the options there are. The last spelling of the configuration file is the one of codedeploy-agent.
func (o *options) known() []option {
	return []option{
		{names: []string{"-l", "--bundle-location"}, value: &o.location},
		{names: []string{"-t", "--type"}, value: &o.kind},
		{names: []string{"-b", "--file-exists-behavior"}, value: &o.behavior},
		{names: []string{"-g", "--deployment-group"}, value: &o.group},
		{names: []string{"-d", "--deployment-group-name"}, value: &o.groupName},
		{names: []string{"-a", "--application-name"}, value: &o.application},
		{names: []string{"-e", "--events"}, value: &o.events},
		{names: []string{"-A", "--appspec-filename"}, value: &o.appSpec},
		{names: []string{"-c", "--agent-configuration-file", "--config-file", "--config_file"}, value: &o.configFile},
		{names: []string{"--github-token"}, value: &o.token},
		{names: []string{"--dry-run"}, set: &o.dryRun},
		{names: []string{"--json"}, set: &o.json},
		{names: []string{"-h", "--help"}, set: &o.help},
		{names: []string{"-v", "--version"}, set: &o.version},
	}
}

// parse reads a command line and completes it with the defaults.
func parse(args []string) (*options, error) {
	o := &options{
		kind: "directory", behavior: appspec.Disallow,
		group: "default-local-deployment-group", groupName: "LocalFleet",
		appSpec: appspec.DefaultName,
	}
	for len(args) > 0 {
		rest, err := o.take(args)
		if err != nil {
			return nil, err
		}
		args = rest
	}
	o.location = cmp.Or(o.location, ".")
	o.token = cmp.Or(o.token, os.Getenv("CODEDEPLOY_GITHUB_TOKEN"))
	return o, nil
}

// take reads the first option and returns what comes after it. Values may follow as the next argument, after "=", or
// directly after a single letter.
func (o *options) take(args []string) ([]string, error) {
	arg := args[0]
	name, value, attached := strings.Cut(arg, "=")
	if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
		name, value, attached = arg[:2], strings.TrimPrefix(arg[2:], "="), true
	}
	found := o.find(name)
	switch {
	case found == nil:
		return nil, o.unknown(name)
	case found.value == nil && attached:
		return nil, fmt.Errorf("%s takes no value", name)
	case found.value == nil:
		*found.set = true
		return args[1:], nil
	case attached:
		*found.value = value
		return args[1:], nil
	case len(args) == 1:
		return nil, fmt.Errorf("%s needs a value", name)
	}
	*found.value = args[1]
	return args[2:], nil
}

func (o *options) find(name string) *option {
	for _, known := range o.known() {
		for _, n := range known.names {
			if n == name {
				return &known
			}
		}
	}
	return nil
}

func (o *options) unknown(name string) error {
	if !strings.HasPrefix(name, "-") {
		return fmt.Errorf("%q is no option; what to deploy is given with --bundle-location %s", name, name)
	}
	var all []string
	for _, known := range o.known() {
		all = append(all, known.names...)
	}
	if near := appspec.Suggest(name, all); near != "" {
		return fmt.Errorf("there is no option %s; did you mean %s?", name, near)
	}
	return errors.New("there is no option " + name + "; --help lists them all")
}
