package catalogue

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// synthetic is instance n of an archive: 50 in a study of two series, a study a patient and a half, over ten years, mostly CT.
func synthetic(n int, id DepositID) Entry {
	study, within := n/50, n%50
	series := within / 25
	modality := "CT"
	switch {
	case study%1000 == 7:
		modality = "PT"
	case study%10 == 3:
		modality = "MR"
	case study%10 == 5:
		modality = "MG"
	}
	day := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, study*7919%3650)
	patient := fmt.Sprintf("VX%07d", study*2/3)
	var requests []Request
	if modality == "MR" {
		requests = []Request{{fmt.Sprintf("STEP%d", study), fmt.Sprintf("PROC%d", study)}}
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	return Entry{
		Collection: "breast", Subject: 1,
		Study: StudyUID(fmt.Sprintf("2.25.3297812345678901234567890%07d", study)), Series: SeriesUID(fmt.Sprintf("2.25.3297812345678901234567890%07d.%d", study, series)),
		SOP: SOPUID(fmt.Sprintf("2.25.3297812345678901234567890%07d.%d.%d", study, series, within)),
		StudyAttributes: StudyAttributes{PatientName: patient, PatientID: patient, BirthDate: "19600101", Sex: "F", StudyDate: day.Format("20060102"), StudyTime: "101112",
			AccessionNumber: fmt.Sprintf("AC%07d", study), StudyID: "1", Description: "Thorax", JSON: `{"00081030":{"vr":"LO","Value":["Thorax"]}}`},
		SeriesAttributes:   SeriesAttributes{Modality: modality, Number: int64(series + 1), Description: "axial", BodyPart: "CHEST", Requests: requests, JSON: `{"00180015":{"vr":"CS","Value":["CHEST"]}}`},
		InstanceAttributes: InstanceAttributes{SOPClass: "1.2.840.10008.5.1.4.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1", Number: int64(within), Rows: 512, Columns: 512, BitsAllocated: 16},
		Ref:                Ref{Pack: PackID{byte(n >> 16)}, Offset: int64(n) * 4096}, HeadSize: 2000, BulkSize: 524288, Digest: sha256.Sum256(b[:]), State: received, Deposit: id, Ordinal: int64(n), Lexicon: 1,
	}
}

// fill puts n synthetic instances into the catalogue in batches, and releases them all.
func fillCatalogue(tb testing.TB, d *db.DB, r *Record, n, batch int) (adding time.Duration) {
	tb.Helper()
	ctx := context.Background()
	var id DepositID
	if err := d.Write(ctx, func(tx *db.Tx) (err error) { id, err = r.StartDeposit(tx, "breast", "dimse", "BENCH"); return err }); err != nil {
		tb.Fatal(err)
	}
	entries := make([]Entry, 0, batch)
	for i := 0; i < n; i += batch {
		entries = entries[:0]
		for j := i; j < min(i+batch, n); j++ {
			entries = append(entries, synthetic(j, id))
		}
		begin := time.Now()
		if err := d.Write(ctx, func(tx *db.Tx) error { _, err := r.AddBatch(tx, entries); return err }); err != nil {
			tb.Fatal(err)
		}
		adding += time.Since(begin)
	}
	return adding
}

// releaseAll makes everything visible to researchers, and gives PostgreSQL the statistics that its autovacuum would gather in a while.
func releaseAll(tb testing.TB, d *db.DB) {
	tb.Helper()
	err := d.Write(context.Background(), func(tx *db.Tx) error {
		for _, t := range []string{"study", "series", "study_part"} {
			if _, err := tx.Exec(`UPDATE ` + t + ` SET released = received, received = 0`); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`UPDATE instance SET state = 5`); err != nil || tx.Engine() == db.SQLite {
			return err
		}
		_, err := tx.Exec(`ANALYZE`)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkAddBatch(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		for _, size := range []int{1, 100, 500} {
			b.Run(fmt.Sprintf("%s/%d", engine, size), func(b *testing.B) {
				d, r := benchCatalogue(b, engine)
				fillCatalogue(b, d, r, 20000, 500)
				ctx := context.Background()
				n := 20000
				entries := make([]Entry, size)
				b.ResetTimer()
				for b.Loop() {
					b.StopTimer()
					for i := range entries {
						entries[i] = synthetic(n, 1)
						n++
					}
					b.StartTimer()
					if err := d.Write(ctx, func(tx *db.Tx) error { _, err := r.AddBatch(tx, entries); return err }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size)/1000, "us/row")
			})
		}
	}
}

func benchCatalogue(b *testing.B, engine string) (*db.DB, *Record) {
	b.Helper()
	var d *db.DB
	if engine == "sqlite" {
		d = dbtest.SQLite(b)
	} else {
		d = dbtest.Open(b, dbtest.PostgresURL(b))
	}
	r, err := opened(context.Background(), d)
	if err != nil {
		b.Fatal(err)
	}
	return d, r
}

// BenchmarkSearch prints the median and the 99th percentile of each kind of search in an archive of VITRINE_BENCH_INSTANCES, or 200,000.
func BenchmarkSearch(b *testing.B) {
	size := 200000
	if s, err := strconv.Atoi(os.Getenv("VITRINE_BENCH_INSTANCES")); err == nil {
		size = s
	}
	for _, engine := range []string{"sqlite", "postgresql"} {
		d, r := benchCatalogue(b, engine)
		adding := fillCatalogue(b, d, r, size, 500)
		ctx := context.Background()
		releaseAll(b, d)
		b.Logf("%s: %d instances, %.1f us a row", engine, size, float64(adding.Microseconds())/float64(size))
		studies := size / 50
		type search struct {
			level      Level
			conditions func(i int) []string
		}
		one := func(name string, value func(i int) string) func(int) []string {
			return func(i int) []string { return []string{name, value(i)} }
		}
		uid := func(i int) string { return string(synthetic(i%studies*50, 1).Study) }
		for name, s := range map[string]search{
			"study by uid":        {Studies, one("StudyInstanceUID", uid)},
			"study by patient":    {Studies, one("PatientID", func(i int) string { return fmt.Sprintf("VX%07d", i%studies*2/3) })},
			"study by name":       {Studies, one("PatientName", func(i int) string { return fmt.Sprintf("vx%06d*", i%studies*2/30) })},
			"study by accession":  {Studies, one("AccessionNumber", func(i int) string { return fmt.Sprintf("AC%07d", i%studies) })},
			"study by day":        {Studies, one("StudyDate", func(i int) string { return time.Date(2015, 1, 1+i%3650, 0, 0, 0, 0, time.UTC).Format("20060102") })},
			"study by year":       {Studies, one("StudyDate", func(i int) string { return "20190101-20191231" })},
			"study by CT":         {Studies, one("ModalitiesInStudy", func(int) string { return "CT" })},
			"study by PT":         {Studies, one("ModalitiesInStudy", func(int) string { return "PT" })},
			"study by SM":         {Studies, one("ModalitiesInStudy", func(int) string { return "SM" })},
			"study by PT in year": {Studies, func(int) []string { return []string{"ModalitiesInStudy", "PT", "StudyDate", "20190101-20191231"} }},
			"study by CT, day":    {Studies, func(i int) []string { return []string{"ModalitiesInStudy", "CT", "StudyDate", "20190301"} }},
			"study, all":          {Studies, func(int) []string { return nil }},
			"series of study":     {Series, one("StudyInstanceUID", uid)},
			"series by MG":        {Series, one("Modality", func(int) string { return "MG" })},
			"instances of study":  {Instances, one("StudyInstanceUID", uid)},
			"instance by uid":     {Instances, one("SOPInstanceUID", func(i int) string { return string(synthetic(i*37%size, 1).SOP) })},
			"instance by class":   {Instances, one("SOPClassUID", func(int) string { return "1.2.840.10008.5.1.4.1.1.2" })},
			"instances, all":      {Instances, func(int) []string { return nil }},
		} {
			b.Run(engine+"/"+name, func(b *testing.B) {
				var times []time.Duration
				i, rows := 0, 0
				for b.Loop() {
					i++
					q := NewQuery(s.level)
					q.Scopes, q.Limit = see(released), 100
					for c := s.conditions(i * 7919); len(c) > 0; c = c[2:] {
						if ok, err := q.Match(c[0], c[1]); !ok || err != nil {
							b.Fatal(ok, err)
						}
					}
					begin := time.Now()
					var err error
					switch s.level {
					case Studies:
						var f []*Study
						f, _, err = r.SearchStudies(ctx, q)
						rows += len(f)
					case Series:
						var f []*SeriesResult
						f, _, err = r.SearchSeries(ctx, q)
						rows += len(f)
					case Instances:
						var f []*InstanceResult
						f, _, err = r.SearchInstances(ctx, q)
						rows += len(f)
					}
					if err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(begin))
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1e6, "p50-ms")
				b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e6, "p99-ms")
				b.ReportMetric(float64(rows)/float64(len(times)), "rows")
			})
		}
	}
}

// BenchmarkWaitingCounts is of 10,000 collections; something waits in every tenth.
func BenchmarkWaitingCounts(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		d, r := benchCatalogue(b, engine)
		ctx := context.Background()
		err := d.Write(ctx, func(tx *db.Tx) error {
			for i := range 10_000 {
				var t tally
				t[released] = 100
				if i%10 == 0 {
					t[held] = 3
				}
				if err := countIntake(tx, collection.ID(fmt.Sprintf("c%05d", i)), t, 0, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(engine, func(b *testing.B) {
			for b.Loop() {
				if all, err := r.WaitingCounts(ctx); err != nil || len(all) != 1000 {
					b.Fatal(len(all), err)
				}
			}
		})
	}
}
