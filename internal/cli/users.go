package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// user is a user of IAM.
type user struct {
	Name    string    `xml:"UserName" json:"name"`
	Path    string    `xml:"Path" json:"path"`
	ID      string    `xml:"UserId" json:"id"`
	ARN     string    `xml:"Arn" json:"arn"`
	Created time.Time `xml:"CreateDate" json:"created"`
}

func userCommand() *cobra.Command {
	return group("user", "People and programs that may call the server, and what each may do",
		`Users are people and programs that call the server with access keys of their own. Without a policy a user may do nothing.`,
		userCreate(), userList(), userShow(), userDelete(), policyCommand(userPolicies))
}

func userCreate() *cobra.Command {
	var role string
	cmd := remote("create NAME", "Make a user", "Make a user. With --role it gets a policy that "+
		"Grapnel has ready:\n\n"+readyPolicies.help(), 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			document, err := readyPolicies.document(role)
			if err != nil {
				return err
			}
			name := args[0]
			if err := c.iam(cmd.Context(), nil, "Action", "CreateUser", "UserName", name); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if document == "" {
				fmt.Fprintf(out, "The user %[1]s may do nothing yet. Let it: grapnel user policy put %[1]s NAME FILE\n", name)
			} else if err := userPolicies.put(cmd.Context(), c, name, role, document); err != nil {
				return fmt.Errorf("the user %s is made, but has no policy: %w", name, err)
			} else {
				fmt.Fprintf(out, "The user %[1]s may do what a %[2]s may. See: grapnel user policy show %[1]s %[2]s\n", name, role)
			}
			fmt.Fprintf(out, "Give it an access key: grapnel key create %s\n", name)
			return nil
		})
	cmd.Flags().StringVar(&role, "role", "", "policy to begin with: "+strings.Join(readyPolicies.names(), ", "))
	return cmd
}

func userList() *cobra.Command {
	var asJSON bool
	cmd := remote("list", "List the users, those of hosts among them", "List the users. Hosts have users too: theirs have the path /AWS/CodeDeploy/.", 0,
		func(cmd *cobra.Command, c *client, _ []string) error {
			users, err := c.users(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), users)
			}
			var rows [][]string
			for _, u := range users {
				rows = append(rows, []string{u.Name, u.Path, shownTime(u.Created), u.ARN})
			}
			return writeTable(cmd.OutOrStdout(), []string{"NAME", "PATH", "CREATED", "ARN"}, rows)
		})
	jsonFlag(cmd, &asJSON)
	return cmd
}

// users returns all users; never nil, so that JSON has a list.
func (c *client) users(ctx context.Context) (users []user, err error) {
	users = []user{}
	err = pages(func(marker []string) (string, error) {
		var page struct {
			Users  []user `xml:"ListUsersResult>Users>member"`
			Marker string `xml:"ListUsersResult>Marker"`
		}
		err := c.iam(ctx, &page, append(marker, "Action", "ListUsers")...)
		users = append(users, page.Users...)
		return page.Marker, err
	})
	return users, err
}

// pages calls for page after page of a list of IAM until one has no marker.
func pages(next func(marker []string) (string, error)) error {
	var pairs []string
	for {
		marker, err := next(pairs)
		if err != nil || marker == "" {
			return err
		}
		pairs = []string{"Marker", marker}
	}
}

// userView is all there is about a user.
type userView struct {
	user
	Keys     []accessKey `json:"keys"`
	Policies []string    `json:"policies"`
}

func userShow() *cobra.Command {
	var asJSON bool
	cmd := remote("show NAME", "Show a user, its keys and its policies", "Show a user, its keys and the names of its policies.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			view, err := c.userView(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(out, view)
			}
			err = writeTable(out, nil, [][]string{
				{"Name", view.Name}, {"ARN", view.ARN}, {"Created", shownTime(view.Created)}, {"Policies", orDash(strings.Join(view.Policies, ", "))},
			})
			if err != nil || len(view.Keys) == 0 {
				return err
			}
			fmt.Fprintln(out)
			return writeKeys(out, view.Keys)
		})
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (c *client) user(ctx context.Context, name string) (user, error) {
	var got struct {
		User user `xml:"GetUserResult>User"`
	}
	err := c.iam(ctx, &got, "Action", "GetUser", "UserName", name)
	return got.User, err
}

func (c *client) userView(ctx context.Context, name string) (v userView, err error) {
	if v.user, err = c.user(ctx, name); err != nil {
		return v, err
	}
	if v.Keys, err = c.keys(ctx, name); err != nil {
		return v, err
	}
	v.Policies, err = userPolicies.list(ctx, c, name)
	return v, err
}

func userDelete() *cobra.Command {
	return remote("delete NAME", "Delete a user with its keys and policies",
		"Delete a user with its keys and policies. Requests signed with those keys are refused from then on.", 1,
		func(cmd *cobra.Command, c *client, args []string) error {
			ctx, name := cmd.Context(), args[0]
			v, err := c.userView(ctx, name)
			if err != nil {
				return err
			}
			for _, k := range v.Keys {
				if err := c.iam(ctx, nil, "Action", "DeleteAccessKey", "UserName", name, "AccessKeyId", k.ID); err != nil {
					return err
				}
			}
			for _, policy := range v.Policies {
				if err := userPolicies.remove(ctx, c, name, policy); err != nil {
					return err
				}
			}
			return c.iam(ctx, nil, "Action", "DeleteUser", "UserName", name)
		})
}

// policies are the inline policies of users, or of roles.
type policies struct {
	of    string // user or role
	owner string // parameter that names whose policy it is
}

var userPolicies = policies{"user", "UserName"}

// action is the operation for a verb, such as PutUserPolicy.
func (p policies) action(verb, object string) string {
	return verb + strings.ToUpper(p.of[:1]) + p.of[1:] + object
}

func (p policies) put(ctx context.Context, c *client, owner, name, document string) error {
	return c.iam(ctx, nil, "Action", p.action("Put", "Policy"), p.owner, owner, "PolicyName", name, "PolicyDocument", document)
}

func (p policies) list(ctx context.Context, c *client, owner string) (names []string, err error) {
	names = []string{}
	err = pages(func(marker []string) (string, error) {
		var page struct {
			Result struct {
				Names  []string `xml:"PolicyNames>member"`
				Marker string   `xml:"Marker"`
			} `xml:",any"`
		}
		err := c.iam(ctx, &page, append(marker, "Action", p.action("List", "Policies"), p.owner, owner)...)
		names = append(names, page.Result.Names...)
		return page.Result.Marker, err
	})
	return names, err
}

// show returns a policy as it was put.
func (p policies) show(ctx context.Context, c *client, owner, name string) (string, error) {
	var got struct {
		Result struct {
			Document string `xml:"PolicyDocument"`
		} `xml:",any"`
	}
	if err := c.iam(ctx, &got, "Action", p.action("Get", "Policy"), p.owner, owner, "PolicyName", name); err != nil {
		return "", err
	}
	return url.PathUnescape(got.Result.Document)
}

func (p policies) remove(ctx context.Context, c *client, owner, name string) error {
	return c.iam(ctx, nil, "Action", p.action("Delete", "Policy"), p.owner, owner, "PolicyName", name)
}

func policyCommand(p policies) *cobra.Command {
	owner := strings.ToUpper(p.of)
	var asJSON bool
	list := remote("list "+owner, "List the policies of a "+p.of, "List the policies of a "+p.of+".", 1, func(cmd *cobra.Command, c *client, args []string) error {
		names, err := p.list(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), names)
		}
		for _, name := range names {
			fmt.Fprintln(cmd.OutOrStdout(), name)
		}
		return nil
	})
	jsonFlag(list, &asJSON)
	return group("policy", "What a "+p.of+" may do", "Policies are documents in IAM's policy language: what is allowed and denied, on which resources.",
		remote("put "+owner+" NAME FILE", "Store or replace a policy from a file; - reads standard input", "Store or replace a policy. FILE holds the document; - reads it from standard input.", 3,
			func(cmd *cobra.Command, c *client, args []string) error {
				document, err := readInput(cmd.InOrStdin(), args[2])
				if err != nil {
					return err
				}
				return p.put(cmd.Context(), c, args[0], args[1], document)
			}),
		list,
		remote("show "+owner+" NAME", "Print a policy", "Print a policy as it was put.", 2,
			func(cmd *cobra.Command, c *client, args []string) error {
				document, err := p.show(cmd.Context(), c, args[0], args[1])
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(document, "\n"))
				return nil
			}),
		remote("delete "+owner+" NAME", "Delete a policy", "Delete a policy.", 2,
			func(cmd *cobra.Command, c *client, args []string) error {
				return p.remove(cmd.Context(), c, args[0], args[1])
			}),
	)
}

// readInput returns the content of a file; "-" is standard input.
func readInput(stdin io.Reader, path string) (string, error) {
	if path == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		return string(data), err
	}
	data, err := os.ReadFile(path)
	return string(data), err
}

// ready are policies for those who do not want to write one.
type ready []struct {
	name, help string
	actions    []string
}

var looking = []string{"codedeploy:Get*", "codedeploy:List*", "codedeploy:BatchGet*", "grapnel:GetDeploymentLog"}

// readyPolicies are the roles of `grapnel user create --role`.
var readyPolicies = ready{
	{"reader", "may look at everything of CodeDeploy, and follow deployments", looking},
	{"deployer", "may also push bundles, and create, stop and continue deployments", append([]string{
		"codedeploy:RegisterApplicationRevision", "codedeploy:CreateDeployment", "codedeploy:StopDeployment", "codedeploy:ContinueDeployment",
		"codedeploy:SkipWaitTimeForInstanceTermination",
		"s3:ListAllMyBuckets", "s3:ListBucket*", "s3:GetBucket*", "s3:GetObject*", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
	}, looking...)},
	{"admin", "may do everything, as root may", []string{"*"}},
}

func (r ready) names() (names []string) {
	for _, p := range r {
		names = append(names, p.name)
	}
	return names
}

func (r ready) help() string {
	var b strings.Builder
	for _, p := range r {
		fmt.Fprintf(&b, "  %-9s %s\n", p.name, p.help)
	}
	return strings.TrimRight(b.String(), "\n")
}

// document returns the policy of a role, "" for no role.
func (r ready) document(role string) (string, error) {
	if role == "" {
		return "", nil
	}
	type statement struct {
		Effect   string
		Action   []string
		Resource string
	}
	for _, p := range r {
		if p.name != role {
			continue
		}
		text, err := json.MarshalIndent(struct {
			Version   string
			Statement []statement
		}{"2012-10-17", []statement{{"Allow", p.actions, "*"}}}, "", "  ")
		return string(text), err
	}
	return "", usageError("there is no role %q; these are ready: %s%s", role, strings.Join(r.names(), ", "), didYouMean(role, r.names()))
}
