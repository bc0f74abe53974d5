package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/awsquery"
	"grapnel/internal/objects"
	"grapnel/internal/ratelimit"
	"grapnel/internal/sigv4"
)

// service is one AWS service that the server speaks: the name in the credential scope of its requests.
type service struct {
	handler http.Handler
	refuse  func(w http.ResponseWriter, r *http.Request, err error)
	target  string // prefix of X-Amz-Target; "" when the service has none
	// uploads says that bodies are read by the handler and may be long; those of other services are read before they are
	// verified.
	uploads bool
	// anyRegion is for services whose clients sign what they happen to be set to (architecture.md 1).
	anyRegion bool
	// audited says that what changes something is put on record.
	audited bool
	// requestID is the header in which replies name the request.
	requestID string
	// allow decides who may do what, for services that do not decide it for each operation themselves.
	allow func(r *http.Request, id auth.Identity) error
}

// Names that a request may have in the metrics and on record: operations, and methods of S3 and the query services.
var (
	operations = func() map[string]bool {
		names := map[string]bool{}
		for _, op := range slices.Concat(awsapi.Operations, awsapi.CommandOperations, awsapi.GrapnelOperations) {
			names[op.Name] = true
		}
		return names
	}()
	methods = map[string]bool{"GET": true, "PUT": true, "HEAD": true, "POST": true, "DELETE": true}
)

// label names a request in the metrics.
func (s service) label(r *http.Request) string {
	name, known := r.Method, methods
	if s.target != "" {
		name, known = operation(r), operations
	}
	if !known[name] {
		return "other"
	}
	return name
}

// action is what a request asks for, as policies name it; "" when its headers do not tell. Only names that are known are kept.
func (s service) action(name string, r *http.Request) string {
	if s.target == "" || !operations[operation(r)] {
		return ""
	}
	return name + ":" + operation(r)
}

// router takes a request to its service: by the service name in its signature, and what is not signed by its path.
type router struct {
	services map[string]service
	open     *open
	auth     *auth.Auth
	verifier *sigv4.Verifier
	limits   *limits
	audit    auditor
	source   func(*http.Request) string // the address that a request comes from
	region   string
	log      *slog.Logger
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := http.NewResponseController(w)
	if r.ContentLength != 0 {
		deadline(body, time.Now().Add(bodyTimeout))
	}
	long, known := r.ContentLength > maxUnknownBody || r.ContentLength < 0, false
	if long {
		w.Header().Set("Connection", "close")
		defer func() {
			if !known {
				deadline(body, time.Now())
			}
		}()
	}
	if r.ContentLength == 0 && r.Header.Get("Expect") != "" {
		// net/http says "100 Continue" when a body is first read, and so never where there is none. botocore waits for it all
		// the same, takes the final status in its place, and then hangs in the next upload on the connection.
		w.WriteHeader(http.StatusContinue)
	}
	if unsigned(r) {
		if handler := rt.open.handler(r); handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
	}
	q, err := sigv4.Parse(r)
	if err != nil {
		rt.refusal(r)(w, r, err)
		return
	}
	svc, ok := rt.services[q.Scope.Service]
	if !ok {
		rt.refusal(r)(w, r, sigv4.Errorf(sigv4.BadSignature, "The request is signed for the service %q, which is not served here.", q.Scope.Service))
		return
	}
	empty := r.ContentLength == 0
	request := awsjson.UUID()
	w.Header().Set(svc.requestID, request)
	r, err = rt.admit(r, q, svc, request)
	rec, recorded := w.(*recorder)
	if recorded {
		rec.service = q.Scope.Service
		defer func() { rt.audit.end(r, rec) }()
	}
	if err != nil {
		svc.refuse(w, r, err)
		return
	}
	known = true
	w.Header().Del("Connection")
	if recorded {
		rec.operation = svc.label(r)
	}
	if svc.uploads && !empty {
		r.Body = &steadyBody{ReadCloser: r.Body, conn: body}
	} else {
		deadline(body, time.Time{}) // all is read; net/http takes a deadline that passes for a client that has gone
	}
	svc.handler.ServeHTTP(w, r)
}

// maxUnknownBody is how much of a body is read of a sender who is not known, in bytes. net/http would read 256 KiB of what a
// handler leaves: it does not before a reply that ends the connection, nor after a deadline.
const maxUnknownBody = 4 << 10

// bodyTimeout bounds the time in which the body of a request must have come before its sender is known, and the pauses
// within an authenticated upload: nobody may hold connections open by saying little or nothing.
const bodyTimeout = 20 * time.Second

func deadline(conn *http.ResponseController, at time.Time) {
	conn.SetReadDeadline(at) //nolint:errcheck // a connection that cannot have one is a test's
}

// steadyBody is the body of an authenticated upload, which may take long as long as it goes on. The deadline is lifted at its
// end only: after a failure net/http reads what is left before it replies, and must not wait for that for ever.
type steadyBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read reads what comes within bodyTimeout.
func (b *steadyBody) Read(p []byte) (int, error) {
	deadline(b.conn, time.Now().Add(bodyTimeout))
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		deadline(b.conn, time.Time{})
	}
	return n, err
}

// admit authenticates a request and asks whether its sender may make it. It always returns a request, for the log.
func (rt *router) admit(r *http.Request, q *sigv4.Request, svc service, request string) (*http.Request, error) {
	if err := rt.checkScope(r, q, svc); err != nil {
		return r, err
	}
	verified, id, err := rt.authenticate(r, q)
	if err != nil {
		return r, err
	}
	if err := rt.limits.identity(id, time.Now()); err != nil {
		return verified, err
	}
	id.Key = q.Scope.AccessKeyID
	verified = verified.WithContext(auth.NewContext(verified.Context(), id))
	if svc.audited {
		verified = rt.audit.begin(verified, id, svc.action(q.Scope.Service, r), request)
	}
	if svc.allow == nil {
		return verified, nil
	}
	return verified, svc.allow(verified, id)
}

// authenticate finds out who has sent a request. What cannot be read as a signature does not come here: to refuse that costs
// no more than to count it.
func (rt *router) authenticate(r *http.Request, q *sigv4.Request) (*http.Request, auth.Identity, error) {
	now := time.Now()
	claim := proof{ratelimit.Network(rt.source(r)), q.Scope.AccessKeyID}
	id, secret, err := rt.auth.Lookup(r.Context(), q.Scope.AccessKeyID, q.Token)
	exists := err == nil
	if err := rt.limits.claim(claim, exists, now); err != nil {
		return r, auth.Identity{}, err
	}
	if exists {
		r, err = rt.verifier.Verify(q, secret, now)
	}
	switch {
	case err == nil:
		rt.limits.proven.add(claim)
	case errors.As(err, new(*sigv4.Error)):
		rt.limits.failed(claim, exists, now)
	}
	return r, id, err
}

// checkScope holds the signature to the service that the request is for: a signature for one service must not open
// another.
func (rt *router) checkScope(r *http.Request, q *sigv4.Request, svc service) error {
	if !svc.anyRegion && q.Scope.Region != rt.region {
		return sigv4.Errorf(sigv4.BadSignature, "Credential should be scoped to a valid region: this server is %s, the request is signed for %s. Set AWS_REGION and AWS_DEFAULT_REGION.",
			rt.region, q.Scope.Region)
	}
	target := r.Header.Get("X-Amz-Target")
	prefix, _, _ := strings.Cut(target, ".")
	switch {
	case prefix == svc.target && (target == "" || svc.target != ""):
		return nil
	case svc.target == "":
		return sigv4.Errorf(sigv4.BadSignature, "The request names the operation %q, but is signed for the service %q.", target, q.Scope.Service)
	default:
		return awsjson.Errorf(awsjson.UnknownOperationException, "The operation %q is not one of the service %q that the request is signed for.",
			target, q.Scope.Service)
	}
}

// refusal picks the protocol of a request that does not say for which service it is.
func (rt *router) refusal(r *http.Request) func(http.ResponseWriter, *http.Request, error) {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return rt.services["codedeploy"].refuse
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return rt.services["iam"].refuse
	default:
		return rt.services["s3"].refuse
	}
}

func unsigned(r *http.Request) bool {
	return r.Header.Get("Authorization") == "" && !r.URL.Query().Has("X-Amz-Algorithm")
}

// unchecked is what the sender learns of a failure of the server's own.
const unchecked = "The server could not check the request; its log tells why."

// refuseJSON writes a refusal of the JSON services.
func (rt *router) refuseJSON(w http.ResponseWriter, r *http.Request, err error) {
	var signature *sigv4.Error
	var denied *auth.DeniedError
	var named *awsjson.Error
	var throttled *throttledError
	switch {
	case errors.As(err, &throttled):
		throttled.announce(w)
		awsjson.WriteError(w, awsjson.Errorf(awsjson.ThrottlingException, "%s", throttled.text))
	case errors.As(err, &signature):
		awsjson.WriteError(w, awsjson.Errorf(jsonName(signature.Problem), "%s", signature.Text))
	case errors.As(err, &denied):
		awsjson.WriteError(w, awsjson.Errorf(awsjson.AccessDeniedException, "%s", denied.Error()))
	case errors.As(err, &named):
		awsjson.WriteError(w, named)
	default:
		rt.internal(r, err)
		awsjson.WriteError(w, &awsjson.Error{Name: awsjson.InternalFailure, Message: unchecked, Status: http.StatusInternalServerError})
	}
}

// refuseQuery writes a refusal of the query services.
func (rt *router) refuseQuery(w http.ResponseWriter, r *http.Request, err error) {
	var signature *sigv4.Error
	var throttled *throttledError
	switch {
	case errors.As(err, &throttled):
		throttled.announce(w)
		awsquery.WriteError(w, awsquery.Errorf(http.StatusBadRequest, awsquery.Throttling, "%s", throttled.text))
	case errors.As(err, &signature):
		awsquery.WriteError(w, awsquery.Errorf(http.StatusForbidden, queryName(signature.Problem), "%s", signature.Text))
	default:
		rt.internal(r, err)
		awsquery.WriteError(w, awsquery.Errorf(http.StatusInternalServerError, awsquery.InternalFailure, unchecked))
	}
}

// refuseS3 writes a refusal of the S3 endpoint.
func (rt *router) refuseS3(w http.ResponseWriter, r *http.Request, err error) {
	var signature *sigv4.Error
	var throttled *throttledError
	switch {
	case errors.As(err, &throttled):
		throttled.announce(w)
		err = fmt.Errorf("%w: %s", objects.ErrSlowDown, throttled.text)
	case !errors.As(err, &signature):
		rt.internal(r, err)
	}
	objects.WriteError(w, r, err)
}

func (rt *router) internal(r *http.Request, err error) {
	rt.log.Error("a request could not be checked", "method", r.Method, "path", r.URL.Path, "error", err)
}

// operation is the operation that a JSON request names.
func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}
