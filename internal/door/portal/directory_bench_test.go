package portal_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// BenchmarkDirectoryPage measures pages of the directory over HTTP, at 10,000 collections of 1,000,000 people: each a search with words, facets and ranges, drawn with all facets, both
// histograms and twenty cards.
func BenchmarkDirectoryPage(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		b.Run(engine, func(b *testing.B) {
			cfg := node.Config{Data: b.TempDir(), Demo: true, HTTP: "127.0.0.1:0"}
			if engine == "postgresql" {
				cfg.Database = dbtest.PostgresURL(b)
			}
			base := serveLarge(b, cfg)
			client := &http.Client{}
			ask := func(v url.Values) int {
				r, err := http.NewRequestWithContext(b.Context(), "GET", base+"/?"+v.Encode(), nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Accept-Encoding", "gzip") // as browsers do, and no unpacking here
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				defer resp.Body.Close()
				n, err := io.Copy(io.Discard, resp.Body)
				if err != nil || resp.StatusCode != 200 {
					b.Fatalf("%d, %v", resp.StatusCode, err)
				}
				return int(n)
			}
			began := time.Now()
			ask(nil)
			b.Logf("first page, with the index built: %v", time.Since(began).Round(time.Millisecond))
			r := rand.New(rand.NewPCG(1, 2))
			texts := []string{"", "", "breast cancer", "bowel", "mamography", "lung CT", "children", "register", "trial of surgery", "melanom", "prostate MRI biopsy"}
			values := map[string][]string{"sex": {"female", "male"}, "modality": {"CT", "MR", "MG", "PT", "SM", "US"}, "disease": {"group:breast-cancer", "group:lung-cancer", "group:digestive-cancer", "ICD-10:C61"},
				"access": {"open-to-applicants", "collaboration"}, "service": {"tre", "download"}, "stage": {"1", "3"}}
			var times []time.Duration
			sent, busy := 0, processor(b)
			for b.Loop() {
				v := url.Values{}
				if t := texts[r.IntN(len(texts))]; t != "" {
					v.Set("q", t)
				}
				for name, of := range values {
					if r.IntN(4) == 0 {
						v.Set(name, of[r.IntN(len(of))])
					}
				}
				if r.IntN(3) == 0 {
					from := r.IntN(80)
					v.Set("age", fmt.Sprintf("%d-%d", from, from+15))
				}
				if r.IntN(4) == 0 {
					v.Set("page", strconv.Itoa(1+r.IntN(3)))
				}
				began := time.Now()
				sent += ask(v)
				times = append(times, time.Since(began))
			}
			busy = processor(b) - busy
			slices.Sort(times)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(times[len(times)/2]), "p50-ms")
			b.ReportMetric(ms(times[len(times)*99/100]), "p99-ms")
			b.ReportMetric(ms(times[len(times)-1]), "max-ms")
			b.ReportMetric(ms(busy/time.Duration(len(times))), "cpu-ms/page") // the client's too; it does not depend on what else the machine does
			b.ReportMetric(float64(sent)/float64(len(times))/1000, "kB/page")
		})
	}
}

// processor is how much time of processors this process has taken.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serveLarge runs a node with a directory of the size of a country.
func serveLarge(b *testing.B, cfg node.Config) string {
	n, err := node.New(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	d := n.Directory
	const collections, people = 10_000, 100
	day := time.Now().UTC()
	r := rand.New(rand.NewPCG(3, 4))
	made := directorytest.Make(1, collections)
	for from := 0; from < len(made); from += 200 {
		err := d.DB.Write(b.Context(), func(tx *db.Tx) error {
			for i, m := range made[from : from+200] {
				m.Entry.Holding, m.Entry.Collection, m.Entry.Declared, m.Entry.Peer = directory.Here, fmt.Sprintf("c%05d", from+i), nil, ""
				rev, err := d.Entries.Save(tx, m.ID, m.Entry, 0, "token-1", "")
				if err != nil {
					return err
				}
				if err := d.Entries.Publish(tx, m.ID, rev, "token-1"); err != nil {
					return err
				}
				t := directory.NewTally()
				for k := range people {
					t.Add(directory.Counted{Subject: subject.ID(k + 1), Sex: m.Entry.Sexes[k%len(m.Entry.Sexes)], AgeBand: directory.AgeBand(12 * (40 + r.IntN(40))),
						Diseases: []string{directory.DiseaseOf(m.Entry.Conditions[0])}, Modalities: m.Entry.Modalities[:1+k%len(m.Entry.Modalities)], Timepoints: []string{"visit-1"},
						Years: []string{strconv.Itoa(2008 + r.IntN(15))}, Studies: 2, Images: 100, Available: true})
				}
				if _, err := d.Counts.Renew(tx, collection.ID(m.Entry.Collection), t, day); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	err = d.DB.Write(b.Context(), func(tx *db.Tx) error {
		return d.Counts.Note(tx, directory.Snapshot{Taken: day, Day: day.Format(time.DateOnly), Actor: "node"})
	})
	if err != nil {
		b.Fatal(err)
	}
	run(b, n)
	return "http://" + n.HTTPAddr()
}
