package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestLogLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, "codedeploy-agent", false)
	log.Debug("unseen")
	log.With(slog.String("id", "c-1")).Warn("two\nlines", slog.Duration("after", 1234567*time.Microsecond))
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d WARN  \[codedeploy-agent\(\d+\)\]: two\n  lines id="c-1" after="1.235s"\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got %q, want %v", out.String(), want)
	}
}

// A log that was written last on an earlier day is rolled at the first line of the new one, and seven are kept.
func TestDailyLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, day := range []string{"01", "02", "03", "04", "05", "06", "07"} {
		writeFile(t, filepath.Join(dir, "agent.202001"+day+".log"), day)
	}
	writeFile(t, filepath.Join(dir, "agent.log"), "yesterday\n")
	yesterday := time.Now().AddDate(0, 0, -1)
	if err := os.Chtimes(filepath.Join(dir, "agent.log"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	f, err := openDaily(dir, "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if _, err := f.Write([]byte("today\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, filepath.Join(dir, "agent.log")); got != "today\ntoday\n" {
		t.Errorf("agent.log holds %q", got)
	}
	if got := readFile(t, filepath.Join(dir, "agent."+yesterday.Format(dayForm)+".log")); got != "yesterday\n" {
		t.Errorf("yesterday's log holds %q", got)
	}
	if exists(filepath.Join(dir, "agent.20200101.log")) || !exists(filepath.Join(dir, "agent.20200102.log")) {
		t.Error("want the oldest of eight rolled logs removed")
	}
}

func TestSizedLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "logs", "scripts.log")
	f, err := openSized(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range rollFiles + 2 {
		f.size = rollSize // as if it were full
		if _, err := f.Write([]byte{'0' + byte(i), '\n'}); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, path); got != "9\n" {
		t.Errorf("the current log holds %q, want the last line", got)
	}
	if got := readFile(t, numbered(path, rollFiles-1)); got != "2\n" {
		t.Errorf("the oldest log holds %q", got)
	}
	if exists(numbered(path, rollFiles)) {
		t.Errorf("more than %d files", rollFiles)
	}
}

// A log goes on when somebody removes its file, or puts something else in its place, whatever that does to rolling.
func TestRollingSurvivesOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "scripts.log")
	f, err := openSized(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.Close() }()
	write := func(line string) {
		t.Helper()
		f.size = rollSize // as if it were full
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	write("1\n")
	write("2\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("3\n")
	if got, older := readFile(t, path), readFile(t, numbered(path, 1)); got != "3\n" || older != "1\n" {
		t.Errorf("after its removal the log holds %q, the older one %q", got, older)
	}
	// The next file cannot be opened: its folder is gone.
	f.path = filepath.Join(filepath.Dir(path), "none", "scripts.log")
	write("4\n")
	write("5\n")
	if got := readFile(t, path); got != "3\n4\n5\n" {
		t.Errorf("a log that cannot be rolled holds %q", got)
	}
}

func TestDailyLogIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := openDaily(dir, "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.Close() }()
	if err := os.Remove(filepath.Join(dir, "agent.log")); err != nil {
		t.Fatal(err)
	}
	f.day = f.day.AddDate(0, 0, -1)
	if _, err := f.Write([]byte("today\n")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(dir, "agent.log")); got != "today\n" {
		t.Errorf("agent.log holds %q", got)
	}
}

func TestMountOf(t *testing.T) {
	t.Parallel()
	m, err := mountOf("/proc/self/not/there")
	if err != nil || m.point != "/proc" {
		t.Errorf("mount = %+v, %v; want /proc", m, err)
	}
	if got := unescapeMount(`/mnt/my\040disk\134x`); got != `/mnt/my disk\x` {
		t.Errorf("unescaped to %q", got)
	}
	if err := (mount{point: "/var", bytes: 3 << 20, files: 5}).check("it", "/var/app", 1, 6); err == nil {
		t.Error("no error without inodes")
	}
	if err := (mount{point: "/var", bytes: 3 << 20, files: -1}).check("it", "/var/app", 3<<20, 6); err != nil {
		t.Errorf("a file system without a fixed number of inodes: %v", err)
	}
}
