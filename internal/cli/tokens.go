package cli

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
)

func tokenCommand() *cobra.Command {
	return group("token", "One-time tokens with which hosts join", "A join token lets one machine become a host, once: codedeploy-agent join URL --token TOKEN.",
		tokenCreate(), tokenList(),
		remote("delete ID", "Delete a join token, used or not", "Delete a join token. Nobody can join with it any more; the host that joined with it stays.", 1,
			func(cmd *cobra.Command, c *client, args []string) error {
				var deleted awsapi.DeleteJoinTokenOutput
				if err := c.grapnel(cmd.Context(), "DeleteJoinToken", &awsapi.DeleteJoinTokenInput{TokenId: &args[0]}, &deleted); err != nil {
					return err
				}
				if deleted.TokenId == nil { // a mistyped id must not look like a token that is revoked
					return fmt.Errorf("there is no join token %q, so nothing was deleted; their ids: grapnel token list", args[0])
				}
				fmt.Fprintf(cmd.OutOrStdout(), "The join token %s is deleted.\n", args[0])
				return nil
			}))
}

func tokenCreate() *cobra.Command {
	var name string
	var tags []string
	var expires time.Duration
	var asJSON bool
	cmd := remote("create", "Make a join token and print what to run on the host", "Make a join token, and print the command that makes a machine a host with it. The token is told this once.", 0,
		func(cmd *cobra.Command, c *client, _ []string) error {
			in := &awsapi.CreateJoinTokenInput{LifetimeSeconds: new(int64(expires / time.Second))}
			if name != "" {
				in.InstanceName = &name
			}
			var err error
			if in.Tags, err = parseTags(tags); err != nil {
				return err
			}
			var made awsapi.CreateJoinTokenOutput
			if err := c.grapnel(cmd.Context(), "CreateJoinToken", in, &made); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(out, &made)
			}
			fmt.Fprintf(out, "codedeploy-agent join %s --token %s\n", c.endpoint, awsapi.Value(made.Token))
			fmt.Fprintf(cmd.ErrOrStderr(), "Run this on the host, as root. It works once, until %s.\n", shownTime(made.TokenInfo.ExpireTime.Time))
			if u, err := url.Parse(c.endpoint); err == nil && config.IsLoopback(u.Hostname()) {
				fmt.Fprintln(cmd.ErrOrStderr(), "On another machine, put the address there by which that one reaches the server: this one is this machine itself.")
			}
			return nil
		})
	f := cmd.Flags()
	f.DurationVar(&expires, "expires", time.Hour, "how long the token can be used, such as 30m or 24h")
	f.StringArrayVar(&tags, "tag", nil, "KEY=VALUE that the host is tagged with; several are allowed")
	f.StringVar(&name, "name", "", "the only name that the host may have")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// parseTags reads tags of the form KEY=VALUE.
func parseTags(texts []string) (tags []awsapi.Tag, err error) {
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usageError("--tag %q is not KEY=VALUE", text)
		}
		tags = append(tags, awsapi.Tag{Key: &key, Value: &value})
	}
	return tags, nil
}

func tokenList() *cobra.Command {
	var asJSON bool
	cmd := remote("list", "List the join tokens, and which hosts used them", "List the join tokens, newest first, without the tokens themselves.", 0,
		func(cmd *cobra.Command, c *client, _ []string) error {
			var got awsapi.ListJoinTokensOutput
			if err := c.grapnel(cmd.Context(), "ListJoinTokens", &awsapi.ListJoinTokensInput{}, &got); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), &got)
			}
			var rows [][]string
			for _, t := range got.Tokens {
				rows = append(rows, []string{
					awsapi.Value(t.TokenId), tokenState(t, time.Now()), orDash(awsapi.Value(t.InstanceName)), orDash(shownTags(t.Tags)),
					shownTime(t.ExpireTime.Time), orDash(shortARN(awsapi.Value(t.CreatedBy))),
				})
			}
			return writeTable(cmd.OutOrStdout(), []string{"ID", "STATE", "NAME", "TAGS", "EXPIRES", "MADE BY"}, rows)
		})
	jsonFlag(cmd, &asJSON)
	return cmd
}

// tokenState says in one word, or two, whether a token can be used.
func tokenState(t awsapi.JoinTokenInfo, now time.Time) string {
	switch {
	case !t.UseTime.IsZero():
		return "used by " + orDash(awsapi.Value(t.UsedBy))
	case now.After(t.ExpireTime.Time):
		return "expired"
	default:
		return "open"
	}
}

func shownTags(tags []awsapi.Tag) string {
	var texts []string
	for _, t := range tags {
		texts = append(texts, awsapi.Value(t.Key)+"="+awsapi.Value(t.Value))
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}
