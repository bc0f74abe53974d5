package server

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"grapnel/internal/engine"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// ready answers 503 while the server drains or cannot reach its store, so that whoever balances load looks elsewhere.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	switch err := s.store.Ping(ctx); {
	case s.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case err != nil:
		s.opts.Log.Error("not ready: the store does not answer", "error", err)
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
	default:
		w.Write([]byte("ok\n"))
	}
}

// observer counts and logs requests.
type observer struct {
	next     http.Handler
	log      *slog.Logger
	seconds  *prometheus.HistogramVec
	underWay prometheus.Gauge
}

func newObserver(next http.Handler, log *slog.Logger, registry *prometheus.Registry) *observer {
	factory := promauto.With(registry)
	return &observer{
		next: next, log: log,
		seconds: factory.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "grapnel", Subsystem: "http", Name: "request_seconds",
			Help:    "Time of requests by service, operation and status; a held poll counts with the time it was held.",
			Buckets: prometheus.ExponentialBuckets(250e-6, 4, 10), // 250 µs to 65 s
		}, []string{"service", "operation", "status"}),
		underWay: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: "grapnel", Subsystem: "http", Name: "requests_under_way", Help: "Requests being served, held polls among them.",
		}),
	}
}

func (o *observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	o.underWay.Inc()
	defer o.underWay.Dec()
	rec := newRecorder(w)
	o.next.ServeHTTP(rec, r)
	o.seconds.WithLabelValues(rec.service, rec.operation, strconv.Itoa(rec.status)).Observe(time.Since(start).Seconds())
	if !o.log.Enabled(r.Context(), slog.LevelDebug) {
		return // what it would tell costs more than asking
	}
	o.log.Debug("request", "service", rec.service, "operation", rec.operation, "method", r.Method, "path", r.URL.Path, "status", rec.status,
		"took", time.Since(start), "from", r.RemoteAddr, "request", w.Header().Get("X-Amzn-Requestid"))
}

// recorder remembers what became of a request, and gives up clients that do not read the reply. The router names the service
// and the operation when both are known to it: what a sender writes must not become a label, because every new value costs
// memory for good.
type recorder struct {
	http.ResponseWriter
	conn               *http.ResponseController
	status             int
	service, operation string
	asked              string // the operation, of a service whose mux alone can tell
	failure, message   string // the error that the sender was told, "" for none
}

// Asked is called by a mux when it knows the operation.
func (r *recorder) Asked(operation string) { r.asked = operation }

// Failed is called by whoever writes an error.
func (r *recorder) Failed(name, message string) { r.failure, r.message = name, message }

// A client may take writeTimeout to read writePart bytes of a reply, or what the system does not buffer of them. A held poll
// writes nothing, and a long download goes on as long as it is read.
const (
	writeTimeout = 20 * time.Second
	writePart    = 64 << 10
)

// newRecorder lifts the deadline that the last reply on the connection has left.
func newRecorder(w http.ResponseWriter) *recorder {
	r := &recorder{ResponseWriter: w, conn: http.NewResponseController(w), status: http.StatusOK}
	r.writeUntil(time.Time{})
	return r
}

func (r *recorder) writeUntil(at time.Time) {
	r.conn.SetWriteDeadline(at) //nolint:errcheck // a connection that cannot have one is a test's
}

// WriteHeader remembers the final status.
func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK {
		r.status = status
	}
	r.writeUntil(time.Now().Add(writeTimeout))
	r.ResponseWriter.WriteHeader(status)
}

// Write writes part by part, each with a time limit of its own.
func (r *recorder) Write(p []byte) (written int, err error) {
	for {
		part := p[written:min(written+writePart, len(p))]
		r.writeUntil(time.Now().Add(writeTimeout))
		n, err := r.ResponseWriter.Write(part)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// engineMetrics makes the engine's rounds into metrics.
func engineMetrics(registry *prometheus.Registry) func(engine.Observation) {
	factory := promauto.With(registry)
	seconds := func(name, help string) prometheus.Histogram {
		return factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: "grapnel", Subsystem: "engine", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(25e-6, 4, 10), // 25 µs to 6.5 s
		})
	}
	count := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "grapnel", Subsystem: "engine", Name: name, Help: help}
	}
	rounds := factory.NewCounterVec(count("rounds_total", "Rounds of load, decide and commit, by outcome."), []string{"outcome"})
	issued := factory.NewCounter(count("work_issued_total", "Work committed for hosts to take."))
	rollbacks := factory.NewCounter(count("rollbacks_total", "Automatic rollbacks started."))
	decide := seconds("decide_seconds", "Time that the core took to decide.")
	commit := seconds("commit_seconds", "Time that the store took to commit a decision.")
	return func(o engine.Observation) {
		rounds.WithLabelValues(string(o.Outcome)).Inc()
		decide.Observe(o.Decide.Seconds())
		if o.Commit > 0 {
			commit.Observe(o.Commit.Seconds())
		}
		issued.Add(float64(o.Issued))
		if o.Rollback {
			rollbacks.Inc()
		}
	}
}
