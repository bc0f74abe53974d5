package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// longAgo is before the time of any bubble and of any test: a file of that age is watched by its time stamp alone.
var longAgo = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func age(t *testing.T, path string) {
	t.Helper()
	setTime(t, path, longAgo)
}

func setTime(t *testing.T, path string, modified time.Time) {
	t.Helper()
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

// credentials loads the identity and returns what its credentials are, by access key or error.
func credentials(t *testing.T, path string) (retrieve func() (string, error), log *bytes.Buffer) {
	t.Helper()
	o, log := options(path, nil)
	id, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		c, err := id.Credentials.Retrieve(t.Context())
		return c.AccessKeyID, err
	}, log
}

// Rotated keys hold from the next request on, in whichever way the file was replaced.
func TestRotatedKeys(t *testing.T) {
	t.Parallel()
	profile := "[default]\naws_access_key_id=AK1\naws_secret_access_key=s\n"
	keyFile := file(t, profile)
	for name, test := range map[string]struct{ onPremises, keyFile, content string }{
		"user":    {file(t, userFile), "", userFile},
		"session": {file(t, sessionFile+keyFile), keyFile, profile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := test.keyFile
			if path == "" {
				path = test.onPremises
			}
			age(t, path)
			soon := time.Now().Add(time.Hour)
			retrieve, log := credentials(t, test.onPremises)
			expect := func(want string) {
				t.Helper()
				if got, err := retrieve(); err != nil || got != want {
					t.Errorf("key = %q, %v; want %q", got, err, want)
				}
			}
			expect("AK1")
			overwrite(t, path, strings.Replace(test.content, "AK1", "AK2", 1))
			expect("AK2")
			setTime(t, path, soon)
			expect("AK2")
			overwrite(t, path, strings.Replace(test.content, "AK1", "AK3", 1))
			setTime(t, path, soon) // of the same size, within the same tick of a coarse clock
			expect("AK3")

			age(t, path)
			expect("AK3")
			next := filepath.Join(filepath.Dir(path), "next")
			overwrite(t, next, strings.Replace(test.content, "AK1", "AK4", 1))
			age(t, next)
			if err := os.Rename(next, path); err != nil { // of the same size and time stamp
				t.Fatal(err)
			}
			expect("AK4")
			if !strings.Contains(log.String(), "AK4") || strings.Contains(log.String(), "s/1+") {
				t.Errorf("the log does not tell of the new key, or tells too much:\n%s", log)
			}
		})
	}
}

// A file that has not changed is not read again.
func TestUnchangedFileIsNotRead(t *testing.T) {
	t.Parallel()
	path := file(t, userFile)
	age(t, path)
	retrieve, _ := credentials(t, path)
	if _, err := retrieve(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, strings.Replace(userFile, "AK1", "AK2", 1))
	age(t, path)
	if got, err := retrieve(); err != nil || got != "AK1" {
		t.Errorf("key = %q, %v; want the one of the first read", got, err)
	}
}

// Keys of a session's file are read again in time even when no change of the file is seen.
//
// agent.md 16: 56
func TestSessionKeysAreReadAgain(t *testing.T) {
	t.Parallel()
	profile := "[default]\naws_access_key_id=AK1\naws_secret_access_key=s\n"
	path := file(t, profile)
	onPremises := file(t, sessionFile+path)
	age(t, path)
	synctest.Test(t, func(t *testing.T) {
		retrieve, _ := credentials(t, onPremises)
		expect := func(want string) {
			t.Helper()
			if got, err := retrieve(); err != nil || got != want {
				t.Errorf("key = %q, %v; want %q", got, err, want)
			}
			synctest.Wait()
		}
		expect("AK1")
		overwrite(t, path, strings.Replace(profile, "AK1", "AK2", 1))
		age(t, path)
		time.Sleep(25 * time.Minute)
		expect("AK1")
		time.Sleep(time.Second)
		expect("AK1") // and read behind it
		expect("AK2")
	})
}

// agent.md 16: 57
func TestMissingSessionKeys(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	for _, path := range []string{missing, file(t, ""), file(t, "[other]\naws_access_key_id=a\naws_secret_access_key=s\n"), file(t, "[default]\naws_access_key_id=a\n")} {
		retrieve, _ := credentials(t, file(t, sessionFile+path))
		if _, err := retrieve(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error = %v, want %s named", err, path)
		}
	}
	retrieve, _ := credentials(t, file(t, sessionFile+missing))
	if _, err := retrieve(); err == nil {
		t.Fatal("keys without a file")
	}
	overwrite(t, missing, "[default]\naws_access_key_id=AK1\naws_secret_access_key=s\n")
	if got, err := retrieve(); err != nil || got != "AK1" {
		t.Errorf("once the file is there: %q, %v", got, err)
	}
}

// While a file is being written, or gone for a moment, the agent goes on with the keys it has; but not for ever.
func TestBrokenFileDoesNotStopTheHost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ content, want string }{
		"half written":     {"region: eu-west-1\niam_user_arn: [", "not YAML"},
		"empty":            {"", "restore it"},
		"of another user":  {strings.Replace(userFile, "user/h", "user/other", 1), "restart it"},
		"without the keys": {strings.Replace(userFile, "aws_access", "access", 1), "aws_access_key_id is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, userFile)
			synctest.Test(t, func(t *testing.T) {
				retrieve, log := credentials(t, path)
				if _, err := retrieve(); err != nil {
					t.Fatal(err)
				}
				overwrite(t, path, test.content)
				for range 3 {
					if got, err := retrieve(); err != nil || got != "AK1" {
						t.Errorf("key = %q, %v; want the one in hand", got, err)
					}
				}
				if got := strings.Count(log.String(), test.want); got != 1 || !strings.Contains(log.String(), path) {
					t.Errorf("%d warnings that say %q, want one that names the file:\n%s", got, test.want, log)
				}
				time.Sleep(fileKeysHold)
				if _, err := retrieve(); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error = %v, want the file named and %q", err, test.want)
				}
				overwrite(t, path, userFile)
				if got, err := retrieve(); err != nil || got != "AK1" {
					t.Errorf("once it is whole again: %q, %v", got, err)
				}
			})
		})
	}
}

// source is what a renewing provider reads from.
type source struct {
	mu    sync.Mutex
	reads int
	keys  keys
	err   error
	gate  chan struct{} // a read waits for it, if set
}

func (s *source) read(context.Context) (keys, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.keys, s.err
}

// next makes the source hand out a key that ends after a time.
func (s *source) next(key string, holds time.Duration) {
	s.keys = keys{Credentials: aws.Credentials{AccessKeyID: key, CanExpire: true, Expires: time.Now().Add(holds)}}
	s.err = nil
}

// Keys of a role are renewed in their last five minutes, behind whoever asks; when that fails they are used to their end.
func TestRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s source
		r := &renewing{read: s.read, log: slog.New(slog.DiscardHandler)}
		expect := func(want string, reads int) {
			t.Helper()
			got, err := r.Retrieve(t.Context())
			synctest.Wait()
			if err != nil || got.AccessKeyID != want || s.reads != reads {
				t.Errorf("%q, %v after %d reads; want %q after %d", got.AccessKeyID, err, s.reads, want, reads)
			}
		}
		s.next("first", time.Hour)
		expect("first", 1)
		time.Sleep(55 * time.Minute)
		expect("first", 1)

		s.err = errors.New("busy")
		time.Sleep(time.Second)
		expect("first", 2)
		expect("first", 2) // not with every request
		time.Sleep(renewPause)
		expect("first", 3)

		s.next("second", time.Hour)
		time.Sleep(renewPause)
		expect("first", 4)
		expect("second", 4)

		s.err = errors.New("busy")
		time.Sleep(time.Until(s.keys.Expires) - time.Nanosecond)
		expect("second", 5)
		time.Sleep(time.Nanosecond)
		if _, err := r.Retrieve(t.Context()); !errors.Is(err, s.err) {
			t.Errorf("after their end: %v, want the source's error", err)
		}
		s.next("third", time.Hour)
		expect("third", 7)

		s.next("stale", -time.Minute) // handed out by EC2 when it has no better: maybe the service takes them
		time.Sleep(time.Hour)
		expect("stale", 8)
		expect("stale", 9)
	})
}

// However many requests find the keys at their end, they are fetched once; who gives up waiting does not stop the others.
func TestOneRenewalAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := source{gate: make(chan struct{})}
		s.next("key", time.Hour)
		r := &renewing{read: s.read, log: slog.New(slog.DiscardHandler)}
		impatient, cancel := context.WithCancelCause(t.Context())
		gaveUp := errors.New("gave up")
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := r.Retrieve(impatient); !errors.Is(err, gaveUp) {
				t.Errorf("error = %v, want the cause", err)
			}
		})
		synctest.Wait()
		for range 10 {
			waiting.Go(func() {
				if c, err := r.Retrieve(t.Context()); err != nil || c.AccessKeyID != "key" {
					t.Errorf("%q, %v", c.AccessKeyID, err)
				}
			})
		}
		synctest.Wait()
		cancel(gaveUp)
		synctest.Wait()
		close(s.gate)
		waiting.Wait()
		if s.reads != 1 {
			t.Errorf("%d reads, want 1", s.reads)
		}
	})
}
