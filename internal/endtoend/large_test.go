package endtoend

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// largeFile streams a Part 10 file of at least so many bytes.
func largeFile(seed uint64, size int64) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := sample.Large(w, seed, sample.LargeFrames(size))
		w.CloseWithError(err)
	}()
	return r
}

// pixels is the digest of the pixel data of a Part 10 file, read as it comes, and its header.
func pixels(r io.Reader) (sum [32]byte, head *dicom.Dataset, err error) {
	rd, err := dicom.NewFileReader(r, dicom.Limits{HeadBytes: 64 << 20})
	if err != nil {
		return sum, nil, err
	}
	found := false
	for {
		v, err := rd.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, nil, err
		}
		h := sha256.New()
		if _, err := io.Copy(h, v); err != nil {
			return sum, nil, err
		}
		if v.Tag == dicom.TagPixelData {
			sum, found = [32]byte(h.Sum(nil)), true
		}
	}
	if !found {
		return sum, nil, fmt.Errorf("no pixel data")
	}
	return sum, rd.Dataset(), nil
}

// An object that is larger than memory goes in by C-STORE and by STOW-RS, is cleaned, and comes out by WADO-RS, all in a bounded memory.
func TestLargerThanMemory(t *testing.T) {
	size := int64(300 << 20)
	if testdata.Soak() {
		size = 5 << 30
	}
	n := serve(t, setup{})
	want := map[[32]byte]bool{}
	for seed, door := range []string{"C-STORE", "STOW-RS"} {
		begun := time.Now()
		sum, head, err := pixels(largeFile(uint64(seed), size))
		if err != nil {
			t.Fatal(err)
		}
		want[sum] = true
		t.Logf("reading it takes %v", time.Since(begun).Round(time.Millisecond))
		begun = time.Now()
		body := largeFile(uint64(seed), size)
		if door == "C-STORE" {
			start := make([]byte, 144) // preamble, prefix and the group length of the meta information
			if _, err := io.ReadFull(body, start); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, body, int64(le.Uint32(start[140:]))); err != nil {
				t.Fatal(err)
			}
			i := &image{class: head.UID(dicom.TagSOPClassUID), sop: head.UID(dicom.TagSOPInstanceUID), syntax: head.Syntax().UID}
			a, err := n.dial(t.Context(), "VITRINE", []*image{i})
			if err != nil {
				t.Fatal(err)
			}
			st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Reader: body})
			if err != nil || !st.Done() {
				t.Fatalf("%v %s, %v", st, st.Comment, err)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			whole := io.MultiReader(bytes.NewReader([]byte("--edge\r\nContent-Type: application/dicom\r\n\r\n")), body, bytes.NewReader([]byte("\r\n--edge--\r\n")))
			a := readStow(t, n.do("POST", "/collections/"+research+"/dicomweb/studies", "depositor", map[string]string{"Content-Type": stowType, "Accept": "application/dicom+json"}, whole))
			if a.code != 200 || len(a.kept) != 1 {
				t.Fatalf("status %d, %v: %.300s", a.code, a.err, a.body)
			}
		}
		took := time.Since(begun)
		t.Logf("%d MiB by %s in %v (%.0f MB/s), peak memory %d MiB", size>>20, door, took.Round(time.Millisecond), float64(size)/1e6/took.Seconds(), n.peak()>>20)
	}
	if c := n.settled(research, 2); c.Catalogued != 2 {
		t.Fatalf("%+v", c)
	}
	a := n.get("/collections/"+research+"/dicomweb/instances", "steward", "application/dicom+json")
	var rows []map[string]struct{ Value []any }
	if err := json.Unmarshal(a.body, &rows); err != nil || len(rows) != 2 {
		t.Fatalf("QIDO-RS: status %d, %v, %d rows", a.code, err, len(rows))
	}
	for _, r := range rows {
		r0 := func(tag string) any { return r[tag].Value[0] }
		begun := time.Now()
		req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s/dicomweb/studies/%v/series/%v/instances/%v", n.http, r0("0020000D"), r0("0020000E"), r0("00080018")), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+n.tokens["steward"])
		req.Header.Set("Accept", "application/dicom; transfer-syntax=*")
		resp, err := n.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		sum, head, err := pixels(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("WADO-RS: status %d, %v", resp.StatusCode, err)
		}
		if !want[sum] {
			t.Error("other pixels came out than went in")
		}
		delete(want, sum)
		if name := head.String(dicom.TagPatientName); name == "" || bytes.Contains(head.Bytes(), []byte("Calder")) {
			t.Errorf("it was not cleaned")
		}
		took := time.Since(begun)
		t.Logf("%d MiB by WADO-RS in %v (%.0f MB/s), peak memory %d MiB", size>>20, took.Round(time.Millisecond), float64(size)/1e6/took.Seconds(), n.peak()>>20)
	}
	if p := n.peak(); p > 256<<20 {
		t.Errorf("the node used %d MiB", p>>20)
	}
	n.unharmed()
	if left, err := os.ReadDir(n.tmp); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
	n.verify()
}
