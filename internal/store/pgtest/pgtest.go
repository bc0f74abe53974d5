// Package pgtest starts a PostgreSQL server for tests: in a folder of its own, gone when the test ends.
package pgtest

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
)

const install = "PostgreSQL is missing; install it with: apt-get install postgresql"

// Cluster is a running server.
type Cluster struct {
	folder    string // its data, and the socket it listens on
	databases atomic.Int64
}

// Start starts a server and stops it when t and its subtests have ended. It skips t where PostgreSQL is not installed.
// Tests of one binary that need a server should be subtests of one test: starting takes about a second.
func Start(t testing.TB) *Cluster {
	t.Helper()
	bin := programs(t)
	owner := account(t)
	// Not t.TempDir: the account of the server could not look into it, and a socket's path must stay under 108 bytes.
	folder, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if owner != nil {
		if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		return cmd
	}
	initdb := run(filepath.Join(bin, "initdb"), "--pgdata", folder, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// The shell ends the server when its input ends, and so also when this process is killed.
	serve(t, run("/bin/sh", "-c", `"$@" & read -r _; kill -INT $!; wait`, "sh",
		filepath.Join(bin, "postgres"), "-D", folder, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=300"))
	return &Cluster{folder: folder}
}

// serve starts the server and waits until it says that it is ready.
func serve(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready to accept connections") {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "FATAL") {
			stop.Close()
			t.Fatalf("postgres did not start:\n%s", said.String())
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, log)
	}()
	t.Cleanup(func() {
		stop.Close()
		<-drained
		// The exit status is that of a server told to stop.
		_ = cmd.Wait()
	})
}

// Database makes an empty database and returns its address.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	db, err := sql.Open("pgx", c.address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return c.address(name)
}

func (c *Cluster) address(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=postgres", database, c.folder)
}

// programs returns the folder of the newest server that is installed; Debian keeps them outside PATH.
func programs(t testing.TB) string {
	t.Helper()
	var newest string
	var version int
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	for _, path := range found {
		bin := filepath.Dir(path)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && v > version {
			newest, version = bin, v
		}
	}
	if newest == "" {
		path, err := exec.LookPath("postgres")
		if err != nil {
			t.Skip(install)
		}
		newest = filepath.Dir(path)
	}
	return newest
}

// account returns whom the server runs as: PostgreSQL refuses to run as root. nil means as we are.
func account(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("PostgreSQL does not run as root, and there is no user postgres; " + install)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		t.Fatalf("user postgres has odd ids %s and %s", u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
