package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"grapnel/internal/awsapi"
)

func gitHubTokenCommand() *cobra.Command {
	return group("github-token", "Tokens with which private GitHub repositories are read", "GitHub tokens are kept encrypted. Hosts get one with a deployment of a GitHub revision whose application is connected to it.",
		gitHubTokenPut(), gitHubTokenList(),
		remote("delete NAME", "Delete a GitHub token", "Delete a GitHub token. Deployments of private repositories that are connected to it fail from then on.", 1,
			func(cmd *cobra.Command, c *client, args []string) error {
				return c.call(cmd.Context(), "DeleteGitHubAccountToken", &awsapi.DeleteGitHubAccountTokenInput{TokenName: &args[0]}, nil)
			}))
}

func gitHubTokenPut() *cobra.Command {
	var application, path string
	var connectOnly bool
	cmd := remote("put NAME", "Store or replace a GitHub token, or connect an application to one",
		"Store or replace a GitHub token, which is read from standard input, or from --file: as an argument, other users of this\nmachine could see it. With --application, deployments of that application fetch with it.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			in := &awsapi.PutGitHubAccountTokenInput{TokenName: &args[0]}
			if application != "" {
				in.ApplicationName = &application
			}
			switch {
			case connectOnly && application == "":
				return usageError("--connect needs --application APP: it connects the application to a token that is there")
			case connectOnly && cmd.Flags().Changed("file"):
				return usageError("--connect takes the token that is there; leave out --file")
			case !connectOnly:
				text, err := readInput(cmd.InOrStdin(), path)
				if err != nil {
					return err
				}
				if text = strings.TrimSpace(text); text == "" {
					return usageError("there is no token to store: give it on standard input or in --file")
				}
				in.Token = &text
			}
			if err := c.grapnel(cmd.Context(), "PutGitHubAccountToken", in, nil); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if !connectOnly {
				fmt.Fprintf(out, "The GitHub token %s is stored.\n", args[0])
			}
			if application != "" {
				fmt.Fprintf(out, "Deployments of the application %s fetch with the GitHub token %s.\n", application, args[0])
			}
			return nil
		})
	f := cmd.Flags()
	f.StringVar(&application, "application", "", "application whose GitHub revisions are fetched with the token")
	f.StringVar(&path, "file", "-", "file that holds the token; - is standard input")
	f.BoolVar(&connectOnly, "connect", false, "only connect the application to a token that is there")
	return cmd
}

func gitHubTokenList() *cobra.Command {
	var asJSON bool
	cmd := remote("list", "List the names of the GitHub tokens", "List the names of the GitHub tokens.", 0,
		func(cmd *cobra.Command, c *client, _ []string) error {
			names, in := []string{}, awsapi.ListGitHubAccountTokenNamesInput{}
			for {
				var page awsapi.ListGitHubAccountTokenNamesOutput
				if err := c.call(cmd.Context(), "ListGitHubAccountTokenNames", &in, &page); err != nil {
					return err
				}
				names = append(names, page.TokenNameList...)
				if in.NextToken = page.NextToken; awsapi.Value(page.NextToken) == "" {
					break
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), names)
			}
			for _, name := range names {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		})
	jsonFlag(cmd, &asJSON)
	return cmd
}
