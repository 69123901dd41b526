package endtoend

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// named are ultrasound images that say in their pixels whose they are, six a study.
func named(t *testing.T, count int) []*image {
	t.Helper()
	var us *image
	for s := range sample.Studies(1) {
		if s.Kind == "US" {
			in, err := s.Instance(0)
			if err != nil {
				t.Fatal(err)
			}
			us = read("ultrasound", in.File())
		}
	}
	d, err := dicom.ParseDataset(us.data, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var all []*image
	for k := range count {
		study := fmt.Sprintf("1.2.7.%d", k/6+1)
		i := &image{class: us.class, sop: fmt.Sprintf("%s.1.%d", study, k+1), study: study, series: study + ".1", syntax: us.syntax}
		e := d.Edit()
		for tag, uid := range map[dicom.Tag]string{dicom.TagSOPInstanceUID: i.sop, dicom.TagStudyInstanceUID: i.study, dicom.TagSeriesInstanceUID: i.series} {
			e.SetValue(d.Find(tag), []byte(uid))
		}
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		px := d.Value(d.PixelData())
		i.data = append(append(append([]byte(nil), r.Head[:r.Bulk[0].At]...), px...), r.Head[r.Bulk[0].At:]...)
		all = append(all, i)
	}
	return all
}

// However often a node is killed while it reads and paints pixels, every image ends admitted, once, and without the name that was in it.
func TestKilledWhileReading(t *testing.T) {
	rounds := 5
	if testdata.Soak() {
		rounds = 25
	}
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			n := serve(t, setup{database: database(t, engine == "postgresql")})
			rnd := rand.New(rand.NewPCG(47, uint64(rounds)))
			images := named(t, 48)
			for _, st := range n.store("VITRINE", images) {
				if !st.Done() {
					t.Fatal(st, st.Comment)
				}
			}
			for range rounds {
				time.Sleep(time.Duration(100+rnd.IntN(500)) * time.Millisecond) // the moment is what this is about
				n.kill()
				n.start()
				t.Logf("%d are held after it was killed", len(n.heldIDs()))
			}
			eventually(t, 3*time.Minute, func() error {
				if held := n.heldIDs(); len(held) > 0 {
					return fmt.Errorf("%d are held", len(held))
				}
				return nil
			})
			n.settled(research, len(images))
			n.verify()
			n.unharmed()
			n.stop()
			met := map[catalogue.SOPUID]bool{}
			n.stored(research, func(l catalogue.Located, _ string, data []byte) {
				if met[l.SOP] {
					t.Error("an image is there twice")
				}
				met[l.SOP] = true
				if l.State != policy.Admitted {
					t.Errorf("item %s is %s", l.ID, l.State)
				}
				d, err := dicom.Parse(data, dicom.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				px, lit := d.Data.Value(d.Data.PixelData()), 0
				for y := range 26 {
					for x := range 400 {
						if px[3*(y*640+x)] > 60 {
							lit++
						}
					}
				}
				if lit > 0 {
					t.Errorf("item %s has %d pixels of the name", l.ID, lit)
				}
			})
			if len(met) != len(images) {
				t.Errorf("%d images of %d are there", len(met), len(images))
			}
		})
	}
}
