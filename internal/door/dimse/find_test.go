package dimse_test

import (
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// archive fills the collection: three patients, the second under a name of three groups.
func (x *rig) archive() {
	x.Helper()
	le := dicom.ExplicitVRLittleEndian
	step := func(b *dicom.Builder) {
		b.Sequence(dicom.TagRequestAttributesSequence, func(item *dicom.Builder) {
			item.String(dicom.TagScheduledProcedureStepID, "STEP1")
			item.String(dicom.TagRequestedProcedureID, "PROC1")
		}, func(item *dicom.Builder) {
			item.String(dicom.TagScheduledProcedureStepID, "STEP2")
			item.String(dicom.TagRequestedProcedureID, "PROC2")
		})
	}
	mr := func(b *dicom.Builder) {
		b.String(dicom.TagModality, "MR")
		b.String(dicom.TagSOPClassUID, mrClass)
	}
	name := func(s string) func(*dicom.Builder) {
		return func(b *dicom.Builder) { b.String(dicom.TagPatientName, s) }
	}
	day := func(date, time string) func(*dicom.Builder) {
		return func(b *dicom.Builder) { b.String(dicom.TagStudyDate, date); b.String(dicom.TagStudyTime, time) }
	}
	x.deposit("KEPT",
		image(x, le, "A", "1.2.1", "1.2.1.1", "1.2.1.1.1", name("Müller^Anna"), step),
		image(x, le, "A", "1.2.1", "1.2.1.1", "1.2.1.1.2", name("Müller^Anna"), step, func(b *dicom.Builder) { b.Ints(dicom.TagInstanceNumber, 2) }),
		image(x, le, "A", "1.2.1", "1.2.1.2", "1.2.1.2.1", name("Müller^Anna"), mr),
		image(x, le, "A", "1.2.2", "1.2.2.1", "1.2.2.1.1", name("Müller^Anna"), day("20250101", "0800")),
		image(x, le, "B", "1.2.3", "1.2.3.1", "1.2.3.1.1", name("Yamada^Tarou=山田^太郎=やまだ^たろう"), day("20240301", "230000")),
		image(x, le, "C", "1.2.4", "1.2.4.1", "1.2.4.1.1", name("Smith^Jo"), day("", "")),
	)
}

func TestFind(t *testing.T) {
	each(t, func(x *rig) {
		x.archive()
		a := x.dial("ALL", "KEPT", implicitLE)
		if f := x.find(a, network.StudyRootFindUID, implicitLE, "QueryRetrieveLevel=STUDY"); !f.status.Success() || len(f.rows) != 0 {
			x.Fatalf("admitted, not released: %v, %d found", f.status, len(f.rows))
		}
		x.publish(kept)
		const root = network.StudyRootFindUID
		study, series, img := "QueryRetrieveLevel=STUDY", "QueryRetrieveLevel=SERIES", "QueryRetrieveLevel=IMAGE"
		for _, c := range []struct {
			class string
			keys  []string
			want  string // of the level's own unique key, in order of UIDs
		}{
			{root, []string{study}, "1.2.1 1.2.2 1.2.3 1.2.4"},
			{root, []string{study, "StudyInstanceUID=1.2.1\\1.2.3\\1.2.9"}, "1.2.1 1.2.3"},
			{root, []string{study, "PatientID=A"}, "1.2.1 1.2.2"}, {root, []string{study, "PatientID=?"}, "1.2.1 1.2.2 1.2.3 1.2.4"}, {root, []string{study, "PatientID=*B*"}, "1.2.3"},
			{root, []string{study, "StudyDate=20240102"}, "1.2.1"}, {root, []string{study, "StudyDate=20240102-20240301"}, "1.2.1 1.2.3"}, {root, []string{study, "StudyDate=20240301-"}, "1.2.2 1.2.3"}, {root, []string{study, "StudyDate=-20241231"}, "1.2.1 1.2.3"},
			{root, []string{study, "StudyTime=0800-1100"}, "1.2.1 1.2.2"}, {root, []string{study, "StudyTime=23"}, "1.2.3"},
			// Each for itself, unless combined matching was negotiated.
			{root, []string{study, "StudyDate=20240102-20250101", "StudyTime=09-12"}, "1.2.1"},
			{root, []string{study, "ModalitiesInStudy=MR"}, "1.2.1"}, {root, []string{study, "ModalitiesInStudy=MR\\PT"}, "1.2.1"}, {root, []string{study, "SOPClassesInStudy=" + mrClass}, "1.2.1"},
			{root, []string{study, "PatientName=smith*"}, "1.2.4"}, {root, []string{study, "PatientName=MULLER^ANNA"}, "1.2.1 1.2.2"},
			{root, []string{"SpecificCharacterSet=ISO_IR 100", study, "PatientName=müller*"}, "1.2.1 1.2.2"},
			{root, []string{"SpecificCharacterSet=ISO_IR 192", study, "PatientName=*山田*"}, "1.2.3"},
			{root, []string{"SpecificCharacterSet=\\ISO 2022 IR 87", study, "PatientName=山田^太郎"}, "1.2.3"},
			{root, []string{"SpecificCharacterSet=\\ISO 2022 IR 87", study, "PatientName=Yamada*=山田*"}, "1.2.3"},
			{root, []string{series, "StudyInstanceUID=1.2.1"}, "1.2.1.1 1.2.1.2"}, {root, []string{series, "StudyInstanceUID=1.2.1", "Modality=MR"}, "1.2.1.2"},
			{root, []string{series, "StudyInstanceUID=1.2.1", "RequestAttributesSequence.ScheduledProcedureStepID=STEP2", "RequestAttributesSequence.RequestedProcedureID=PROC2"}, "1.2.1.1"},
			{root, []string{series, "StudyInstanceUID=1.2.1", "RequestAttributesSequence.ScheduledProcedureStepID=STEP1", "RequestAttributesSequence.RequestedProcedureID=PROC2"}, ""}, // in two items
			{root, []string{img, "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1"}, "1.2.1.1.1 1.2.1.1.2"}, {root, []string{img, "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1", "InstanceNumber=2"}, "1.2.1.1.2"},
			{root, []string{img, "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1", "SOPInstanceUID=1.2.1.1.1\\1.2.2.1.1", "Rows=4"}, "1.2.1.1.1"}, {root, []string{img, "StudyInstanceUID=1.2.2", "SeriesInstanceUID=1.2.1.1"}, ""},
			{network.PatientRootFindUID, []string{"QueryRetrieveLevel=PATIENT"}, "A B C"}, {network.PatientRootFindUID, []string{"QueryRetrieveLevel=PATIENT", "PatientName=*m*"}, "A B C"},
			{network.PatientRootFindUID, []string{"QueryRetrieveLevel=PATIENT", "PatientID=A\\B"}, "A B"}, {network.PatientRootFindUID, []string{study, "PatientID=A"}, "1.2.1 1.2.2"},
			{network.PatientRootFindUID, []string{series, "PatientID=A", "StudyInstanceUID=1.2.1"}, "1.2.1.1 1.2.1.2"}, {network.PatientRootFindUID, []string{series, "PatientID=B", "StudyInstanceUID=1.2.1"}, ""},
		} {
			f := x.find(a, c.class, implicitLE, c.keys...)
			own := map[string]dicom.Tag{"PATI": dicom.TagPatientID, "STUD": dicom.TagStudyInstanceUID, "SERI": dicom.TagSeriesInstanceUID, "IMAG": dicom.TagSOPInstanceUID}
			var at dicom.Tag
			for _, k := range c.keys {
				if v, ok := strings.CutPrefix(k, "QueryRetrieveLevel="); ok {
					at = own[v[:4]]
				}
			}
			if got := f.column(at); !f.status.Success() || sorted(got) != c.want {
				x.Errorf("%v: %v, found %s, want %s", c.keys, f.status, got, c.want)
			}
			if len(f.rows) > 0 && f.pending != network.StatusPending {
				x.Errorf("%v: pending %04X", c.keys, f.pending)
			}
		}

		// What comes back: what was asked for, by the names of the level, in a character set that has its letters.
		f := x.find(a, root, implicitLE, "SpecificCharacterSet=ISO_IR 100", study, "StudyInstanceUID=1.2.1", "PatientName", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
			"SOPClassesInStudy", "RetrieveAETitle", "InstanceAvailability", "AccessionNumber", "PatientAge")
		d := f.rows[0]
		for tag, want := range map[dicom.Tag]string{dicom.TagSpecificCharacterSet: "ISO_IR 100", dicom.TagQueryRetrieveLevel: "STUDY", dicom.TagPatientName: "Müller^Anna", dicom.TagModalitiesInStudy: `CT\MR`,
			dicom.TagNumberOfStudyRelatedSeries: "2", dicom.TagNumberOfStudyRelatedInstances: "3", dicom.TagSOPClassesInStudy: ctClass + `\` + mrClass, dicom.TagRetrieveAETitle: "KEPT",
			dicom.TagInstanceAvailability: "ONLINE", dicom.TagAccessionNumber: "", dicom.TagPatientAge: ""} {
			if i := d.Find(tag); i < 0 || strings.Join(d.Strings(i), `\`) != want {
				x.Errorf("%s: %q, want %q", tag.Keyword(), f.column(tag), want)
			}
		}
		if f.pending != network.StatusPending || d.Has(dicom.TagStudyDate) {
			x.Errorf("pending %04X; something that was not asked for: %v", f.pending, d.Has(dicom.TagStudyDate))
		}
		f = x.find(a, root, implicitLE, "SpecificCharacterSet=ISO_IR 100", study, "StudyInstanceUID=1.2.3", "PatientName")
		if f.column(dicom.TagSpecificCharacterSet) != "ISO_IR 192" || f.column(dicom.TagPatientName) != "Yamada^Tarou=山田^太郎=やまだ^たろう" {
			x.Errorf("beyond the asker's letters: %s %s", f.column(dicom.TagSpecificCharacterSet), f.column(dicom.TagPatientName))
		}
		f = x.find(a, root, implicitLE, study, "StudyInstanceUID=1.2.4", "PatientName")
		if f.column(dicom.TagSpecificCharacterSet) != "-" || f.column(dicom.TagPatientName) != "Smith^Jo" {
			x.Errorf("ASCII: %s", f.column(dicom.TagSpecificCharacterSet))
		}
		f = x.find(a, network.PatientRootFindUID, implicitLE, "QueryRetrieveLevel=PATIENT", "PatientID=A", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
		if f.column(dicom.TagNumberOfPatientRelatedStudies)+f.column(dicom.TagNumberOfPatientRelatedSeries)+f.column(dicom.TagNumberOfPatientRelatedInstances) != "234" {
			x.Errorf("counts of a patient: %s %s %s", f.column(dicom.TagNumberOfPatientRelatedStudies), f.column(dicom.TagNumberOfPatientRelatedSeries), f.column(dicom.TagNumberOfPatientRelatedInstances))
		}
		f = x.find(a, root, implicitLE, series, "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1", "RequestAttributesSequence.ScheduledProcedureStepID", "NumberOfSeriesRelatedInstances", "Manufacturer", "SeriesNumber")
		d = f.rows[0]
		if i := d.Find(dicom.TagRequestAttributesSequence); i < 0 || d.StringIn(i+1, dicom.TagScheduledProcedureStepID) != "STEP1" || d.FindIn(i+1, dicom.TagRequestedProcedureID) >= 0 ||
			f.column(dicom.TagNumberOfSeriesRelatedInstances) != "2" || f.column(dicom.TagManufacturer) != "Maker" || f.pending != network.StatusPending {
			x.Errorf("a series: pending %04X, %s %s", f.pending, f.column(dicom.TagNumberOfSeriesRelatedInstances), f.column(dicom.TagManufacturer))
		}
		f = x.find(a, root, implicitLE, img, "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1", "SOPInstanceUID=1.2.1.1.2", "SOPClassUID", "Rows", "InstanceNumber", "AvailableTransferSyntaxUID")
		if n, _ := f.rows[0].Int(dicom.TagRows); n != 4 || f.column(dicom.TagSOPClassUID) != ctClass || f.column(dicom.TagInstanceNumber) != "2" || f.column(dicom.TagAvailableTransferSyntaxUID) != explicitLE {
			x.Error("an instance")
		}

		// A key that is neither matched nor returned is told with each match.
		for _, keys := range [][]string{{study, "PatientAddress"}, {study, "Modality=CT"}, {study, "PatientComments=x"}, {study, "SeriesInstanceUID"}, {study, "ProcedureCodeSequence", "AdmittingDiagnosesCodeSequence"}} {
			if f := x.find(a, root, implicitLE, keys...); f.pending != network.StatusPendingUnsupported || len(f.rows) != 4 {
				x.Errorf("%v: pending %04X, %d found", keys, f.pending, len(f.rows))
			}
		}
		for _, c := range []struct {
			class string
			keys  []string
			want  uint16
		}{
			{root, []string{"PatientID=A"}, network.StatusClassMismatch}, {root, []string{"QueryRetrieveLevel=PATIENT"}, network.StatusClassMismatch}, {root, []string{"QueryRetrieveLevel=FRAME"}, network.StatusClassMismatch},
			{root, []string{series}, network.StatusClassMismatch}, {root, []string{series, "StudyInstanceUID=1.2.1\\1.2.2"}, network.StatusClassMismatch}, {root, []string{series, "StudyInstanceUID=1.2.*"}, network.StatusClassMismatch},
			{root, []string{img, "StudyInstanceUID=1.2.1"}, network.StatusClassMismatch}, {network.PatientRootFindUID, []string{study}, network.StatusClassMismatch},
			{root, []string{study, "StudyDate=yesterday"}, network.StatusClassMismatch}, {root, []string{study, "PatientID=" + strings.Repeat("*x", 30)}, network.StatusClassMismatch},
		} {
			if f := x.find(a, c.class, implicitLE, c.keys...); f.status.Code != c.want || len(f.rows) != 0 || strings.Contains(f.status.Comment, "yesterday") {
				x.Errorf("%v: %v %q", c.keys, f.status, f.status.Comment)
			}
		}
		done, err := a.Find(x.Context(), &network.Query{SOPClassUID: root, TransferSyntaxUID: implicitLE, Identifier: []byte("no data set of any kind.")}, nil)
		if err != nil || done.Status.Code != network.StatusCannotUnderstand {
			x.Errorf("no data set: %v %v", done.Status, err)
		}

		// What was negotiated: fuzzy names, combined dates and times.
		b := x.dial("ALL", "KEPT", explicitLE, func(o *network.DialOptions) {
			o.Extended = []network.ExtendedNegotiation{{SOPClassUID: root, Information: []byte{1, 1, 1, 1}}}
		})
		if got := b.Extended(root); string(got) != "\x00\x01\x01\x00" {
			x.Errorf("negotiated: % x", got)
		}
		if f := x.find(b, root, explicitLE, study, "PatientName=ann"); f.column(dicom.TagStudyInstanceUID) != "1.2.1 1.2.2" {
			x.Errorf("fuzzy: %s", f.column(dicom.TagStudyInstanceUID))
		}
		if f := x.find(b, root, explicitLE, study, "StudyDate=20240102-20250101", "StudyTime=09-12"); sorted(f.column(dicom.TagStudyInstanceUID)) != "1.2.1 1.2.2 1.2.3" {
			x.Errorf("combined: %s", f.column(dicom.TagStudyInstanceUID))
		}
		if f := x.find(x.dial("ALL", "KEPT", dicom.ExplicitVRBigEndianUID), root, dicom.ExplicitVRBigEndianUID, study, "PatientID=B", "NumberOfStudyRelatedInstances"); f.column(dicom.TagStudyInstanceUID) != "1.2.3" {
			x.Errorf("big endian: %s", f.column(dicom.TagStudyInstanceUID))
		}
	})
}

func sorted(s string) string {
	f := strings.Fields(s)
	for i := range f {
		for k := i + 1; k < len(f); k++ {
			if f[k] < f[i] {
				f[i], f[k] = f[k], f[i]
			}
		}
	}
	return strings.Join(f, " ")
}

// Default is no: neither strangers nor peers that may something else find anything, and of another collection than the one that they called, nobody.
func TestWhoMayFind(t *testing.T) {
	x := start(t, "")
	x.archive()
	x.publish(kept)
	x.peer("STORER", 104, identity.MayStore|identity.MayGet, "*")
	x.peer("ELSEWHERE", 104, identity.MayFind, "other")
	x.peer("HERE", 104, identity.MayFind, kept)
	for _, c := range []struct {
		calling, called string
		agreed          bool
		want            int
	}{
		{"NOBODY", "KEPT", false, 0}, {"STORER", "KEPT", false, 0}, {"ELSEWHERE", "KEPT", false, 0}, {"ELSEWHERE", "OTHER", true, 0}, {"HERE", "KEPT", true, 4}, {"HERE", "VITRINE", false, 0}, {"ALL", "OTHER", true, 0},
	} {
		a := x.dial(c.calling, c.called, implicitLE, func(o *network.DialOptions) {
			o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{implicitLE}})
		})
		if _, ok := a.ContextOf(network.StudyRootFindUID); ok != c.agreed {
			t.Errorf("%s to %s: agreed: %v", c.calling, c.called, ok)
		}
		if !c.agreed {
			continue
		}
		f := x.find(a, network.StudyRootFindUID, implicitLE, "QueryRetrieveLevel=STUDY")
		if !f.status.Success() || len(f.rows) != c.want {
			t.Errorf("%s to %s: %v, %d found", c.calling, c.called, f.status, len(f.rows))
		}
	}
	// Who was forgotten finds nothing more, on an association that stands either.
	a := x.dial("HERE", "KEPT", implicitLE)
	x.write(func(tx *db.Tx) error { return x.n.Stores.Identity.RemovePeer(tx, "HERE") })
	x.until("forgotten", func() bool {
		return x.find(a, network.StudyRootFindUID, implicitLE, "QueryRetrieveLevel=STUDY").status.Code == network.StatusNotAuthorized
	})
}
