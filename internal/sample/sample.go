// Package sample makes the data that the demonstration, tests and benchmarks stand on. It is a function of a seed: the same seed gives the same bytes
// on every machine, and nobody in it exists.
//
// The collection ([Studies], [Write]) is that of three people with cancer, each seen at baseline and after three and six months:
//
//   - a man with nodules in the lung, with CT of the thorax;
//   - a woman with a mass in the right breast, with four-view mammograms, each as the detector gave it and as processed for reading, and an
//     ultrasound image with her name burned into the pixels;
//   - a woman with lymphoma, with PET/CT: six spheres of known size and activity, everything that a standardised uptake value needs, and a
//     report as encapsulated PDF.
//
// Their identities are plausible and British, in Latin script with and without diacritics and in Japanese scripts. NHS numbers pass the check
// digit and come from the range that is never issued (999), telephone numbers from those that Ofcom keeps for drama. They stand where
// hospitals leave them: in descriptions, private elements, nested sequences, file names. So what de-identification does can be seen.
//
// For benchmarks there are sets of many like instances ([Set]); for tests of leaks an instance with a marker in every place where identity can
// stand ([Marked]); for tests of memory a multi-frame object of any size that is written without being held ([Large]).
//
// The package does not read DICOM, and knows nothing of Vitrine but the encoding.
package sample

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// An Instance is one SOP instance of the sample, encoded.
type Instance struct {
	SOPClassUID    string
	SOPInstanceUID string
	StudyUID       string
	SeriesUID      string
	Modality       string
	Series         int    // number of its series in the study
	Number         int    // (0020,0013) in its series
	Name           string // path of its file in the folder that [Write] makes; it names the patient, as exports of hospitals do

	file []byte
	data int
	ts   *dicom.TransferSyntax
}

// File is the Part 10 file.
func (i *Instance) File() []byte { return i.file }

// Data is the data set alone, as DIMSE sends it.
func (i *Instance) Data() []byte { return i.file[i.data:] }

// Syntax is the transfer syntax of the data set.
func (i *Instance) Syntax() *dicom.TransferSyntax { return i.ts }

// A Study is one examination of the collection. Its instances are made when they are asked for.
type Study struct {
	Subject   int    // 1 to 3
	Timepoint int    // 0 baseline, 1 after three months, 2 after six
	Kind      string // "CT", "MG", "PET/CT", "US" or "DOC"
	UID       string
	Date      time.Time
	Person    *Person

	exam *exam
	make []func() (*Instance, error)
}

// newStudy is the study of an examination.
func (x *exam) newStudy() *Study {
	return &Study{Subject: x.p.Number, Timepoint: x.tp, Kind: x.kind, UID: x.study, Date: x.at, Person: x.p, exam: x}
}

// Len is the number of instances.
func (s *Study) Len() int { return len(s.make) }

// Instance makes the i-th instance.
func (s *Study) Instance(i int) (*Instance, error) { return s.make[i]() }

// Instances makes one instance after the other.
func (s *Study) Instances() iter.Seq2[*Instance, error] {
	return func(yield func(*Instance, error) bool) {
		for _, m := range s.make {
			if !yield(m()) {
				return
			}
		}
	}
}

// Studies is the whole collection, in the order of subjects and of time.
func Studies(seed uint64) iter.Seq[*Study] {
	return func(yield func(*Study) bool) {
		people := People(seed)
		for tp := range 3 {
			if !yield(thorax(people[0], tp)) {
				return
			}
		}
		for tp := range 3 {
			if !yield(mammogram(people[1], tp)) {
				return
			}
			if tp == 0 && !yield(ultrasound(people[1], tp, true)) {
				return
			}
		}
		for tp := range 3 {
			if !yield(petct(people[2], tp)) {
				return
			}
		}
		yield(report(people[2], 2))
	}
}

// A Manifest says what [Write] wrote.
type Manifest struct {
	Seed      uint64          `json:"seed"`
	Studies   []ManifestStudy `json:"studies"`
	Instances int             `json:"instances"`
	Bytes     int64           `json:"bytes"`
}

// ManifestStudy is a study of a [Manifest].
type ManifestStudy struct {
	Subject   int    `json:"subject"`
	Timepoint int    `json:"timepoint"`
	Kind      string `json:"kind"`
	UID       string `json:"uid"`
	Instances int    `json:"instances"`
	Bytes     int64  `json:"bytes"`
}

// Write writes the whole collection below dir, a file for each instance, and replaces files of the same name. It holds as many instances at a time as
// there are processors.
func Write(dir string, seed uint64) (Manifest, error) {
	m := Manifest{Seed: seed}
	return m, m.write(dir, slices.Collect(Studies(seed)))
}

// write writes studies below dir, and adds them to the manifest.
func (m *Manifest) write(dir string, studies []*Study) error {
	type job struct {
		study, n int
		make     func() (*Instance, error)
	}
	var jobs []job
	for _, s := range studies {
		for n, mk := range s.make {
			jobs = append(jobs, job{len(m.Studies), n, mk})
		}
		m.Studies = append(m.Studies, ManifestStudy{Subject: s.Subject, Timepoint: s.Timepoint, Kind: s.Kind, UID: s.UID, Instances: s.Len()})
		m.Instances += s.Len()
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
		next  int
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				if first != nil || next == len(jobs) {
					mu.Unlock()
					return
				}
				j := jobs[next]
				next++
				mu.Unlock()

				n, err := writeInstance(dir, j.make)

				mu.Lock()
				if err != nil && first == nil {
					first = fmt.Errorf("write sample: instance %d of study %d: %w", j.n+1, j.study+1, err)
				}
				m.Studies[j.study].Bytes += n
				m.Bytes += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first
}

func writeInstance(dir string, mk func() (*Instance, error)) (int64, error) {
	in, err := mk()
	if err != nil {
		return 0, err
	}
	name := filepath.Join(dir, filepath.FromSlash(in.Name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	if err := os.WriteFile(name, in.file, 0o644); err != nil {
		return 0, err
	}
	return int64(len(in.file)), nil
}

// implementation is what file meta information says of the writer.
const (
	implementationUID  = "2.25.224637112906483021184095712044781953021"
	implementationName = "VITRINE_SAMPLE"
)

// encode makes a Part 10 file of what was built.
func encode(b *dicom.Builder, ts *dicom.TransferSyntax, in Instance) (*Instance, error) {
	b.String(dicom.TagSOPClassUID, in.SOPClassUID)
	b.String(dicom.TagSOPInstanceUID, in.SOPInstanceUID)
	d, err := b.Dataset()
	if err != nil {
		return nil, err
	}
	meta, err := dicom.NewMeta(dicom.MetaInfo{
		SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntaxUID: ts.UID,
		ImplementationClassUID: implementationUID, ImplementationVersionName: implementationName,
	})
	if err != nil {
		return nil, err
	}
	in.data = 132 + len(meta.Bytes())
	in.file = make([]byte, 128, in.data+len(d.Bytes()))
	in.file = append(in.file, "DICM"...)
	in.file = append(in.file, meta.Bytes()...)
	in.file = append(in.file, d.Bytes()...)
	in.ts = ts
	return &in, nil
}

// WriteTo writes the Part 10 file.
func (i *Instance) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(i.file)
	return int64(n), err
}

// uid is a UID below 2.25 (PS3.5 B.2) that the key alone decides.
func uid(seed uint64, key string, args ...any) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%d/"+key, append([]any{seed}, args...)...))
	h[6] = h[6]&0x0F | 0x50 // as a name-based UUID (RFC 9562 5.5)
	h[8] = h[8]&0x3F | 0x80
	return "2.25." + new(big.Int).SetBytes(h[:16]).String()
}
