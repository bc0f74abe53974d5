package logfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lineHandler writes records in the form of stock agents, which people's log shippers know (agent.md 11):
//
//	2026-11-22T12:30:00 INFO  [codedeploy-agent(4711)]: message key=value
type lineHandler struct {
	mu      *sync.Mutex
	out     io.Writer
	program string
	level   slog.Level
	attrs   []slog.Attr
}

// NewLogger returns a log in that form. verbose includes what is only of interest when something is looked for.
func NewLogger(out io.Writer, program string, verbose bool) *slog.Logger {
	h := &lineHandler{mu: &sync.Mutex{}, out: out, program: program}
	if verbose {
		h.level = slog.LevelDebug
	}
	return slog.New(h)
}

// Enabled implements [slog.Handler].
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements [slog.Handler]. A message of several lines stays one record: its further lines are indented.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %-5s [%s(%d)]: %s", r.Time.Format("2006-01-02T15:04:05"), r.Level, h.program, os.Getpid(), r.Message)
	for _, a := range h.attrs {
		writeAttr(&b, a)
	}
	r.Attrs(func(a slog.Attr) bool { writeAttr(&b, a); return true })
	line := bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\n  "))
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.out.Write(append(line, '\n'))
	return err
}

func writeAttr(b *bytes.Buffer, a slog.Attr) {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Millisecond).String())
	}
	fmt.Fprintf(b, " %s=%q", a.Key, a.Value.String())
}

// WithAttrs implements [slog.Handler].
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return &with
}

// WithGroup implements [slog.Handler]; the form has no groups.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }
