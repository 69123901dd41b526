package api

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// metricNames are the names of what /metrics can say, with their labels.
func metricNames(t *testing.T) map[string][]string {
	t.Helper()
	m := NewMetrics()
	m.Jobs(func(context.Context) (map[string]int64, map[string]int64, error) { return nil, nil, nil })
	m.Node(func(context.Context) *status.Measures { return &status.Measures{} })
	m.Associations(func() int { return 0 })
	to := make(chan *prometheus.Desc)
	go func() { defer close(to); m.registry.Describe(to) }()
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	names := map[string][]string{"up": nil}
	for d := range to {
		f := form.FindStringSubmatch(d.String())
		if f == nil {
			t.Fatalf("a description has another form: %s", d)
		}
		labels := strings.FieldsFunc(f[2], func(r rune) bool { return r == ',' || r == ' ' })
		names[f[1]] = labels
		if strings.HasSuffix(f[1], "_seconds") && f[1] == "vitrine_http_request_seconds" {
			names[f[1]+"_bucket"], names[f[1]+"_sum"], names[f[1]+"_count"] = append([]string{"le"}, labels...), labels, labels
		}
	}
	return names
}

var (
	askedName   = regexp.MustCompile(`\b(?:vitrine|go|process)_[a-z0-9_]+\b|\bup\b`)
	askedLabels = regexp.MustCompile(`\b([a-z_][a-z0-9_]*)\{([^}]*)\}`)
	grouped     = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// asks holds a query against the names that there are.
func asks(t *testing.T, where, query string, names map[string][]string) {
	t.Helper()
	if strings.Count(query, "(") != strings.Count(query, ")") || strings.Count(query, "{") != strings.Count(query, "}") || strings.Count(query, "[") != strings.Count(query, "]") {
		t.Errorf("%s: brackets do not close: %s", where, query)
	}
	found := askedName.FindAllString(query, -1)
	if len(found) == 0 {
		t.Errorf("%s asks for nothing: %s", where, query)
	}
	var labels []string
	for _, name := range found {
		l, ok := names[name]
		if !ok {
			t.Errorf("%s asks for %s, which there is not", where, name)
		}
		labels = append(labels, l...)
	}
	for _, m := range askedLabels.FindAllStringSubmatch(query, -1) {
		for part := range strings.SplitSeq(m[2], ",") {
			label, _, _ := strings.Cut(part, "=")
			if label = strings.TrimSpace(label); label != "job" && !slices.Contains(names[m[1]], label) {
				t.Errorf("%s asks %s by %q, a label that it has not", where, m[1], label)
			}
		}
	}
	for _, m := range grouped.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "instance" && !slices.Contains(labels, label) {
				t.Errorf("%s groups by %q, a label that nothing has", where, label)
			}
		}
	}
}

// The dashboard and the alerts ask for what a node says, by the names and labels that it has.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	names := metricNames(t)
	b, err := os.ReadFile(filepath.Join(testdata.Root(t), "deploy", "grafana", "vitrine.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title  string
		Panels []struct {
			ID          int
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil || d.Title == "" {
		t.Fatal(err)
	}
	shown, seen := map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has no number, title or query of its own", p.Title)
		}
		seen[p.ID] = true
		for _, q := range p.Targets {
			asks(t, "panel "+p.Title, q.Expr, names)
			for _, n := range askedName.FindAllString(q.Expr, -1) {
				shown[n] = true
			}
		}
	}
	for name := range names {
		// These need no panel: the selector of the dashboard asks for the version, and the rest are alerts' or said by others.
		other := []string{"vitrine_build_info", "vitrine_start_timestamp_seconds", "vitrine_objects_released", "vitrine_mirror_behind_bytes", "vitrine_mirror_behind_timestamp_seconds", "vitrine_packs"}
		if strings.HasPrefix(name, "vitrine_") && name != "vitrine_http_request_seconds" && !shown[name] && !slices.Contains(other, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
	rules, err := os.ReadFile(filepath.Join(testdata.Root(t), "deploy", "prometheus", "vitrine.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(rules, &r); err != nil || len(r.Groups) == 0 || len(r.Groups[0].Rules) < 10 {
		t.Fatal("the rules cannot be read: ", err)
	}
	for _, rule := range r.Groups[0].Rules {
		asks(t, "alert "+rule.Alert, rule.Expr, names)
		if rule.Alert == "" || rule.Annotations["summary"] == "" {
			t.Errorf("an alert says nothing: %+v", rule)
		}
	}
}

// The guide for operators names every metric.
func TestGuideNamesEveryMetric(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(testdata.Root(t), "docs", "guides", "operators.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range metricNames(t) {
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count"); strings.HasPrefix(name, "vitrine_") && !strings.Contains(string(b), "`"+base) {
			t.Errorf("the guide does not name %s", name)
		}
	}
}

// The units confine the node, as systemd itself judges.
func TestUnitsAreConfined(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, unit := range []string{"vitrine.service", "vitrine-backup.service"} {
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", filepath.Join(testdata.Root(t), "deploy", "systemd", unit)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
