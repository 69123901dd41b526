package api

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
)

// Metrics counts what the doors do. Labels are patterns of routes and status codes, never anything that came with a request.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	in, out  *prometheus.CounterVec
}

// NewMetrics makes a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_http_requests_total", Help: "Requests answered, by route and status; status 0: the connection was cut."}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_http_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600}}, []string{"route"}),
		in:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_http_request_bytes_total", Help: "Bytes of requests' bodies."}, []string{"route"}),
		out: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_http_response_bytes_total", Help: "Bytes of answers' bodies."}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.took, m.in, m.out, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry takes further metrics, whose labels hold nothing that came with a request or an image.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Observe is for [web.Front].
func (m *Metrics) Observe(o web.Observation) {
	m.requests.WithLabelValues(o.Route, strconv.Itoa(o.Status)).Inc()
	m.took.WithLabelValues(o.Route).Observe(o.Took.Seconds())
	m.in.WithLabelValues(o.Route).Add(float64(o.In))
	m.out.WithLabelValues(o.Route).Add(float64(o.Out))
}
