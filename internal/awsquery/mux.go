package awsquery

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
)

// Options are the settings of a Mux.
type Options struct {
	Namespace string       // of the XML, e.g. "https://iam.amazonaws.com/doc/2010-05-08/"
	Version   string       // of the API, e.g. "2010-05-08"
	BodyLimit int64        // longest request body in bytes; 0 means 64 KiB
	Log       *slog.Logger // nil means slog.Default
}

// Mux routes requests to handlers by Action.
type Mux struct {
	namespace string
	version   string
	bodyLimit int64
	log       *slog.Logger
	handlers  map[string]handler
}

// handler decodes the form, runs the operation and returns what to encode, nil for nothing.
type handler func(ctx context.Context, form url.Values) (out any, err error)

// Empty is the output of operations that answer nothing.
type Empty struct{}

// List is a list in a reply. Its element is there even when the list is empty: clients read a list without looking
// whether it is there.
type List[T any] struct {
	Members []T `xml:"member"`
}

// NewMux returns a Mux without operations.
func NewMux(opts Options) *Mux {
	m := &Mux{
		namespace: opts.Namespace, version: opts.Version, bodyLimit: opts.BodyLimit, log: opts.Log, handlers: map[string]handler{},
	}
	if m.bodyLimit == 0 {
		m.bodyLimit = defaultBodyLimit
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	return m
}

// Handle registers fn for an action such as "CreateUser". In is a structure of parameters (see decode), Out one that
// encoding/xml can write. An error of fn that is or wraps an *Error goes to the caller as it is; any other becomes
// InternalFailure, and its text stays in the log. A nil output, or *Empty, is sent without a result. Handle panics when
// the action is registered already.
func Handle[In, Out any](m *Mux, action string, fn func(context.Context, *In) (*Out, error)) {
	if _, ok := m.handlers[action]; ok {
		panic("awsquery: " + action + " is registered twice")
	}
	m.handlers[action] = func(ctx context.Context, form url.Values) (any, error) {
		in := new(In)
		if err := decode(form, in); err != nil {
			return nil, Errorf(http.StatusBadRequest, ValidationError, "%v", err)
		}
		out, err := fn(ctx, in)
		if err != nil || out == nil {
			return nil, err
		}
		if _, empty := any(out).(*Empty); empty {
			return nil, nil
		}
		return out, nil
	}
}

// ServeHTTP answers one request. It keeps a request id that middleware has put into the response's header. A writer that has
// the method Asked(operation string) is told the action once it is known to exist.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := ensureRequestID(w.Header())
	body, action, err := m.serve(w, r, requestID)
	if err != nil {
		WriteError(w, m.visible(r, action, requestID, err))
		return
	}
	write(w, http.StatusOK, body)
}

// serve returns the encoded reply, and the action as soon as it is known.
func (m *Mux) serve(w http.ResponseWriter, r *http.Request, requestID string) (reply []byte, action string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	form, err := m.readForm(w, r)
	if err != nil {
		return nil, "", err
	}
	action = form.Get("Action")
	run, err := m.route(action, form.Get("Version"))
	if err != nil {
		return nil, action, err
	}
	if rec, ok := w.(interface{ Asked(operation string) }); ok {
		rec.Asked(action)
	}
	out, err := run(r.Context(), form)
	if err != nil {
		return nil, action, err
	}
	reply, err = m.encode(action, out, requestID)
	return reply, action, err
}

func (m *Mux) readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || media != formType {
		return nil, Errorf(http.StatusBadRequest, MalformedInput, "got %s with the Content-Type %q; the query protocol is spoken "+
			"with POST / and %s", r.Method, r.Header.Get("Content-Type"), formType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.bodyLimit))
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, Errorf(http.StatusRequestEntityTooLarge, RequestEntityTooLarge, "the body is longer than %d bytes", tooLong.Limit)
	}
	if err != nil {
		return nil, Errorf(http.StatusBadRequest, MalformedInput, "the body ended early: %v", err)
	}
	form, err := parseForm(string(body))
	if err != nil {
		return nil, Errorf(http.StatusBadRequest, MalformedInput, "%v", err)
	}
	return form, nil
}

func (m *Mux) route(action, version string) (handler, error) {
	if action == "" {
		return nil, Errorf(http.StatusBadRequest, MissingAction, "the form has no Action")
	}
	run, ok := m.handlers[action]
	switch {
	case version != m.version:
		return nil, Errorf(http.StatusBadRequest, InvalidAction, "the version is %q; this server speaks %s", version, m.version)
	case !ok:
		return nil, Errorf(http.StatusBadRequest, InvalidAction, "this server does not offer the action %q", action)
	}
	return run, nil
}

// visible returns what the caller may know of err, and logs what it may not.
func (m *Mux) visible(r *http.Request, action, requestID string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if r.Context().Err() != nil {
		m.log.Debug("the caller went away", "action", action, "request", requestID, "error", err)
	} else {
		m.log.Error("an operation failed", "action", action, "request", requestID, "error", err)
	}
	return Errorf(http.StatusInternalServerError, InternalFailure,
		"The server could not do this because of an internal error. Its log tells more about request %s.", requestID)
}

// encode writes <ActionResponse>, with <ActionResult> in it unless out is nil.
func (m *Mux) encode(action string, out any, requestID string) ([]byte, error) {
	var buf bytes.Buffer
	enc := xml.NewEncoder(&buf)
	response := element(action + "Response")
	response.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: m.namespace}}
	if err := enc.EncodeToken(response); err != nil {
		return nil, err
	}
	if out != nil {
		if err := enc.EncodeElement(out, element(action+"Result")); err != nil {
			return nil, fmt.Errorf("encode %T: %w", out, err)
		}
	}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{requestID}
	if err := enc.EncodeElement(metadata, element("ResponseMetadata")); err != nil {
		return nil, err
	}
	if err := enc.EncodeToken(response.End()); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func element(name string) xml.StartElement { return xml.StartElement{Name: xml.Name{Local: name}} }
