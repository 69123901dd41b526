package dicomweb_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// BenchmarkDICOMweb measures the door on a node with 200 CT instances of 527 kB, client beside the server.
func BenchmarkDICOMweb(b *testing.B) {
	x := start(b, "")
	const instances = 200
	set := sample.FullSet(1)
	var at []string
	depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
	for i := 0; i < instances; i += 50 {
		var files [][]byte
		for k := i; k < i+50; k++ {
			in, err := set.Instance(k)
			if err != nil {
				b.Fatal(err)
			}
			files = append(files, in.File())
			at = append(at, "/dicomweb/studies/"+in.StudyUID+"/series/"+in.SeriesUID+"/instances/"+in.SOPInstanceUID)
		}
		if a := x.post("/collections/"+kept+"/dicomweb/studies", depositor, files...); a.code != 200 {
			b.Fatalf("status %d: %s", a.code, a.body)
		}
	}
	x.intake(kept)
	study, _, _ := strings.Cut(at[0], "/series/")
	x.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	get := func(b *testing.B, path, accept string) int64 {
		r, err := http.NewRequest("GET", x.url(path), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		r.Header.Set("Authorization", "Bearer "+steward)
		resp, err := x.client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != 200 {
			b.Fatalf("status %d, %v", resp.StatusCode, err)
		}
		return n
	}
	for _, c := range []struct {
		name, accept string
		path         func(i int) string
	}{
		{"instance", "application/dicom", func(i int) string { return at[i%len(at)] }},
		{"frame", `multipart/related; type="application/octet-stream"; transfer-syntax=*`, func(i int) string { return at[i%len(at)] + "/frames/1" }},
		{"metadata", "application/dicom+json", func(i int) string { return at[i%len(at)] + "/metadata" }},
		{"study", "*/*", func(int) string { return study }},
		{"study metadata", "application/dicom+json", func(int) string { return study + "/metadata" }},
		{"search by UID", "application/dicom+json", func(int) string {
			return "/dicomweb/studies?" + dicom.TagStudyInstanceUID.Hex() + "=" + strings.TrimPrefix(study, "/dicomweb/studies/")
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(2)
			b.SetBytes(get(b, c.path(0), c.accept))
			b.RunParallel(func(p *testing.PB) {
				for i := 0; p.Next(); i++ {
					get(b, c.path(i), c.accept)
				}
			})
		})
	}
	b.Run("store 50", func(b *testing.B) {
		n := instances
		for b.Loop() {
			b.StopTimer()
			var files [][]byte
			var bytes int64
			for range 50 {
				in, err := set.Instance(n)
				if err != nil {
					b.Fatal(err)
				}
				n++
				files = append(files, in.File())
				bytes += int64(len(in.File()))
			}
			b.SetBytes(bytes)
			b.StartTimer()
			if a := x.post("/collections/"+kept+"/dicomweb/studies", depositor, files...); a.code != 200 {
				b.Fatalf("status %d: %s", a.code, a.body)
			}
		}
	})
}
