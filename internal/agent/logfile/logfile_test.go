package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var usual = Modes{0o755, 0o644}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// A log that was written last on an earlier day is rolled at the first line of the new one, and seven are kept.
//
// agent.md 16: 198
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
	f, err := OpenDaily(dir, "agent", usual)
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
	f := &Sized{Path: path, Keep: 8, Modes: usual}
	defer f.Close()
	for i := range f.Keep + 2 {
		f.size = rollSize // as if it were full
		if _, err := f.Write([]byte{'0' + byte(i), '\n'}); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, path); got != "9\n" {
		t.Errorf("the current log holds %q, want the last line", got)
	}
	if got := readFile(t, numbered(path, f.Keep-1)); got != "2\n" {
		t.Errorf("the oldest log holds %q", got)
	}
	if exists(numbered(path, f.Keep)) {
		t.Errorf("more than %d files", f.Keep)
	}
}

// A log goes on when somebody removes its file, or puts something else in its place, whatever that does to rolling.
func TestRollingSurvivesOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "scripts.log")
	f := &Sized{Path: path, Keep: 8, Modes: usual}
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
	f.Path = filepath.Join(path, "none", "scripts.log")
	write("4\n")
	write("5\n")
	if got := readFile(t, path); got != "3\n4\n5\n" {
		t.Errorf("a log that cannot be rolled holds %q", got)
	}
}

func TestDailyLogIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := OpenDaily(dir, "agent", usual)
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

// A crash between the two renames of a roll loses nothing: the next roll finishes it first.
func TestRollThatWasCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "scripts.log")
	writeFile(t, path+".rolled", "1\n")
	writeFile(t, path, "2\n")
	f := &Sized{Path: path, Keep: 8, Modes: usual}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.size = rollSize // as if it were full
	if _, err := f.Write([]byte("3\n")); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{path: "3\n", numbered(path, 1): "2\n", numbered(path, 2): "1\n"} {
		if got := readFile(t, at); got != want {
			t.Errorf("%s holds %q, want %q", at, got, want)
		}
	}
}

// agent.md 16: 202
func TestModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	daily, err := OpenDaily(dir, "agent", Modes{0o750, 0o640})
	if err != nil {
		t.Fatal(err)
	}
	defer daily.Close()
	for path, want := range map[string]fs.FileMode{dir: 0o750, filepath.Join(dir, "agent.log"): 0o640} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, info.Mode(), err, want)
		}
	}
}
