package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// burnedIn is a small photograph that says that there is writing in its pixels: nobody but a person decides on it.
func burnedIn(t *testing.T, k int) *image {
	t.Helper()
	study := fmt.Sprintf("1.2.3.%d", k/20+1)
	i := &image{class: "1.2.840.10008.5.1.4.1.1.77.1.4", sop: fmt.Sprintf("%s.1.%d", study, k+1), study: study, series: study + ".1", syntax: dicom.ExplicitVRLittleEndianUID}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: i.class, dicom.TagSOPInstanceUID: i.sop, dicom.TagStudyInstanceUID: i.study, dicom.TagSeriesInstanceUID: i.series,
		dicom.TagModality: "XC", dicom.TagPhotometricInterpretation: "MONOCHROME2", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada", dicom.TagBurnedInAnnotation: "YES"} {
		b.String(tag, v)
	}
	for tag, v := range map[dicom.Tag]int{dicom.TagRows: 64, dicom.TagColumns: 64, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15, dicom.TagSamplesPerPixel: 1, dicom.TagPixelRepresentation: 0} {
		b.Ints(tag, v)
	}
	b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 2*64*64))
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	i.data = d.Bytes()
	return i
}

// heldIDs are the numbers of what is held in the research collection.
func (n *served) heldIDs() []string {
	n.t.Helper()
	a := n.get("/api/collections/"+research+"/held", "steward", "application/json")
	var items []struct{ ID string }
	if a.err != nil || a.code != http.StatusOK || json.Unmarshal(a.body, &items) != nil {
		n.t.Fatalf("listing what is held: %d %v", a.code, a.err)
	}
	var ids []string
	for _, i := range items {
		ids = append(ids, i.ID)
	}
	return ids
}

// A decision that was answered for before a SIGKILL stands after it; one that was not answered for is whole or has not happened.
func TestKilledWhileDeciding(t *testing.T) {
	rounds := 2
	if testdata.Soak() {
		rounds = 20
	}
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { killedDeciding(t, rounds, engine == "postgresql") })
	}
}

func killedDeciding(t *testing.T, rounds int, postgres bool) {
	n := serve(t, setup{database: database(t, postgres)})
	rnd := rand.New(rand.NewPCG(31, uint64(rounds)))
	const each = 30
	var images []*image
	for k := range rounds * each {
		images = append(images, burnedIn(t, k))
	}
	for _, st := range n.store("VITRINE", images) {
		if !st.Done() {
			t.Fatal(st, st.Comment)
		}
	}
	ids := n.heldIDs()
	if len(ids) != len(images) {
		t.Fatalf("%d of %d are held", len(ids), len(images))
	}
	var mu sync.Mutex
	answered, asked := map[string]string{}, map[string]string{}
	for round := range rounds {
		work := make(chan string, each)
		for _, id := range ids[round*each : (round+1)*each] {
			work <- id
		}
		close(work)
		first := make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				verb := [...]string{"accept", "accept", "restrict", "refuse"}[k]
				for id := range work {
					mu.Lock()
					asked[id] = verb
					mu.Unlock()
					a := n.do("POST", "/api/collections/"+research+"/held/"+verb, "steward", map[string]string{"Content-Type": "application/json"}, strings.NewReader(`{"items": ["`+id+`"]}`))
					if a.err != nil {
						return
					}
					var out []struct{ Outcome string }
					if err := json.Unmarshal(a.body, &out); err != nil || a.code != http.StatusCreated || len(out) != 1 || out[0].Outcome != verb+"ed" && out[0].Outcome != verb+"d" {
						if a.code != http.StatusServiceUnavailable {
							t.Errorf("round %d: %s: %d %.200s", round, verb, a.code, a.body)
						}
						return
					}
					mu.Lock()
					answered[id] = verb
					mu.Unlock()
					once.Do(func() { close(first) })
				}
			})
		}
		select {
		case <-first:
		case <-time.After(time.Minute):
			t.Fatal("nothing was decided in a minute")
		}
		time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond) // the moment is what this is about
		n.kill()
		wg.Wait()
		if round%2 == 1 { // and again while it comes back
			n.start()
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
			n.kill()
		}
		n.start()
		waits := map[string]bool{}
		for _, id := range n.heldIDs() {
			waits[id] = true
		}
		for _, id := range ids {
			if waits[id] && answered[id] != "" || !waits[id] && asked[id] == "" {
				t.Errorf("round %d: item %s is held: %v; it was asked to %q, answered for %q", round, id, waits[id], asked[id], answered[id])
			}
		}
	}
	n.verify()
	n.unharmed()
	n.stop()
	there := map[string]bool{}
	counts := map[policy.State]int{}
	n.stored(research, func(l catalogue.Located, _ string, data []byte) {
		id := l.ID.String()
		there[id] = true
		counts[l.State]++
		named := bytes.Contains(data, []byte("Winterbourne"))
		if held := l.State == policy.Held; held != named || answered[id] == "refuse" || held && answered[id] != "" || (l.State == policy.Restricted) != (asked[id] == "restrict" && !held) {
			t.Errorf("item %s is %s, with a name: %v; answered for %q", id, l.State, named, answered[id])
		}
	})
	for _, id := range ids {
		if !there[id] && asked[id] != "refuse" {
			t.Errorf("item %s is gone; it was asked to %q", id, asked[id])
		}
	}
	t.Logf("%d asked, %d answered for, %v", len(asked), len(answered), counts)
}
