package server

import (
	"cmp"
	"net/http"

	"grapnel/internal/audit"
	"grapnel/internal/auth"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/store"
)

// Headers in which a reply names its request. Who sets one before the handler does decides the name.
const (
	requestID   = "X-Amzn-Requestid"
	s3RequestID = "X-Amz-Request-Id"
)

// auditor puts requests on record that change something, and those that would have and were refused to somebody who is known.
// Requests whose sender is not known are logged and counted only: anybody could fill the disk with them.
type auditor struct {
	log    *audit.Log
	source func(*http.Request) string
}

// begin begins the record of a request. The action is "" where only its handler finds out what it asks for.
func (a auditor) begin(r *http.Request, id auth.Identity, action, request string) *http.Request {
	if action != "" && !audit.Changes(action) {
		return r
	}
	return r.WithContext(audit.Begin(r.Context(), awsapi.AuditRecord{
		Who: id.ARN, AccessKey: id.Key, Source: a.source(r), Action: action, RequestId: request,
	}))
}

// end ends the record of a request.
func (a auditor) end(r *http.Request, rec *recorder) {
	if rec.asked != "" {
		audit.Note(r.Context(), rec.service+":"+rec.asked) // for what was refused before it was asked who may do it
	}
	if isPart(rec.service, r) && rec.failure == "" {
		return
	}
	a.log.End(r.Context(), cmp.Or(rec.failure, store.AuditOK), rec.message)
}

// isPart reports whether a request uploads a part of an object, which changes nothing until all are put together.
func isPart(service string, r *http.Request) bool {
	return service == "s3" && r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

// anonymous puts requests on record that are not signed, as far as their handler finds out that they may be made.
func (a auditor) anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := awsjson.UUID()
		w.Header().Set(requestID, id)
		r = a.begin(r, auth.Identity{}, "", id)
		if rec, ok := w.(*recorder); ok {
			rec.service, rec.operation = awsapi.GrapnelService, "Join"
			defer a.end(r, rec)
		}
		next.ServeHTTP(w, r)
	})
}
