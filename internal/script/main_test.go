//go:build unix

package script

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childCase makes the test binary behave as a script instead of running tests. Its value is the name of a case below.
const childCase = "GRAPNEL_SCRIPT_TEST_CASE"

func TestMain(m *testing.M) {
	if name := os.Getenv(childCase); name != "" {
		os.Exit(child(name))
	}
	os.Exit(m.Run())
}

// child is a script that behaves in the way its name says, and returns its exit code. What it must leave behind or wait for
// is bounded by a minute, so that a failed test leaves no process for long.
func child(name string) int {
	switch name {
	case "hello":
		fmt.Println("out 1")
		fmt.Println("out 2")
		fmt.Fprint(os.Stderr, "err without newline")
	case "exit-3":
		return 3
	case "kill-itself":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "stdin":
		data, err := io.ReadAll(os.Stdin)
		fmt.Printf("%d %v\n", len(data), err)
	case "environment":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "directory":
		dir, _ := os.Getwd()
		fmt.Println(dir)
	case "identity":
		groups, _ := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
	case "group":
		fmt.Println(os.Getpid(), syscall.Getpgrp())
	case "sleep":
		fmt.Println("begin")
		time.Sleep(time.Minute)
	case "ignore-term":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "end-on-term":
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		<-terminated
		fmt.Println("cleaned up")
		return 7
	case "child-ignores-term":
		leave("ignore-term", os.Stdout, os.Stderr)
		time.Sleep(time.Minute)
	case "leak-stdout":
		leave("sleep", os.Stdout, nil)
	case "leak-stderr":
		leave("sleep", nil, os.Stderr)
		fmt.Println("done")
	case "crashing-agent":
		return crashingAgent()
	case "agent-without-root":
		return agentWithoutRoot()
	case "daemon":
		leave("sleep", nil, nil)
	case "many-lines":
		w := bufio.NewWriter(os.Stdout)
		for i := range 200_000 {
			fmt.Fprintf(w, "%08d%s\n", i, strings.Repeat(".", 91))
		}
		w.Flush()
	case "no-newline":
		piece := []byte(strings.Repeat("x", 1<<20))
		for range 200 {
			os.Stdout.Write(piece)
		}
	default:
		return 99
	}
	return 0
}

// leave leaves a process of the given case behind.
func leave(name string, stdout, stderr *os.File) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childCase+"="+name)
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if stderr != nil {
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// crashingAgent announces a script, starts it, and is killed before it can record which process it is.
func crashingAgent() int {
	g, err := Announce()
	if err != nil {
		panic(err)
	}
	stored, err := json.Marshal(g)
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Getenv("RECORD"), stored, 0o644); err != nil {
		panic(err)
	}
	Run(context.Background(), Command{
		Path: os.Getenv("SCRIPT"), ID: g.ID, Env: []string{"FIFO=" + os.Getenv("FIFO")},
		Started: func(int) { syscall.Kill(os.Getpid(), syscall.SIGKILL) },
	})
	return 98
}
