package api

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-imaging/vitrine/internal/flow/status"
)

// Stored counts a C-STORE.
func (m *Metrics) Stored(code uint16, bytes int64) {
	m.stored.WithLabelValues(fmt.Sprintf("%04X", code)).Inc()
	m.storedBytes.Add(float64(bytes))
}

// AssociationEnded counts an association.
func (m *Metrics) AssociationEnded() { m.ended.Inc() }

// AssociationRefused counts a connection that became none.
func (m *Metrics) AssociationRefused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Associations adds how many associations there are now.
func (m *Metrics) Associations(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_dicom_associations", Help: "Associations now."}, func() float64 { return float64(count()) }))
}

// Node adds what there is to tell of the node as a whole, asked when it is asked for.
func (m *Metrics) Node(measure func(context.Context) *status.Measures) {
	m.registry.MustRegister(measures{measure})
}

type measures struct {
	measure func(context.Context) *status.Measures
}

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vitrine_"+name, help, labels, nil)
}

var (
	objectsDesc     = described("objects", "Objects by where they stand: received and not yet admitted, admitted, held, restricted, refused.", "state")
	releasedDesc    = described("objects_released", "Objects of those admitted that researchers see.")
	receivedDesc    = described("received_objects", "Objects that ever came and were kept, duplicates not among them.")
	duplicatesDesc  = described("duplicate_objects", "Objects that came again with the same bytes.")
	unreadDesc      = described("unread_objects", "Objects whose pixels are to be read.")
	unreadSinceDesc = described("unread_oldest_timestamp_seconds", "When the first of them came; absent: there is none.")
	jobsRunningDesc = described("jobs_running", "Jobs that are being done, by kind.", "kind")
	jobsDueDesc     = described("job_due_timestamp_seconds", "Since when the job that waits longest could have been done, by kind; absent: none waits.", "kind")
	packsDesc       = described("packs", "Packs of images, by place.", "place")
	packBytesDesc   = described("pack_bytes", "Bytes of packs, by place.", "place")
	databaseDesc    = described("database_bytes", "Bytes of the catalogue's database.")
	diskDesc        = described("disk_bytes", "Bytes of the disk of the data.")
	freeDesc        = described("disk_free_bytes", "Bytes of it that are free.")
	behindDesc      = described("mirror_behind_packs", "Sealed packs that are not in the mirror yet.")
	behindBytesDesc = described("mirror_behind_bytes", "Bytes of them.")
	behindSinceDesc = described("mirror_behind_timestamp_seconds", "Since when the oldest of them is sealed; absent: none is behind.")
	failingDesc     = described("mirror_failing", "1 while copying to the mirror fails.")
	fellBackDesc    = described("mirror_reads_total", "Reads from the mirror of what was missing or damaged elsewhere.")
	verifiedDesc    = described("verified_timestamp_seconds", "When everything was last verified and found as it was stored; absent: not known.")
	backedUpDesc    = described("backup_timestamp_seconds", "When the last backup was made; absent: not known.")
	drilledDesc     = described("backup_drill_timestamp_seconds", "When a backup was last restored and found whole; absent: not known.")
	certificateDesc = described("certificate_end_timestamp_seconds", "When the TLS certificate ends; absent: there is none.")
	buildDesc       = described("build_info", "1, with the version of the program.", "version")
	startDesc       = described("start_timestamp_seconds", "When the node was started.")
)

func (measures) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{objectsDesc, releasedDesc, receivedDesc, duplicatesDesc, unreadDesc, unreadSinceDesc, jobsRunningDesc, jobsDueDesc, packsDesc, packBytesDesc, databaseDesc,
		diskDesc, freeDesc, behindDesc, behindBytesDesc, behindSinceDesc, failingDesc, fellBackDesc, verifiedDesc, backedUpDesc, drilledDesc, certificateDesc, buildDesc, startDesc} {
		to <- d
	}
}

func (c measures) Collect(to chan<- prometheus.Metric) {
	m := c.measure(context.Background())
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n *int64) {
		if n != nil {
			gauge(d, float64(*n))
		}
	}
	moment := func(d *prometheus.Desc, t time.Time, labels ...string) {
		if !t.IsZero() {
			gauge(d, float64(t.UnixMilli())/1000, labels...)
		}
	}
	if o := m.Objects; o != nil {
		for state, n := range map[string]int64{"received": o.Pending, "admitted": o.Catalogued, "held": o.Held, "restricted": o.Restricted, "refused": o.Refused} {
			gauge(objectsDesc, float64(n), state)
		}
		gauge(releasedDesc, float64(o.Released))
		gauge(receivedDesc, float64(o.Received))
		gauge(duplicatesDesc, float64(o.Duplicate))
	}
	if m.Unread != nil {
		gauge(unreadDesc, float64(m.Unread.Objects))
		moment(unreadSinceDesc, m.Unread.Since)
	}
	for _, k := range m.Jobs {
		gauge(jobsRunningDesc, float64(k.Running), k.Name)
		moment(jobsDueDesc, k.Due, k.Name)
	}
	if p := m.Packs; p != nil {
		for place, v := range map[string][2]int64{"here": {int64(p.Here), p.HereBytes}, "bucket": {int64(p.Bucket), p.BucketBytes}, "mirror": {int64(p.Mirror), p.MirrorBytes}} {
			gauge(packsDesc, float64(v[0]), place)
			gauge(packBytesDesc, float64(v[1]), place)
		}
	}
	count(databaseDesc, m.Database)
	count(diskDesc, m.Disk)
	count(freeDesc, m.Free)
	if l := m.Mirror; l != nil {
		gauge(behindDesc, float64(l.Behind))
		gauge(behindBytesDesc, float64(l.Bytes))
		moment(behindSinceDesc, l.Since)
		failing := 0.0
		if !l.Failing.IsZero() {
			failing = 1
		}
		gauge(failingDesc, failing)
	}
	to <- prometheus.MustNewConstMetric(fellBackDesc, prometheus.CounterValue, float64(m.FellBack))
	moment(verifiedDesc, m.Verified)
	moment(backedUpDesc, m.BackedUp)
	moment(drilledDesc, m.Drilled)
	moment(certificateDesc, m.Certificate)
	gauge(buildDesc, 1, m.Version)
	moment(startDesc, m.Since)
}
