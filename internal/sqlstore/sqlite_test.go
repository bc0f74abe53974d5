package sqlstore

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/store"
)

// TestMain lets the test binary be the program that gets killed.
func TestMain(m *testing.M) {
	if file := os.Getenv("SQLSTORE_TEST_WRITE"); file != "" {
		writeForever(file)
	}
	os.Exit(m.Run())
}

// writeForever creates users from several sides and says so after each.
func writeForever(file string) {
	s, err := Open(context.Background(), file, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	for side := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", side, i)
				if err := s.CreateUser(context.Background(), store.User{Name: name, Path: "/"}); err != nil {
					panic(err)
				}
				fmt.Println(name)
			}
		}()
	}
	select {}
}

func TestKilledWriter(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "grapnel.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SQLSTORE_TEST_WRITE="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var told []string
	lines := bufio.NewReader(out)
	for line, err := lines.ReadString('\n'); err == nil; line, err = lines.ReadString('\n') {
		if told = append(told, strings.TrimSuffix(line, "\n")); len(told) == 200 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // "signal: killed"
	if len(told) < 200 {
		t.Fatalf("the writer ended by itself after %d writes", len(told))
	}

	s := open(t, file)
	for _, name := range told {
		if _, err := s.User(t.Context(), name); err != nil {
			t.Errorf("a write that was told to be durable is gone: %v", err)
		}
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "odd name?mode=ro#%41.db")
	s := open(t, file)
	if err := s.CreateUser(t.Context(), store.User{Name: "web1", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, file).User(t.Context(), "web1"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	notADatabase := filepath.Join(t.TempDir(), "notes.db")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{notADatabase, filepath.Join(t.TempDir(), "no such folder", "grapnel.db"), "postgres:///x?host=/nowhere"} {
		_, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Fatalf("opened %s", dsn)
		}
		if !strings.Contains(err.Error(), dsn) && !strings.Contains(err.Error(), "PostgreSQL") {
			t.Errorf("the error does not say what could not be opened: %v", err)
		}
	}
}

// A database of a later version, or of one that never was, is left alone, and the message says what to do.
func TestUnknownSchema(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]string{
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`: "has schema 99999",
		`DELETE FROM goose_db_version WHERE version_id = 3`:                       "without step 3",
	} {
		file := filepath.Join(t.TempDir(), "grapnel.db")
		open(t, file).Close()
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(change); err != nil {
			t.Fatal(err)
		}
		db.Close()
		_, err = Open(t.Context(), file, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "start the version of grapnel") {
			t.Errorf("%s: %v, want an error that says %q and what to do", change, err, want)
		}
	}
}

// TestClose closes while writes are under way: each is stored or refused, and says which.
func TestClose(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "grapnel.db")
	s := open(t, file)
	const writes = 200
	results := make([]error, writes)
	var done sync.WaitGroup
	begun := make(chan struct{}, writes)
	for i := range writes {
		done.Go(func() {
			begun <- struct{}{}
			results[i] = s.CreateUser(context.Background(), store.User{Name: fmt.Sprint(i), Path: "/"})
		})
	}
	for range writes / 2 {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if err := s.DeleteUser(t.Context(), "0"); !errors.Is(err, ErrClosed) {
		t.Errorf("write after Close: got %v, want %v", err, ErrClosed)
	}
	if _, err := s.User(t.Context(), "0"); !errors.Is(err, ErrClosed) {
		t.Errorf("read after Close: got %v, want %v", err, ErrClosed)
	}
	again := open(t, file)
	for i, result := range results {
		_, err := again.User(t.Context(), fmt.Sprint(i))
		switch {
		case result == nil && err != nil:
			t.Errorf("write %d succeeded, but: %v", i, err)
		case result != nil && !errors.Is(result, ErrClosed):
			t.Errorf("write %d: got %v, want %v", i, result, ErrClosed)
		case result != nil && err == nil:
			t.Errorf("write %d was refused and is stored", i)
		}
	}
}

func createUser(name string) func(*tx) error {
	return func(t *tx) error {
		_, err := t.exec(`INSERT INTO users (name, path, id, created_at) VALUES ($1, '/', '', 0)`, name)
		return err
	}
}

// inOneBatch runs the writes in one transaction of the writer, which it keeps busy until all of them wait.
func inOneBatch(t *testing.T, s *Store, writes ...func(*tx) error) []error {
	t.Helper()
	db := s.database.(*sqliteDB)
	busy, release := make(chan struct{}), make(chan struct{})
	results := make([]error, len(writes))
	var done sync.WaitGroup
	done.Go(func() {
		_ = db.update(t.Context(), func(*tx) error { close(busy); <-release; return nil })
	})
	<-busy
	waiting := make([]*pendingWrite, len(writes))
	for i, fn := range writes {
		waiting[i] = &pendingWrite{fn, make(chan error, 1)}
		if err := db.enqueue(t.Context(), waiting[i]); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	done.Wait()
	for i, w := range waiting {
		results[i] = <-w.done
	}
	return results
}

func userNames(t *testing.T, s *Store) string {
	t.Helper()
	users, err := s.Users(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "grapnel.db"))
	wrong := errors.New("wrong")
	results := inOneBatch(t, s,
		createUser("a"),
		func(t *tx) error { return errors.Join(createUser("half")(t), wrong) },
		createUser("a"), // a constraint fails
		createUser("b"),
	)
	if results[0] != nil || !errors.Is(results[1], wrong) || !isUnique(results[2]) || results[3] != nil {
		t.Errorf("results: %v", results)
	}
	if got := userNames(t, s); got != "a b" {
		t.Errorf("stored users: %s", got)
	}
}

// TestPanic lets writes and reads panic: a write fails alone, and a read leaves its connection as it was.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "grapnel.db"))
	results := inOneBatch(t, s, createUser("a"), func(*tx) error { panic("a row that nobody foresaw") }, createUser("b"))
	if results[0] != nil || results[1] == nil || results[2] != nil {
		t.Errorf("results: %v, want the second to fail alone", results)
	}
	for range sqliteReaders + 1 {
		func() {
			defer func() { _ = recover() }()
			_ = s.view(t.Context(), func(*tx) error { panic("a row that nobody foresaw") })
		}()
	}
	if err := s.view(t.Context(), func(*tx) error { return nil }); err != nil {
		t.Errorf("a read after reads that panicked: %v", err)
	}
	if got := userNames(t, s); got != "a b" {
		t.Errorf("stored users: %s", got)
	}
}

// TestBrokenBatch ends the transaction under a batch, as SQLite does on some errors of the disk.
func TestBrokenBatch(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "grapnel.db"))
	results := inOneBatch(t, s,
		createUser("before"),
		func(t *tx) error {
			_, err := t.exec("ROLLBACK")
			return errors.Join(err, io.ErrUnexpectedEOF)
		},
		createUser("after"),
	)
	for i, err := range results {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("write %d: got %v, want what broke the batch", i, err)
		}
	}
	if got := userNames(t, s); got != "" {
		t.Errorf("stored users: %s", got)
	}
	if err := s.CreateUser(t.Context(), store.User{Name: "later", Path: "/"}); err != nil {
		t.Error(err)
	}
}

// TestFullDisk fills the file. The write that does not fit fails and says why; nothing of it stays, and what fits goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "grapnel.db"))
	limit := func(pages string) {
		if err := s.update(t.Context(), func(t *tx) error {
			_, err := one(t, column[int], "PRAGMA max_page_count = "+pages)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // SQLite takes the present size
	results := inOneBatch(t, s, createUser("small"), createUser(strings.Repeat("x", 1<<20)), createUser("little"))
	if results[1] == nil || !strings.Contains(results[1].Error(), "full") {
		t.Errorf("a write on a full disk: %v", results[1])
	}
	var want []string
	for i, name := range []string{"small", "", "little"} {
		if results[i] == nil {
			want = append(want, name)
		}
	}
	if got, want := userNames(t, s), strings.Join([]string{"little", "small"}[2-len(want):], " "); got != want {
		t.Errorf("stored users: %q, told %q (%v)", got, want, results)
	}
	limit("1000000")
	if err := s.CreateUser(t.Context(), store.User{Name: "later", Path: "/"}); err != nil {
		t.Error(err)
	}
}

// TestHotStatementsUseIndexes looks at how SQLite would run what every poll and every round runs: none may read a whole
// table, or the cost of a round would grow with what is finished.
func TestHotStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "grapnel.db"))
	for name, text := range map[string]string{
		"poll":       nextCommand,
		"deployment": selectDeployment + `WHERE d.id = $1`,
		"targets":    selectTarget + `WHERE t.deployment_id = $1`,
		"unsettled":  selectUnsettled,
		"bundles":    selectOpenBundles,
		"live":       selectLive,
		"ARN":        selectHost + `WHERE arn = $1 AND deregistered_at = 0`,
		"access key": selectAccessKey + `WHERE id = $1`,
		"user keys":  selectAccessKey + ofUser,
		"list":       `SELECT d.id FROM deployments d ORDER BY d.created_at DESC, d.id DESC LIMIT $1`,
	} {
		err := s.view(t.Context(), func(tx *tx) error {
			return tx.query(func(row scanner) error {
				var id, parent, unused int
				var detail string
				err := row.Scan(&id, &parent, &unused, &detail)
				if strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "USING") {
					t.Errorf("%s: %s", name, detail)
				}
				return err
			}, "EXPLAIN QUERY PLAN "+text, "a", "b", "c")
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBubble runs the store under a clock that stands still while anybody works, as the simulation does.
func TestBubble(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "grapnel.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, file)
		begin := time.Now()
		for day := range 10 {
			if err := s.CreateUser(t.Context(), store.User{Name: fmt.Sprint(day), Path: "/"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
		}
		if got := userNames(t, s); got != "0 1 2 3 4 5 6 7 8 9" {
			t.Errorf("stored users: %s", got)
		}
		if got := time.Since(begin); got != 240*time.Hour {
			t.Errorf("the clock moved by %v, want ten days", got)
		}
	})
}
