package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"grapnel/internal/awsapi"
	"grapnel/internal/blob"
	"grapnel/internal/objects"
	"grapnel/internal/packages"
)

// open is what the server does for anybody, without a signature. These are all such routes, with what they read of a request
// besides its path:
//
//	GET /healthz, /readyz, /metrics           nothing
//	POST /join                                4 KiB of JSON; the join token in it is the credential
//	GET /latest/NAME                          Host, Range and the conditions
//	GET /aws-codedeploy-REGION/latest/NAME    the same: the bucket and the key that the world's scripts and `aws deploy install`
//	                                          know, also as the host aws-codedeploy-REGION.DOMAIN
//
// Everything else that is not signed is refused by its headers alone.
type open struct {
	mux    *http.ServeMux
	files  *packages.Files
	domain string
	failed func(r *http.Request, err error)
}

// maxScrapes is how many requests for metrics are answered at a time: collecting them costs a thousand times what asking does.
const maxScrapes = 4

func (s *Server) newOpen(registry *prometheus.Registry, join http.Handler) *open {
	o := &open{mux: http.NewServeMux(), domain: s.opts.Domain}
	o.files = packages.New(packages.Options{Dir: s.opts.Packages, PublicURL: s.opts.PublicURL, CA: s.caFile()})
	o.failed = func(r *http.Request, err error) {
		s.opts.Log.Error("a file of the agent's packages could not be served", "path", r.URL.Path, "error", err)
	}
	o.mux.Handle("POST "+awsapi.JoinPath, join)
	o.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	o.mux.HandleFunc("GET /readyz", s.ready)
	o.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	o.mux.HandleFunc("GET "+packages.Prefix+"{name}", o.latest)
	return o
}

// caFile is the certificate that clients must trust, "" when that is not the server's own business.
func (s *Server) caFile() string {
	if s.opts.TLS == "" {
		return ""
	}
	return CAFile(s.opts.DataDir)
}

// handler returns what answers a request without a signature, nil when it needs one.
func (o *open) handler(r *http.Request) http.Handler {
	if handler, pattern := o.mux.Handler(r); pattern != "" {
		return handler
	}
	if _, ok := o.agentObject(r); ok {
		return http.HandlerFunc(o.object)
	}
	return nil
}

// latest serves a file to people, scripts and package managers.
func (o *open) latest(w http.ResponseWriter, r *http.Request) {
	err := o.files.Serve(w, r, strings.TrimPrefix(r.URL.Path, packages.Prefix))
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		o.failed(r, err)
		http.Error(w, unchecked, http.StatusInternalServerError)
	}
}

// agentBuckets are the buckets that hold the agent, one in each region of AWS.
var agentBuckets = regexp.MustCompile(`^aws-codedeploy-[a-z]{2}(-[a-z]+)+-[0-9]+$`)

// agentObject returns the name of the file that a request reads as an object of S3.
func (o *open) agentObject(r *http.Request) (name string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "", false
	}
	bucket, key := objects.Locate(r, o.domain)
	name, ok = strings.CutPrefix(key, strings.TrimPrefix(packages.Prefix, "/"))
	return name, ok && agentBuckets.MatchString(bucket)
}

// agentBucket serves the agent's bucket in front of the others, to whoever has a valid signature.
func (o *open) agentBucket(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := o.agentObject(r); ok {
			o.object(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// object serves a file as an object of S3.
func (o *open) object(w http.ResponseWriter, r *http.Request) {
	name, _ := o.agentObject(r)
	err := o.files.Serve(w, r, name)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		objects.WriteError(w, r, fmt.Errorf("%w: %w", blob.ErrNoKey, err))
	default:
		o.failed(r, err)
		objects.WriteError(w, r, err)
	}
}
