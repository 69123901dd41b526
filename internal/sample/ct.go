package sample

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"

	thoraxSlices    = 24
	thoraxThickness = 5.0 // mm
	thoraxField     = 400.0
)

// thorax is the first person's CT: one series of 24 slices, 512x512 at baseline and 256x256 later. Two nodules answer to treatment.
func thorax(p *Person, tp int) *Study {
	x := newExam(p, tp, "CT", 9, 41+7*tp, calderCT)
	x.desc = fmt.Sprintf("CT thorax, %s, ref %s", p.written(), p.Physician[:strings.IndexByte(p.Physician, '^')])
	n := [3]int{512, 256, 256}[tp]
	s := x.newStudy()
	big, small := [3]float64{22, 16, 11}[tp], [3]float64{8, 7, 6}[tp]
	c := &chest{key: mix(p.seed ^ 0xC7), nodules: []ball{
		{-92, -22, 6, big / 2, 38}, {88, 30, -24, small / 2, 30},
	}}
	// The last timepoint was kept by an old archive in implicit VR.
	ts := dicom.ExplicitVRLittleEndian
	if tp == 2 {
		ts = dicom.ImplicitVRLittleEndian
	}
	for i := range thoraxSlices {
		s.make = append(s.make, func() (*Instance, error) { return x.thoraxSlice(c, ts, n, i) })
	}
	return s
}

func (x *exam) thoraxSlice(c *chest, ts *dicom.TransferSyntax, n, i int) (*Instance, error) {
	o := x.begin(ts)
	at := x.at.Add(4*time.Minute + time.Duration(i)*250*time.Millisecond)
	series := x.series(o, 2, "CT", "Thorax 5.0 B40f", x.at.Add(4*time.Minute))
	z := (float64(i) - float64(thoraxSlices-1)/2) * thoraxThickness
	px := thoraxField / float64(n)
	x.ctImage(o, i+1, at, z, thoraxThickness, px, n)
	o.String(dicom.TagProtocolName, "Thorax contrast (adult)")
	o.String(dicom.TagBodyPartExamined, "CHEST")
	o.String(dicom.TagContrastBolusAgent, "Iohexol 300")
	o.Floats(dicom.TagContrastBolusVolume, 75)
	pixels(o, n, n, 12, false, axial(mix(c.key^uint64(i)<<20^uint64(x.tp)<<40), n, px, z, 14, c.at))
	x.siemens(o, i)
	return x.finish(o, ts, ctImageStorage, "CT", series, 2, i+1, at)
}

// ctImage adds the CT image and its geometry (C.8.2.1).
func (x *exam) ctImage(o object, number int, at time.Time, z, thickness, px float64, n int) {
	x.slice(o, px, float64(n)*px/2, z, thickness)
	o.String(dicom.TagPatientPosition, "HFS")
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	o.Ints(dicom.TagAcquisitionNumber, 1)
	o.String(dicom.TagAcquisitionDate, da(at))
	o.String(dicom.TagAcquisitionTime, tm(at))
	o.Floats(dicom.TagKVP, 120)
	o.Floats(dicom.TagRescaleIntercept, -1024)
	o.Floats(dicom.TagRescaleSlope, 1)
	o.String(dicom.TagRescaleType, "HU")
	o.Floats(dicom.TagDataCollectionDiameter, 500)
	o.Floats(dicom.TagReconstructionDiameter, float64(n)*px)
	o.Floats(dicom.TagDistanceSourceToDetector, 1085.6)
	o.Floats(dicom.TagDistanceSourceToPatient, 595)
	o.Floats(dicom.TagGantryDetectorTilt, 0)
	o.Floats(dicom.TagTableHeight, 142)
	o.String(dicom.TagRotationDirection, "CW")
	o.Ints(dicom.TagExposureTime, 500)
	o.Ints(dicom.TagXRayTubeCurrent, 180+number%7*6)
	o.Ints(dicom.TagExposure, 90+number%7*3)
	o.String(dicom.TagFilterType, "WEDGE")
	o.Ints(dicom.TagGeneratorPower, 22)
	o.Floats(dicom.TagFocalSpots, 1.2)
	o.String(dicom.TagConvolutionKernel, "B40f")
	o.Floats(dicom.TagCTDIvol, 6.08)
	o.Floats(dicom.TagWindowCenter, 40, -600)
	o.Floats(dicom.TagWindowWidth, 400, 1500)
	o.String(dicom.TagWindowCenterWidthExplanation, "MEDIASTINUM", "LUNG")
	o.String(dicom.TagIrradiationEventUID, uid(x.p.seed, "event/%s", x.study))
	o.text(dicom.TagImageComments, fmt.Sprintf("Checked against %s, %s", x.p.written(), x.p.MRN))
}

// siemens adds private elements as such scanners leave them: a block of numbers that are safe, and a header of the vendor's own format that names the
// patient.
func (x *exam) siemens(o object, i int) {
	o.Text(0x00190010, dicom.VRLO, "SIEMENS CT VA0  COAD")
	o.Integers(0x00191010, dicom.VRIS, 595)
	o.Integers(0x00191011, dicom.VRIS, 1086)
	o.Text(0x00191080, dicom.VRCS, "BODY")
	o.Text(0x00191082, dicom.VRCS, "ADULT")
	o.Numbers(0x001910B0, dicom.VRDS, 23)
	o.Text(0x00290010, dicom.VRLO, "SIEMENS CSA HEADER")
	o.Text(0x00291008, dicom.VRCS, "IMAGE NUM 4")
	o.Text(0x00291009, dicom.VRLO, da(x.at))
	o.Raw(0x00291010, dicom.VROB, csa([][2]string{
		{"NumberInSeries", fmt.Sprint(i + 1)},
		{"PatientName", x.p.Name},
		{"RegistrationID", x.accession},
		{"OperatorRemark", x.p.written() + " tel " + x.p.Mobile},
	}, x.set))
	// The trust's own archive writes whose image it is, and in which folder.
	o.Text(0x00090010, dicom.VRLO, "CVI PACS GATEWAY 1.0")
	o.private(0x00091001, dicom.VRLO, x.p.written())
	o.private(0x00091002, dicom.VRLT, x.p.Address+", "+x.p.Phone)
	o.Text(0x00091003, dicom.VRSH, x.p.NHS)
}

// csa encodes fields in the layout of Siemens's shadow header, version 2: little endian, a fixed part of 84 bytes for each field, items padded to 4.
func csa(fields [][2]string, set charset) []byte {
	le := binary.LittleEndian
	out := append([]byte("SV10"), 4, 3, 2, 1)
	out = le.AppendUint32(out, uint32(len(fields)))
	out = le.AppendUint32(out, 77)
	for _, f := range fields {
		var name [64]byte
		copy(name[:], f[0])
		v := set.encode(f[1])
		out = append(out, name[:]...)
		out = le.AppendUint32(out, 1) // multiplicity
		out = append(out, 'L', 'O', 0, 0)
		out = le.AppendUint32(out, 19) // the vendor's number for LO
		out = le.AppendUint32(out, 1)  // items
		out = le.AppendUint32(out, 77)
		for _, n := range []int{len(v), len(v), 77, len(v)} {
			out = le.AppendUint32(out, uint32(n))
		}
		out = append(out, v...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}
