package sample

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	enhancedCTImageStorage = "1.2.840.10008.5.1.4.1.1.2.1"
	rleLosslessUID         = "1.2.840.10008.1.2.5"
	largeMatrix            = 512
)

// LargeFrames is how many frames [Large] needs for an object of at least size bytes.
func LargeFrames(size int64) int {
	least := int64(1 << 62)
	for _, f := range largeFrames(0) {
		least = min(least, int64(len(f)+8))
	}
	return int((size + least - 1) / least)
}

// Large writes a Part 10 file with one multi-frame object, an Enhanced CT Image of 512x512 pixels in RLE Lossless, each frame a fragment, with an
// extended offset table (PS3.3 C.7.6.3.1.8). It holds the header and four frames, so the object may be larger than memory: a native one would end at
// 4 GiB. It returns the number of bytes.
func Large(w io.Writer, seed uint64, frames int) (int64, error) {
	if frames < 1 {
		return 0, fmt.Errorf("write large sample: %d frames", frames)
	}
	ts, ok := dicom.LookupTransferSyntax(rleLosslessUID)
	if !ok {
		return 0, fmt.Errorf("write large sample: RLE Lossless is unknown")
	}
	pool := largeFrames(seed)
	in, err := largeHead(seed, frames, ts, pool)
	if err != nil {
		return 0, err
	}
	cw := &counter{w: w}
	if _, err := cw.Write(in.file); err != nil {
		return cw.n, err
	}
	// (7FE0,0010) OB of undefined length, an empty basic offset table, the fragments, the end (PS3.5 A.4).
	le := binary.LittleEndian
	item := func(length int) []byte { return le.AppendUint32([]byte{0xFE, 0xFF, 0x00, 0xE0}, uint32(length)) }
	if _, err := cw.Write(append([]byte{0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, item(0)...)); err != nil {
		return cw.n, err
	}
	for i := range frames {
		f := pool[i%len(pool)]
		if _, err := cw.Write(item(len(f))); err != nil {
			return cw.n, err
		}
		if _, err := cw.Write(f); err != nil {
			return cw.n, err
		}
	}
	_, err = cw.Write([]byte{0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
	return cw.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func largeFrames(seed uint64) [][]byte {
	c := &chest{key: mix(seed ^ 0x1A)}
	var pool [][]byte
	for i := range 4 {
		pool = append(pool, rle(axial(mix(c.key+uint64(i)), largeMatrix, thoraxField/largeMatrix, float64(30*i-45), 14, c.at)))
	}
	return pool
}

// rle encodes 16-bit pixels (PS3.5 G): a segment of all high bytes, one of all low bytes.
func rle(px []uint16) []byte {
	out := make([]byte, 64, 64+2*len(px))
	le := binary.LittleEndian
	le.PutUint32(out, 2)
	plane := make([]byte, len(px))
	for seg, shift := range []int{8, 0} {
		for i, v := range px {
			plane[i] = byte(v >> shift)
		}
		le.PutUint32(out[4+4*seg:], uint32(len(out)))
		out = packBits(out, plane, largeMatrix)
		if len(out)%2 == 1 {
			out = append(out, 0)
		}
	}
	return out
}

// packBits encodes row by row, as G.3.1 wants.
func packBits(out, b []byte, row int) []byte {
	for len(b) > 0 {
		r := b[:row]
		b = b[row:]
		for i := 0; i < len(r); {
			run := 1
			for i+run < len(r) && run < 128 && r[i+run] == r[i] {
				run++
			}
			if run >= 3 {
				out = append(out, byte(257-run), r[i])
				i += run
				continue
			}
			j := i
			for j < len(r) && j-i < 128 && (j+2 >= len(r) || r[j] != r[j+1] || r[j] != r[j+2]) {
				j++
			}
			out = append(out, byte(j-i-1))
			out = append(out, r[i:j]...)
			i = j
		}
	}
	return out
}

// largeHead is everything before the pixel data.
func largeHead(seed uint64, frames int, ts *dicom.TransferSyntax, pool [][]byte) (*Instance, error) {
	p := People(seed)[0]
	x := newExam(p, 0, "CT", 15, 2, calderCT)
	x.study = uid(seed, "large/%d", frames)
	x.desc = "CT thorax perfusion " + p.written()
	o := x.begin(ts)
	series := x.series(o, 5, "CT", "Perfusion 1.0 B30f", x.at)
	dims := uid(seed, "large/%d/dimensions", frames)
	px := thoraxField / largeMatrix

	o.String(dicom.TagPatientPosition, "HFS")
	o.String(dicom.TagFrameOfReferenceUID, x.frame)
	o.String(dicom.TagPositionReferenceIndicator, "")
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE")
	o.String(dicom.TagPixelPresentation, "MONOCHROME")
	o.String(dicom.TagVolumetricProperties, "VOLUME")
	o.String(dicom.TagVolumeBasedCalculationTechnique, "NONE")
	o.String(dicom.TagContentQualification, "RESEARCH")
	o.String(dicom.TagAcquisitionDateTime, dt(x.at))
	o.Numbers(dicom.TagAcquisitionDuration, dicom.VRFD, 40)
	o.Ints(dicom.TagAcquisitionNumber, 1)
	o.String(dicom.TagBodyPartExamined, "CHEST")
	o.String(dicom.TagBurnedInAnnotation, "NO")
	o.String(dicom.TagLossyImageCompression, "00")
	o.String(dicom.TagPresentationLUTShape, "IDENTITY")
	o.Sequence(dicom.TagAcquisitionContextSequence)
	o.items(dicom.TagDimensionOrganizationSequence, func(o object) { o.String(dicom.TagDimensionOrganizationUID, dims) })
	o.items(dicom.TagDimensionIndexSequence, func(o object) {
		o.Integers(dicom.TagDimensionIndexPointer, dicom.VRAT, int(dicom.TagImagePositionPatient))
		o.Integers(dicom.TagFunctionalGroupPointer, dicom.VRAT, int(dicom.TagPlanePositionSequence))
		o.String(dicom.TagDimensionOrganizationUID, dims)
	})

	o.items(dicom.TagSharedFunctionalGroupsSequence, func(o object) {
		o.items(dicom.TagPixelMeasuresSequence, func(o object) {
			o.Floats(dicom.TagPixelSpacing, px, px)
			o.Floats(dicom.TagSliceThickness, 1)
		})
		o.items(dicom.TagPlaneOrientationSequence, func(o object) {
			o.Floats(dicom.TagImageOrientationPatient, 1, 0, 0, 0, 1, 0)
		})
		o.items(dicom.TagFrameAnatomySequence, func(o object) {
			o.String(dicom.TagFrameLaterality, "U")
			o.code(dicom.TagAnatomicRegionSequence, code{"51185008", "SCT", "Chest"})
		})
		o.items(dicom.TagPixelValueTransformationSequence, func(o object) {
			o.Floats(dicom.TagRescaleIntercept, -1024)
			o.Floats(dicom.TagRescaleSlope, 1)
			o.String(dicom.TagRescaleType, "HU")
		})
		o.items(dicom.TagFrameVOILUTSequence, func(o object) {
			o.Floats(dicom.TagWindowCenter, 40)
			o.Floats(dicom.TagWindowWidth, 400)
		})
		o.items(dicom.TagIrradiationEventIdentificationSequence, func(o object) {
			o.String(dicom.TagIrradiationEventUID, uid(seed, "large/%d/event", frames))
		})
		o.items(dicom.TagCTImageFrameTypeSequence, func(o object) {
			o.String(dicom.TagFrameType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE")
			o.String(dicom.TagPixelPresentation, "MONOCHROME")
			o.String(dicom.TagVolumetricProperties, "VOLUME")
			o.String(dicom.TagVolumeBasedCalculationTechnique, "NONE")
		})
		o.items(dicom.TagCTAcquisitionTypeSequence, func(o object) {
			o.String(dicom.TagAcquisitionType, "SPIRAL")
			o.String(dicom.TagConstantVolumeFlag, "NO")
			o.String(dicom.TagFluoroscopyFlag, "NO")
		})
		o.items(dicom.TagCTReconstructionSequence, func(o object) {
			o.String(dicom.TagReconstructionAlgorithm, "FILTER_BACK_PROJ")
			o.String(dicom.TagConvolutionKernel, "B30f")
			o.String(dicom.TagConvolutionKernelGroup, "SOFT_TISSUE")
			o.Floats(dicom.TagReconstructionDiameter, thoraxField)
			o.Numbers(dicom.TagReconstructionPixelSpacing, dicom.VRFD, px, px)
			o.Numbers(dicom.TagReconstructionAngle, dicom.VRFD, 360)
			o.String(dicom.TagImageFilter, "NONE")
		})
		o.items(dicom.TagCTExposureSequence, func(o object) {
			o.Numbers(dicom.TagExposureTimeInms, dicom.VRFD, 500)
			o.Numbers(dicom.TagXRayTubeCurrentInmA, dicom.VRFD, 180)
			o.Numbers(dicom.TagExposureInmAs, dicom.VRFD, 90)
			o.String(dicom.TagExposureModulationType, "NONE")
			o.Numbers(dicom.TagCTDIvol, dicom.VRFD, 6.08)
			o.code(dicom.TagCTDIPhantomTypeCodeSequence, code{"113691", "DCM", "IEC Body Dosimetry Phantom"})
		})
		o.items(dicom.TagCTXRayDetailsSequence, func(o object) {
			o.Floats(dicom.TagKVP, 120)
			o.Floats(dicom.TagFocalSpots, 1.2)
			o.String(dicom.TagFilterType, "WEDGE")
			o.String(dicom.TagFilterMaterial, "ALUMINUM")
		})
		o.items(dicom.TagCTAcquisitionDetailsSequence, func(o object) {
			o.String(dicom.TagRotationDirection, "CW")
			o.Numbers(dicom.TagRevolutionTime, dicom.VRFD, 0.5)
			o.Numbers(dicom.TagSingleCollimationWidth, dicom.VRFD, 0.6)
			o.Numbers(dicom.TagTotalCollimationWidth, dicom.VRFD, 38.4)
			o.Floats(dicom.TagTableHeight, 142)
			o.Floats(dicom.TagGantryDetectorTilt, 0)
			o.Floats(dicom.TagDataCollectionDiameter, 500)
		})
		o.items(dicom.TagCTTableDynamicsSequence, func(o object) {
			o.Numbers(dicom.TagTableSpeed, dicom.VRFD, 46)
			o.Numbers(dicom.TagTableFeedPerRotation, dicom.VRFD, 23)
			o.Numbers(dicom.TagSpiralPitchFactor, dicom.VRFD, 0.6)
		})
		o.items(dicom.TagCTPositionSequence, func(o object) {
			o.Numbers(dicom.TagTablePosition, dicom.VRFD, 0)
			o.Numbers(dicom.TagDataCollectionCenterPatient, dicom.VRFD, 0, 0, 0)
			o.Numbers(dicom.TagReconstructionTargetCenterPatient, dicom.VRFD, 0, 0, 0)
		})
		o.items(dicom.TagCTGeometrySequence, func(o object) {
			o.Numbers(dicom.TagDistanceSourceToDetector, dicom.VRDS, 1085.6)
			o.Numbers(dicom.TagDistanceSourceToDataCollectionCenter, dicom.VRFD, 595)
		})
	})
	perFrame := make([]func(object), frames)
	for i := range perFrame {
		perFrame[i] = func(o object) {
			o.items(dicom.TagFrameContentSequence, func(o object) {
				o.String(dicom.TagFrameAcquisitionDateTime, dt(x.at))
				o.String(dicom.TagFrameReferenceDateTime, dt(x.at))
				o.Numbers(dicom.TagFrameAcquisitionDuration, dicom.VRFD, 500)
				o.Integers(dicom.TagDimensionIndexValues, dicom.VRUL, i+1)
			})
			o.items(dicom.TagPlanePositionSequence, func(o object) {
				o.Floats(dicom.TagImagePositionPatient, -thoraxField/2+px/2, -thoraxField/2+px/2, float64(i))
			})
		}
	}
	o.items(dicom.TagPerFrameFunctionalGroupsSequence, perFrame...)

	o.Ints(dicom.TagNumberOfFrames, frames)
	describe(o, largeMatrix, largeMatrix, 12, false)
	offsets, lengths := make([]byte, 0, 8*frames), make([]byte, 0, 8*frames)
	at := uint64(0)
	for i := range frames {
		n := uint64(len(pool[i%len(pool)]))
		offsets = binary.LittleEndian.AppendUint64(offsets, at)
		lengths = binary.LittleEndian.AppendUint64(lengths, n)
		at += n + 8
	}
	o.Raw(dicom.TagExtendedOffsetTable, dicom.VROV, offsets)
	o.Raw(dicom.TagExtendedOffsetTableLengths, dicom.VROV, lengths)
	return x.finish(o, ts, enhancedCTImageStorage, "CT", series, 5, 1, x.at)
}
