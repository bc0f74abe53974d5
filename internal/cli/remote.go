package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// environmentHelp ends the help of commands that speak to a server.
const environmentHelp = `

The address of the server and the access key are those of the aws CLI: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY or a credentials file, AWS_CA_BUNDLE. ` + "`grapnel server`" + ` prints them at its start.
Exit codes: 0 done, 1 it failed, 2 the command line is wrong.`

// group is a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long + environmentHelp, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return usageError("there is no command %q%s; see: %s --help", args[0], didYouMean(args[0], names), cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return strictly(cmd)
}

// remote is a command that speaks to a server. Its usage names exactly n arguments.
func remote(use, short, long string, n int, run func(cmd *cobra.Command, c *client, args []string) error) *cobra.Command {
	return strictly(&cobra.Command{
		Use: use, Short: short, Long: long + environmentHelp, Args: cobra.ExactArgs(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(os.Getenv)
			if err != nil {
				return err
			}
			return run(cmd, c, args)
		},
	})
}

// usageError is a mistake in the command line.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// jsonFlag adds the flag of commands whose output scripts can read.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}
