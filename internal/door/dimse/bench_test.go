package dimse_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// BenchmarkFind asks an archive of 20,000 instances over an association, and tells the median.
func BenchmarkFind(b *testing.B) {
	x := start(b, "", func(c *node.Config) { c.PeerLimits.Queries = 1e6 })
	x.write(func(tx *db.Tx) error {
		id, err := x.n.Stores.Catalogue.StartDeposit(tx, kept, "dimse", "bench")
		if err != nil {
			return err
		}
		var entries []catalogue.Entry
		for i := range 20_000 {
			study, series := i/50, i%50/25
			e := catalogue.Entry{Collection: kept, Subject: 1, Study: catalogue.StudyUID(fmt.Sprintf("1.2.%d", study)), Series: catalogue.SeriesUID(fmt.Sprintf("1.2.%d.%d", study, series)),
				SOP: catalogue.SOPUID(fmt.Sprintf("1.2.%d.%d.%d", study, series, i%25)), State: 1, Deposit: id, Ordinal: int64(i + 1), HeadSize: 2000, Digest: sha256.Sum256([]byte(fmt.Sprint(i)))}
			e.StudyAttributes = catalogue.StudyAttributes{PatientName: fmt.Sprintf("P^%d", study/2), PatientID: fmt.Sprintf("P%d", study/2), StudyDate: time.Date(2015, 1, 1+study, 0, 0, 0, 0, time.UTC).Format("20060102"), StudyTime: "101112",
				AccessionNumber: fmt.Sprintf("A%d", study), Description: "Thorax"}
			e.SeriesAttributes = catalogue.SeriesAttributes{Modality: "CT", Number: int64(series)}
			e.InstanceAttributes = catalogue.InstanceAttributes{SOPClass: ctClass, TransferSyntax: explicitLE, Number: int64(i % 25), Rows: 512, Columns: 512, BitsAllocated: 16}
			entries = append(entries, e)
		}
		if _, err := x.n.Stores.Catalogue.AddBatch(tx, entries); err != nil {
			return err
		}
		for _, t := range []string{"study", "series", "study_part"} {
			if _, err := tx.Exec(`UPDATE ` + t + ` SET released = received, received = 0`); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`UPDATE instance SET state = 5`)
		return err
	})
	a := x.dial("ALL", "KEPT", implicitLE)
	for _, c := range []struct {
		name, class string
		want        int
		keys        []string
	}{
		{"study by patient", network.StudyRootFindUID, 2, []string{"QueryRetrieveLevel=STUDY", "PatientID=P77", "StudyInstanceUID", "StudyDate", "PatientName", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"}},
		{"study by date", network.StudyRootFindUID, 31, []string{"QueryRetrieveLevel=STUDY", "StudyDate=20150601-20150701", "StudyInstanceUID", "PatientName", "ModalitiesInStudy"}},
		{"all studies", network.StudyRootFindUID, 400, []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID", "StudyDate", "PatientName"}},
		{"all patients", network.PatientRootFindUID, 200, []string{"QueryRetrieveLevel=PATIENT", "PatientName", "NumberOfPatientRelatedStudies"}},
		{"series", network.StudyRootFindUID, 2, []string{"QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2.77", "SeriesInstanceUID", "Modality"}},
		{"images", network.StudyRootFindUID, 25, []string{"QueryRetrieveLevel=IMAGE", "StudyInstanceUID=1.2.77", "SeriesInstanceUID=1.2.77.1", "SOPInstanceUID", "InstanceNumber"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			id := identifier(b, implicitLE, c.keys...)
			var took []time.Duration
			for b.Loop() {
				began, n := time.Now(), 0
				done, err := a.Find(b.Context(), &network.Query{SOPClassUID: c.class, TransferSyntaxUID: implicitLE, Identifier: id}, func(network.Status, []byte) bool { n++; return true })
				took = append(took, time.Since(began))
				if err != nil || !done.Status.Success() || n != c.want {
					b.Fatalf("%v %v: %d found", done.Status, err, n)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		})
	}
}
