// Package traces sends spans of what a node does to a collector that speaks OTLP over HTTP, where one is named; and does nothing otherwise.
//
//	t, err := traces.Open(ctx, "https://collector.example.org:4318/v1/traces", version, log)
//	ctx, end := t.Begin(ctx, "job "+kind)
//	...
//	end(err == nil)
//	t.Close(ctx)
//
// What it promises: a span has a name and attributes that the program made, never a text that came with a request, a data set or an error; nothing is told of the machine. A collector that does not
// answer keeps nothing waiting: what it does not take is dropped.
package traces

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Traces sends spans. A nil Traces sends none.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Open names the collector. Headers that it wants, such as a token, come from OTEL_EXPORTER_OTLP_HEADERS. Without an address it gives nil.
func Open(ctx context.Context, address, version string, log *slog.Logger) (*Traces, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "open traces", "", "the collector's address is not one: http://HOST:4318/v1/traces") // the cause would quote it
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	out, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(10*time.Second), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		return nil, fault.New(fault.Invalid, "open traces", "", "the collector's address, or what the environment says of it, is not one that is taken")
	}
	// The library's own words may hold addresses; once a minute is often enough.
	var last atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {
		now := time.Now().Unix()
		if before := last.Load(); now-before >= 60 && last.CompareAndSwap(before, now) {
			log.Warn("the collector does not take traces; they are dropped")
		}
	}))
	// Of itself the node says its name and version, and nothing of its machine.
	who := resource.NewSchemaless(attribute.String("service.name", "vitrine"), attribute.String("service.version", version))
	p := sdk.NewTracerProvider(sdk.WithBatcher(out), sdk.WithResource(who))
	return &Traces{p, p.Tracer("github.com/vitrine-imaging/vitrine")}, nil
}

// Begin starts a span below the one of the context, if there is one. Its name is the program's own text. end is called once, with whether it went well.
func (t *Traces) Begin(ctx context.Context, name string) (_ context.Context, end func(good bool)) {
	if t == nil {
		return ctx, func(bool) {}
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(good bool) {
		if !good {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Request is a span of an HTTP request.
type Request struct{ span trace.Span }

// BeginRequest starts a span for a request, a root: what a stranger says of traces is not taken up.
func (t *Traces) BeginRequest(ctx context.Context, method, route string) (context.Context, *Request) {
	if t == nil {
		return ctx, nil
	}
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		method = "_OTHER" // it may be any text
	}
	ctx, span := t.tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot(),
		trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route)))
	return ctx, &Request{span}
}

// End ends it. code 0: the connection was cut.
func (r *Request) End(code int) {
	if r == nil {
		return
	}
	r.span.SetAttributes(attribute.Int("http.response.status_code", code))
	if code == 0 || code >= 500 {
		r.span.SetStatus(codes.Error, "")
	}
	r.span.End()
}

// Did is a span of something that has ended, with numbers of it.
func (t *Traces) Did(name string, took time.Duration, good bool, numbers map[string]int64) {
	if t == nil {
		return
	}
	now := time.Now()
	_, span := t.tracer.Start(context.Background(), name, trace.WithTimestamp(now.Add(-took)))
	for k, v := range numbers {
		span.SetAttributes(attribute.Int64(k, v))
	}
	if !good {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(now))
}

// Close sends what waits, for as long as the context lasts.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.provider.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) || err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "send traces", "", "the collector does not take them")
}
