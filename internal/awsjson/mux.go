package awsjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
)

// Options are the settings of a Mux.
type Options struct {
	BodyLimit int64        // longest request body in bytes; 0 means 1 MiB
	Log       *slog.Logger // nil means slog.Default
}

// Mux routes requests to handlers by X-Amz-Target.
type Mux struct {
	bodyLimit int64
	log       *slog.Logger
	handlers  map[string]handler
	only      handler // of a Mux that is made by Single
}

// handler decodes the body, runs the operation and returns what to encode.
type handler func(ctx context.Context, body []byte) (out any, err error)

// Empty is the output of operations that answer nothing; it is sent as {}.
type Empty struct{}

// NewMux returns a Mux without operations.
func NewMux(opts Options) *Mux {
	m := &Mux{bodyLimit: opts.BodyLimit, log: opts.Log, handlers: map[string]handler{}}
	if m.bodyLimit == 0 {
		m.bodyLimit = defaultBodyLimit
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	return m
}

// Handle registers fn for a target such as "CodeDeploy_20141006.GetApplication". An error of fn that is or wraps an
// *Error goes to the caller as it is; any other becomes InternalFailure, and its text stays in the log. A nil output is
// sent as {}. Handle panics when the target is registered already.
func Handle[In, Out any](m *Mux, target string, fn func(context.Context, *In) (*Out, error)) {
	if _, ok := m.handlers[target]; ok {
		panic("awsjson: " + target + " is registered twice")
	}
	m.handlers[target] = operation(fn)
}

// Single returns a handler of one operation that a request asks for by its path: X-Amz-Target and Content-Type may be
// anything.
func Single[In, Out any](opts Options, fn func(context.Context, *In) (*Out, error)) *Mux {
	m := NewMux(opts)
	m.only = operation(fn)
	return m
}

// operation returns what decodes the input of fn and runs it.
func operation[In, Out any](fn func(context.Context, *In) (*Out, error)) handler {
	return func(ctx context.Context, body []byte) (any, error) {
		in := new(In)
		if len(bytes.TrimSpace(body)) > 0 {
			if err := decode(body, in); err != nil {
				return nil, Errorf(SerializationException, "%v", err)
			}
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return Empty{}, nil
		}
		return out, nil
	}
}

// Targets returns every registered target in alphabetical order.
func (m *Mux) Targets() []string { return slices.Sorted(maps.Keys(m.handlers)) }

// ServeHTTP answers one request. It keeps a request id that middleware has put into the response's header.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	exchange := &exchange{requestID: ensureRequestID(w.Header())}
	body, err := m.serve(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, exchange)))
	if err != nil {
		WriteError(w, m.visible(r, exchange.requestID, err))
		exchange.finish(err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, err = w.Write(body)
	exchange.finish(errors.Join(err, flush(w, exchange), r.Context().Err()))
}

// serve returns the encoded output of the operation.
func (m *Mux) serve(w http.ResponseWriter, r *http.Request) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	run, err := m.route(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.bodyLimit))
	if err != nil {
		return nil, bodyError(err)
	}
	out, err := run(r.Context(), body)
	if err != nil {
		return nil, err
	}
	return encode(out)
}

func (m *Mux) route(r *http.Request) (handler, error) {
	if r.Method != http.MethodPost {
		return nil, Errorf(UnknownOperationException, "got %s; %s", r.Method, methodNotPostHint)
	}
	if m.only != nil {
		return m.only, nil
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != contentType {
		return nil, Errorf(UnknownOperationException, "the Content-Type is %q; it must be %s", r.Header.Get("Content-Type"), contentType)
	}
	target := r.Header.Get(targetHeader)
	if run, ok := m.handlers[target]; ok {
		return run, nil
	}
	return nil, Errorf(UnknownOperationException, "there is no operation %q; %s", target, methodNotPostHint)
}

func bodyError(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return Errorf(SerializationException, "the body is longer than %d bytes; send less in one call", tooLong.Limit)
	}
	return Errorf(SerializationException, "the body ended early: %v", err)
}

// visible returns what the caller may know of err, and logs what it may not.
func (m *Mux) visible(r *http.Request, requestID string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	target := r.Header.Get(targetHeader)
	if r.Context().Err() != nil {
		m.log.Debug("the caller went away", "target", target, "request", requestID, "error", err)
	} else {
		m.log.Error("an operation failed", "target", target, "request", requestID, "error", err)
	}
	return &Error{
		Name:    InternalFailure,
		Message: "The server could not do this because of an internal error. Its log tells more about request " + requestID + ".",
		Status:  http.StatusInternalServerError,
	}
}

// encode leaves <, > and & as they are: messages with URLs and names in angle brackets stay readable in logs and traces.
func encode(value any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}
