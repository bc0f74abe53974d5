package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// demoAppCommand is the application that the demo deploys: a real process that answers HTTP, so that the demo needs
// nothing but this program.
func demoAppCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "demo-app", Short: "The application that the demo deploys", Hidden: true}
	serve := &cobra.Command{
		Use:   "serve ADDRESS FOLDER PIDFILE",
		Short: "Serve the folder's files; the pid file is there while it does",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return serveFolder(cmd.Context(), args[0], args[1], args[2])
		},
	}
	check := &cobra.Command{
		Use:   "check URL TEXT",
		Short: "Wait up to 5 s for an answer and compare it",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkURL(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
		},
	}
	cmd.AddCommand(serve, check)
	return cmd
}

func serveFolder(ctx context.Context, address, folder, pidFile string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return err
	}
	defer os.Remove(pidFile)
	srv := &http.Server{Handler: http.FileServer(http.Dir(folder)), ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// checkURL fails unless the address answers with exactly text.
func checkURL(ctx context.Context, out io.Writer, url, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := get(ctx, url)
	for err != nil && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // the application is still starting
		got, err = get(ctx, url)
	}
	if err != nil {
		return err
	}
	if got != text {
		return fmt.Errorf("%s answers %q, want %q", url, got, text)
	}
	fmt.Fprintf(out, "%s answers %q\n", url, got)
	return nil
}

func get(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

// stopProcess ends the process whose id the file holds, if there is one.
func stopProcess(pidFile string) {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil || pid <= 1 {
		return
	}
	if p, err := os.FindProcess(pid); err == nil {
		p.Signal(os.Interrupt) // gone already is what we want
	}
}
