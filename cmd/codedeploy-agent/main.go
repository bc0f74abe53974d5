// Command codedeploy-agent is the host agent: a drop-in for the AWS CodeDeploy agent on Linux (agent.md 1.1). The same
// binary answers as codedeploy-local when it is called by that name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"grapnel/internal/agent"
	"grapnel/internal/agent/config"
	"grapnel/internal/agent/doctor"
	"grapnel/internal/agent/join"
	"grapnel/internal/agent/local"
)

const usage = `Usage: codedeploy-agent [--config-file PATH] COMMAND

Commands:
  start     run in the foreground until TERM, INT or QUIT; running lifecycle events are finished first
  stop      end the running agent; refused while a lifecycle event is in progress
  status    say whether the agent is running
  restart   stop, then start
  join URL --token TOKEN
            make this machine a host of a Grapnel server; --help tells its options
  rotate-key
            give this host a new key; the agent takes it up without a restart
  doctor    look at everything the agent needs on this host and say what to do about what is wrong
  deploy-local
            deploy a bundle to this host without a service; the same as codedeploy-local, --help tells its options
  help      print this text

Options:
  --config-file PATH  configuration file; also --config_file. Without it the first that exists of
                      /etc/codedeploy-agent/conf/codedeployagent.yml and /opt/codedeploy-agent/conf/codedeployagent.yml
  --json              doctor: print one JSON document instead of lines for people
  -v, --version       print the version
`

// memoryAim is where the collector begins to work harder, in bytes. Bundles are streamed, so that little is ever needed.
const memoryAim = 24 << 20

// Exit codes (agent.md 1.1).
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
	exitUnknown    = 4 // status cannot be told
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	debug.SetMemoryLimit(memoryAim)
	run := Main
	if filepath.Base(os.Args[0]) == "codedeploy-local" {
		run = local.Main
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// programs are the commands with options of their own, among them --config-file, before the command and after it.
var programs = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) int{
	"deploy-local": local.Main,
	"join":         join.Main,
	"rotate-key":   join.Rotate,
}

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	for i, arg := range args {
		if run, ok := programs[arg]; ok {
			return run(ctx, slices.Delete(slices.Clone(args), i, i+1), stdout, stderr)
		}
	}
	line, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n\n%s", err, usage)
		return exitUsage
	}
	switch line.command {
	case "help":
		fmt.Fprint(stdout, usage)
		return exitOK
	case "version":
		fmt.Fprintln(stdout, "codedeploy-agent "+config.Version)
		return exitOK
	case "doctor":
		return doctor.Main(ctx, doctor.Options{ConfigFile: line.configFile, JSON: line.json}, stdout)
	}
	cfg, warnings, err := config.Load(line.configFile)
	if err != nil {
		fmt.Fprintln(stderr, "error: "+err.Error())
		return exitFailed
	}
	if line.command == "status" {
		return status(cfg, stdout, stderr)
	}
	if err := run(ctx, line.command, cfg, warnings, stderr); err != nil {
		fmt.Fprintln(stderr, "error: "+err.Error())
		return exitFailed
	}
	return exitOK
}

func run(ctx context.Context, command string, cfg config.Config, warnings []string, stderr io.Writer) error {
	if command == "stop" || command == "restart" {
		if err := agent.Stop(ctx, cfg); err != nil {
			return err
		}
	}
	if command == "stop" {
		return nil
	}
	return agent.Start(ctx, cfg, warnings, stderr)
}

// status prints the words of stock agents, from which scripts take the process number.
func status(cfg config.Config, stdout, stderr io.Writer) int {
	pid, err := agent.Status(cfg)
	switch {
	case err == nil:
		fmt.Fprintf(stdout, "The AWS CodeDeploy agent is running as PID %d\n", pid)
		return exitOK
	case errors.Is(err, agent.ErrNotRunning):
		fmt.Fprintln(stderr, "error: No AWS CodeDeploy agent running")
		return exitNotRunning
	default:
		fmt.Fprintln(stderr, "error: "+err.Error())
		return exitUnknown
	}
}

// commandLine is what was asked for.
type commandLine struct {
	command    string
	configFile string // "" = the usual places
	json       bool
}

// parse reads the command and the options, which may come before or after it, with either spelling of --config-file.
func parse(args []string) (line commandLine, err error) {
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		switch name {
		case "--config-file", "--config_file":
			if !hasValue {
				i++
				if i == len(args) {
					return line, fmt.Errorf("%s needs a path", name)
				}
				value = args[i]
			}
			if value == "" {
				return line, fmt.Errorf("%s needs a path", name)
			}
			line.configFile = value
		case "--json":
			line.json = true
		case "-v", "--version":
			return commandLine{command: "version"}, nil
		case "-h", "--help", "help":
			return commandLine{command: "help"}, nil
		case "start", "stop", "status", "restart", "doctor":
			if line.command != "" {
				return line, fmt.Errorf("%s and %s: one command at a time", line.command, name)
			}
			line.command = name
		default:
			return line, fmt.Errorf("%q is no command or option", args[i])
		}
	}
	switch {
	case line.command == "":
		return line, errors.New("no command given")
	case line.json && line.command != "doctor":
		return line, fmt.Errorf("%s knows no --json, doctor does", line.command)
	}
	return line, nil
}
