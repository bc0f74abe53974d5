package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapnel/internal/awsapi"
)

func logsCommand() *cobra.Command {
	var l logReader
	var asJSON, timestamps bool
	cmd := &cobra.Command{
		Use:   "logs DEPLOYMENT",
		Short: "Print what the scripts of a deployment have written",
		Long: `Print what the scripts of a deployment have written so far, host by host, and end. The server keeps it with the
deployment, at most 10 MiB of each lifecycle event; a line in its place says when something is missing.

The address of the server and the access key are taken as in ` + "`grapnel follow`" + `.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if l.client, err = connect(os.Getenv); err != nil {
				return err
			}
			l.id = args[0]
			l.line = plainLines(cmd.OutOrStdout(), timestamps)
			if asJSON {
				l.line = newJSONView(cmd.OutOrStdout()).line
			}
			lines, err := l.print(cmd.Context())
			if err == nil && lines == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "grapnel: the server has no output of its scripts; only agents of Grapnel send it, others keep it on the host in logs/scripts.log")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&l.host, "host", "", "print this host's only")
	f.StringVar(&l.event, "event", "", "print this lifecycle event's only")
	f.BoolVar(&timestamps, "timestamps", false, "begin each line with its time and stream")
	f.BoolVar(&asJSON, "json", false, "print a JSON object per line")
	return strictly(cmd)
}

// plainLines prints lines as the scripts wrote them, below a line that names host, event and script.
func plainLines(out io.Writer, timestamps bool) func(host, event string, l awsapi.LogLine) {
	current := ""
	return func(host, event string, l awsapi.LogLine) {
		if name := host + " " + event + " " + l.Script; l.Script != "" && name != current {
			current = name
			fmt.Fprintln(out, "---", name)
		}
		if timestamps {
			fmt.Fprintf(out, "%s [%s] ", time.UnixMilli(l.Time).UTC().Format("2006-01-02T15:04:05.000Z"), l.Stream)
		}
		fmt.Fprintln(out, l.Text)
	}
}

// logReader reads what is stored of a deployment's log.
type logReader struct {
	client          *client
	id, host, event string // host and event are "" for all
	line            func(host, event string, l awsapi.LogLine)
}

// print prints the log host by host, in the order of the deployment, and returns how many lines it has.
func (l *logReader) print(ctx context.Context) (lines int, err error) {
	hosts, err := l.client.targetIDs(ctx, l.id)
	switch {
	case err != nil:
		return 0, err
	case l.host != "" && !slices.Contains(hosts, l.host):
		return 0, fmt.Errorf("no host %s takes part in deployment %s; these do: %s", l.host, l.id, strings.Join(hosts, ", "))
	case l.host != "":
		hosts = []string{l.host}
	}
	for _, host := range hosts {
		n, err := l.printHost(ctx, host)
		lines += n
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}

func (l *logReader) printHost(ctx context.Context, host string) (lines int, err error) {
	in := awsapi.GetDeploymentLogInput{DeploymentId: &l.id, Host: &host}
	if l.event != "" {
		in.Event = &l.event
	}
	for {
		out, err := l.client.log(ctx, &in)
		if err != nil || len(out.Chunks) == 0 {
			return lines, err
		}
		for _, c := range out.Chunks {
			for _, text := range c.Lines {
				l.line(c.Host, c.Event, text)
				lines++
			}
		}
		in.After = out.After
	}
}
