// Package cli is the command line of grapnel: a file per command. A command reads its settings, says one plain sentence
// per stage, and leaves the work to the packages that it calls.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the command line in args (without the program's name) and returns the exit code: 0 for success, 1 for a
// failure, which is told on stderr; commands that tell more by it say so in their help. SIGINT and SIGTERM end the command's context, and the command ends in its own time;
// a second one ends it at once.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "grapnel:", err)
		return exitCode(err)
	}
	return 0
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "grapnel",
		Short:         "CodeDeploy that anyone can run",
		Long:          "grapnel is a control plane that speaks the AWS CodeDeploy API: the aws CLI, the SDKs and codedeploy-agent work with it unchanged.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		serverCommand(), followCommand(), logsCommand(),
		userCommand(), keyCommand(), roleCommand(), tokenCommand(), auditCommand(), gitHubTokenCommand(),
		demoCommand(), demoAppCommand(),
	)
	return root
}

// version is the module's version, or the revision that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v
}
