package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
)

// Metrics counts what the doors do. Labels are patterns of routes and status codes, never anything that came with a request.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	in, out  *prometheus.CounterVec

	stored      *prometheus.CounterVec
	storedBytes prometheus.Counter
	ended       prometheus.Counter
	refused     *prometheus.CounterVec
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
	m.stored = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_dicom_stores_total", Help: "C-STORE requests answered, by status, four hexadecimal digits."}, []string{"status"})
	m.storedBytes = prometheus.NewCounter(prometheus.CounterOpts{Name: "vitrine_dicom_store_bytes_total", Help: "Bytes of data sets that came by C-STORE."})
	m.ended = prometheus.NewCounter(prometheus.CounterOpts{Name: "vitrine_dicom_associations_total", Help: "Associations that have ended."})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_dicom_refused_total", Help: "Connections that did not become associations, by a code of the reason."}, []string{"reason"})
	m.registry.MustRegister(m.stored, m.storedBytes, m.ended, m.refused)
	m.registry.MustRegister(m.requests, m.took, m.in, m.out, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry takes further metrics, whose labels hold nothing that came with a request or an image.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Jobs adds what waits to be done and what was given up, by kind, counted when it is asked for.
func (m *Metrics) Jobs(count func(context.Context) (waiting, failed map[string]int64, err error)) {
	m.registry.MustRegister(jobCounts{count})
}

type jobCounts struct {
	count func(context.Context) (waiting, failed map[string]int64, err error)
}

var jobsDescription = prometheus.NewDesc("vitrine_jobs", "Jobs by kind and state; failed ones were given up and wait for a person.", []string{"kind", "state"}, nil)

func (jobCounts) Describe(to chan<- *prometheus.Desc) { to <- jobsDescription }

func (j jobCounts) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	waiting, failed, err := j.count(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(jobsDescription, errors.New("jobs cannot be counted"))
		return
	}
	for state, counts := range map[string]map[string]int64{"waiting": waiting, "failed": failed} {
		for kind, n := range counts {
			to <- prometheus.MustNewConstMetric(jobsDescription, prometheus.GaugeValue, float64(n), kind, state)
		}
	}
}

// Gateway adds how what a gateway sends to its node stands.
func (m *Metrics) Gateway(standing func(context.Context) (*status.Gateway, error)) {
	m.registry.MustRegister(gatewayStanding{standing})
}

type gatewayStanding struct {
	standing func(context.Context) (*status.Gateway, error)
}

var (
	gatewayStudies   = prometheus.NewDesc("vitrine_gateway_waiting_studies", "Studies that wait to be sent to the node.", nil, nil)
	gatewayInstances = prometheus.NewDesc("vitrine_gateway_waiting_instances", "Their instances that are not sent.", nil, nil)
	gatewayOldest    = prometheus.NewDesc("vitrine_gateway_oldest_timestamp_seconds", "Since when the study that waits longest does; 0: none waits.", nil, nil)
	gatewaySucceeded = prometheus.NewDesc("vitrine_gateway_succeeded_timestamp_seconds", "When the node last took something; 0: never.", nil, nil)
	gatewayFailing   = prometheus.NewDesc("vitrine_gateway_failing", "1 while nothing gets through, by why.", []string{"why"}, nil)
	gatewayHeld      = prometheus.NewDesc("vitrine_gateway_held", "Objects that wait for the site's stewards.", nil, nil)
	gatewaySent      = prometheus.NewDesc("vitrine_gateway_sent", "Objects that were sent, by what became of them at the node.", []string{"outcome"}, nil)
)

func (gatewayStanding) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{gatewayStudies, gatewayInstances, gatewayOldest, gatewaySucceeded, gatewayFailing, gatewayHeld, gatewaySent} {
		to <- d
	}
}

func (g gatewayStanding) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := g.standing(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(gatewayStudies, errors.New("what waits cannot be counted"))
		return
	}
	seconds := func(t *time.Time) float64 {
		if t == nil {
			return 0
		}
		return float64(t.UnixMilli()) / 1000
	}
	for d, v := range map[*prometheus.Desc]float64{gatewayStudies: float64(s.Studies), gatewayInstances: float64(s.Instances), gatewayOldest: seconds(s.Oldest), gatewaySucceeded: seconds(s.Succeeded), gatewayHeld: float64(s.Held)} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	if s.Failure != "" {
		to <- prometheus.MustNewConstMetric(gatewayFailing, prometheus.GaugeValue, 1, s.Failure)
	}
	for outcome, n := range s.Sent {
		to <- prometheus.MustNewConstMetric(gatewaySent, prometheus.GaugeValue, float64(n), outcome)
	}
}

// Observe is for [web.Front].
func (m *Metrics) Observe(o web.Observation) {
	m.requests.WithLabelValues(o.Route, strconv.Itoa(o.Status)).Inc()
	m.took.WithLabelValues(o.Route).Observe(o.Took.Seconds())
	m.in.WithLabelValues(o.Route).Add(float64(o.In))
	m.out.WithLabelValues(o.Route).Add(float64(o.Out))
}
