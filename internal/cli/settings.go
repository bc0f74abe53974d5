package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"grapnel/internal/appspec"
)

// configFlag names the YAML file whose keys are the flags' names.
const configFlag = "config"

// fillFlags gives every flag that the command line left out its value from GRAPNEL_<NAME>, else from the YAML file, else
// leaves its default: the nearer to the hand, the stronger.
func fillFlags(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	flags := cmd.Flags()
	if err := fillFromEnvironment(flags, lookup); err != nil {
		return err
	}
	path, err := flags.GetString(configFlag)
	if err != nil || path == "" {
		return err
	}
	return fillFromFile(flags, path)
}

func fillFromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if value, ok := lookup(variable(f.Name)); ok && !f.Changed {
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable(f.Name), err))
			}
		}
	})
	return errors.Join(errs...)
}

// variable is the environment's name of a flag: data becomes GRAPNEL_DATA, account-id GRAPNEL_ACCOUNT_ID.
func variable(flag string) string {
	return "GRAPNEL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func fillFromFile(flags *pflag.FlagSet, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("settings file %s must be a YAML map of flag names to values: %w", path, err)
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(file)) {
		node := file[key]
		where := fmt.Sprintf("%s:%d: %s", path, node.Line, key)
		f := flags.Lookup(key)
		switch {
		case f == nil || key == configFlag:
			errs = append(errs, fmt.Errorf("%s: no such setting%s", where, didYouMean(key, known)))
		case node.Kind != yaml.ScalarNode:
			errs = append(errs, fmt.Errorf("%s: takes a single value", where))
		case f.Changed: // given on the command line or in the environment
		default:
			if err := flags.Set(key, node.Value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", where, err))
			}
		}
	}
	return errors.Join(errs...)
}

func didYouMean(key string, known []string) string {
	if s := appspec.Suggest(key, known); s != "" {
		return fmt.Sprintf("; did you mean %s?", s)
	}
	return ""
}
