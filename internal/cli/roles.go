package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapnel/internal/atomicfile"
)

// role is a role of IAM.
type role struct {
	Name    string    `xml:"RoleName" json:"name"`
	ARN     string    `xml:"Arn" json:"arn"`
	Created time.Time `xml:"CreateDate" json:"created"`
	Trust   string    `xml:"AssumeRolePolicyDocument" json:"-"` // percent-encoded
}

var rolePolicies = policies{"role", "RoleName"}

func roleCommand() *cobra.Command {
	return group("role", "Roles that users and hosts take on for a while, and what each may do",
		`A role has policies as a user has, and no keys: who is trusted with it takes it on for some hours and gets keys for that time.`,
		roleCreate(), roleList(), roleShow(), roleDelete(), roleAssume(), policyCommand(rolePolicies))
}

func roleCreate() *cobra.Command {
	var role string
	var trusted []string
	cmd := remote("create NAME", "Make a role", "Make a role. With --role it gets a policy that Grapnel has ready:\n\n"+readyPolicies.help(), 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			document, err := readyPolicies.document(role)
			if err != nil {
				return err
			}
			ctx, name := cmd.Context(), args[0]
			trust, err := c.trust(ctx, trusted)
			if err != nil {
				return err
			}
			if err := c.iam(ctx, nil, "Action", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trust); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if document == "" {
				fmt.Fprintf(out, "The role %[1]s may do nothing yet. Let it: grapnel role policy put %[1]s NAME FILE\n", name)
			} else if err := rolePolicies.put(ctx, c, name, role, document); err != nil {
				return fmt.Errorf("the role %s is made, but has no policy: %w", name, err)
			}
			fmt.Fprintf(out, "Take it on: grapnel role assume %s\n", name)
			return nil
		})
	f := cmd.Flags()
	f.StringVar(&role, "role", "", "policy to begin with: "+strings.Join(readyPolicies.names(), ", "))
	f.StringArrayVar(&trusted, "trust", nil, "user who may take it on; several are allowed. Without it, everybody whose policy allows sts:AssumeRole")
	return cmd
}

// trust returns a trust policy for some users, or for the policies of all users to decide.
func (c *client) trust(ctx context.Context, users []string) (string, error) {
	type principal struct{ AWS []string }
	var p principal
	for _, name := range users {
		u, err := c.user(ctx, name)
		if err != nil {
			return "", err
		}
		p.AWS = append(p.AWS, u.ARN)
	}
	if users == nil {
		account, err := c.account(ctx)
		if err != nil {
			return "", err
		}
		p.AWS = []string{account}
	}
	type statement struct {
		Effect    string
		Principal principal
		Action    string
	}
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{"Allow", p, "sts:AssumeRole"}}})
	return string(text), err
}

// account returns the account that ARNs of the server name.
func (c *client) account(ctx context.Context) (string, error) {
	var got struct {
		Account string `xml:"GetCallerIdentityResult>Account"`
	}
	err := c.sts(ctx, &got, "Action", "GetCallerIdentity")
	return got.Account, err
}

func roleList() *cobra.Command {
	var asJSON bool
	cmd := remote("list", "List the roles", "List the roles.", 0, func(cmd *cobra.Command, c *client, _ []string) error {
		roles := []role{}
		err := pages(func(marker []string) (string, error) {
			var page struct {
				Roles  []role `xml:"ListRolesResult>Roles>member"`
				Marker string `xml:"ListRolesResult>Marker"`
			}
			err := c.iam(cmd.Context(), &page, append(marker, "Action", "ListRoles")...)
			roles = append(roles, page.Roles...)
			return page.Marker, err
		})
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), roles)
		}
		var rows [][]string
		for _, r := range roles {
			rows = append(rows, []string{r.Name, shownTime(r.Created), r.ARN})
		}
		return writeTable(cmd.OutOrStdout(), []string{"NAME", "CREATED", "ARN"}, rows)
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

func roleShow() *cobra.Command {
	return remote("show NAME", "Show a role, who may take it on, and its policies", "Show a role, who may take it on, and the names of its policies.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			var got struct {
				Role role `xml:"GetRoleResult>Role"`
			}
			if err := c.iam(cmd.Context(), &got, "Action", "GetRole", "RoleName", args[0]); err != nil {
				return err
			}
			names, err := rolePolicies.list(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			trust, err := url.PathUnescape(got.Role.Trust)
			if err != nil {
				return err
			}
			return writeTable(cmd.OutOrStdout(), nil, [][]string{
				{"Name", got.Role.Name}, {"ARN", got.Role.ARN}, {"Created", shownTime(got.Role.Created)},
				{"Policies", orDash(strings.Join(names, ", "))}, {"Trust", strings.Join(strings.Fields(trust), " ")},
			})
		})
}

func roleDelete() *cobra.Command {
	return remote("delete NAME", "Delete a role with its policies", "Delete a role with its policies. Keys that somebody got by taking it on may do nothing from then on.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			names, err := rolePolicies.list(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := rolePolicies.remove(cmd.Context(), c, args[0], name); err != nil {
					return err
				}
			}
			return c.iam(cmd.Context(), nil, "Action", "DeleteRole", "RoleName", args[0])
		})
}

// session is what taking on a role gives.
type session struct {
	ID      string    `xml:"AccessKeyId" json:"accessKeyId"`
	Secret  string    `xml:"SecretAccessKey" json:"secretAccessKey"`
	Token   string    `xml:"SessionToken" json:"sessionToken"`
	Expires time.Time `xml:"Expiration" json:"expires"`
}

func roleAssume() *cobra.Command {
	var name, path string
	var length time.Duration
	var asJSON bool
	cmd := remote("assume ROLE", "Take on a role, and print its keys", `Take on a role, by name or ARN, and print keys for the time of the session.

With --out they go into a credentials file, in place of those of an earlier session: the file that aws_credentials_file of a
host with iam_session_arn names is renewed so.`, 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			ctx, arn := cmd.Context(), args[0]
			if !strings.HasPrefix(arn, "arn:") {
				account, err := c.account(ctx)
				if err != nil {
					return err
				}
				arn = "arn:aws:iam::" + account + ":role/" + arn
			}
			s, err := c.assume(ctx, arn, name, length)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case path != "":
				text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", s.ID, s.Secret, s.Token)
				if err := atomicfile.WriteFile(path, []byte(text), 0o600); err != nil {
					return err
				}
				fmt.Fprintf(out, "The keys are in %s until %s.\n", path, shownTime(s.Expires))
				return nil
			case asJSON:
				return writeJSON(out, s)
			}
			fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_SESSION_TOKEN=%s\n", s.ID, s.Secret, s.Token)
			fmt.Fprintf(cmd.ErrOrStderr(), "They hold until %s.\n", shownTime(s.Expires))
			return nil
		})
	f := cmd.Flags()
	f.StringVar(&name, "session", defaultSession(), "name of the session, which the audit log shows")
	f.DurationVar(&length, "for", 0, "how long the keys hold, such as 2h (default: as long as the server says, an hour)")
	f.StringVar(&path, "out", "", "write a credentials file, and do not print the keys")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// defaultSession names a session after whoever runs this program.
func defaultSession() string {
	name := os.Getenv("USER")
	if len(name) < 2 {
		return "grapnel"
	}
	return name
}

func (c *client) assume(ctx context.Context, arn, name string, length time.Duration) (session, error) {
	pairs := []string{"Action", "AssumeRole", "RoleArn", arn, "RoleSessionName", name}
	if length != 0 {
		pairs = append(pairs, "DurationSeconds", strconv.Itoa(int(length/time.Second)))
	}
	var got struct {
		Session session `xml:"AssumeRoleResult>Credentials"`
	}
	err := c.sts(ctx, &got, pairs...)
	return got.Session, err
}
