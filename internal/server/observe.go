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
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"grapnel/internal/awsapi"
	"grapnel/internal/engine"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// open serves what needs no signature: whether the process lives, whether it takes requests, its metrics, and hosts that join.
func (s *Server) open(registry *prometheus.Registry, join http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+awsapi.JoinPath, join)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
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
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	o.next.ServeHTTP(rec, r)
	o.seconds.WithLabelValues(rec.service, rec.operation, strconv.Itoa(rec.status)).Observe(time.Since(start).Seconds())
	o.log.Debug("request", "service", rec.service, "operation", rec.operation, "method", r.Method, "path", r.URL.Path, "status", rec.status,
		"took", time.Since(start), "from", r.RemoteAddr, "request", w.Header().Get("X-Amzn-Requestid"))
}

// recorder remembers what became of a request. The router names the service and the operation when both are known to it:
// what a sender writes must not become a label, because every new value costs memory for good.
type recorder struct {
	http.ResponseWriter
	status             int
	service, operation string
}

// WriteHeader remembers the final status.
func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
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
