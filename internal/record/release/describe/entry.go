package describe

import (
	"io/fs"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Entry is an object of a release: what its line of the manifest says of it, and what the tables of metadata say besides. The columns bear its tags: the
// keyword of a DICOM attribute, or a name of our own in small letters. An empty text or a 0 is unknown and is a null in Parquet.
//
// Entries come in the order of Subject, Study, Series, Instance and DRS, each compared byte by byte.
type Entry struct {
	DRS      string `parquet:"drs_id" doc:"Identifier of the object by the Data Repository Service of GA4GH"`
	Subject  string `parquet:"PatientID,dict" doc:"Pseudonym of the person in this release"`
	Split    string `parquet:"split,optional,dict" doc:"Part of the release: train, validation or test"`
	Study    string `parquet:"StudyInstanceUID,optional,dict" doc:"Study Instance UID (0020,000D), replaced"`
	Series   string `parquet:"SeriesInstanceUID,optional,dict" doc:"Series Instance UID (0020,000E), replaced"`
	Instance string `parquet:"SOPInstanceUID,optional" doc:"SOP Instance UID (0008,0018), replaced"`
	SOPClass string `parquet:"SOPClassUID,optional,dict" doc:"SOP Class UID (0008,0016)"`
	Modality string `parquet:"Modality,optional,dict" doc:"Modality (0008,0060)"`
	Format   string `parquet:"format,dict" doc:"Media type of the object"`
	Path     string `parquet:"path" doc:"Path of the object in a download"`
	Size     int64  `parquet:"size_bytes" doc:"Size of the object in bytes"`
	SHA256   string `parquet:"sha256" doc:"SHA-256 of the object, in hexadecimal digits"`

	StudyDate         string  `parquet:"StudyDate,optional,dict" doc:"Study Date (0008,0020) as it is released, YYYY-MM-DD: shifted where the profile shifts dates"`
	StudyDescription  string  `parquet:"StudyDescription,optional,dict" doc:"Study Description (0008,1030), cleaned"`
	Sex               string  `parquet:"PatientSex,optional,dict" doc:"Patient's Sex (0010,0040): F, M or O"`
	Age               string  `parquet:"PatientAge,optional,dict" doc:"Patient's Age (0010,1010) at the study, as 063Y"`
	SeriesNumber      int64   `parquet:"SeriesNumber,optional" doc:"Series Number (0020,0011)"`
	SeriesDescription string  `parquet:"SeriesDescription,optional,dict" doc:"Series Description (0008,103E), cleaned"`
	ProtocolName      string  `parquet:"ProtocolName,optional,dict" doc:"Protocol Name (0018,1030), cleaned"`
	BodyPart          string  `parquet:"BodyPartExamined,optional,dict" doc:"Body Part Examined (0018,0015)"`
	Manufacturer      string  `parquet:"Manufacturer,optional,dict" doc:"Manufacturer (0008,0070)"`
	Model             string  `parquet:"ManufacturerModelName,optional,dict" doc:"Manufacturer's Model Name (0008,1090)"`
	InstanceNumber    int64   `parquet:"InstanceNumber,optional" doc:"Instance Number (0020,0013)"`
	ImageType         string  `parquet:"ImageType,optional,dict" doc:"Image Type (0008,0008), its values with a backslash between"`
	Rows              int64   `parquet:"Rows,optional" doc:"Rows (0028,0010)"`
	Columns           int64   `parquet:"Columns,optional" doc:"Columns (0028,0011)"`
	Frames            int64   `parquet:"NumberOfFrames,optional" doc:"Number of Frames (0028,0008)"`
	SliceThickness    float64 `parquet:"SliceThickness,optional" doc:"Slice Thickness (0018,0050) in mm"`
	PixelSpacing      string  `parquet:"PixelSpacing,optional,dict" doc:"Pixel Spacing (0028,0030) in mm: between rows, a backslash, between columns"`
	TransferSyntax    string  `parquet:"TransferSyntaxUID,optional,dict" doc:"Transfer Syntax UID (0002,0010)"`

	// Of CT and of contrast.
	Contrast string  `parquet:"ContrastBolusAgent,optional,dict" doc:"Contrast/Bolus Agent (0018,0010), cleaned"`
	Kernel   string  `parquet:"ConvolutionKernel,optional,dict" doc:"Convolution Kernel (0018,1210)"`
	KVP      float64 `parquet:"KVP,optional" doc:"KVP (0018,0060) in kV"`

	// Of MR.
	Field            float64 `parquet:"MagneticFieldStrength,optional" doc:"Magnetic Field Strength (0018,0087) in T"`
	ScanningSequence string  `parquet:"ScanningSequence,optional,dict" doc:"Scanning Sequence (0018,0020), its values with a backslash between"`
	SequenceName     string  `parquet:"SequenceName,optional,dict" doc:"Sequence Name (0018,0024)"`
	Acquisition      string  `parquet:"MRAcquisitionType,optional,dict" doc:"MR Acquisition Type (0018,0023): 2D or 3D"`
	RepetitionTime   float64 `parquet:"RepetitionTime,optional" doc:"Repetition Time (0018,0080) in ms"`
	EchoTime         float64 `parquet:"EchoTime,optional" doc:"Echo Time (0018,0081) in ms"`
	InversionTime    float64 `parquet:"InversionTime,optional" doc:"Inversion Time (0018,0082) in ms"`
	FlipAngle        float64 `parquet:"FlipAngle,optional" doc:"Flip Angle (0018,1314) in degrees"`
	BValue           float64 `parquet:"DiffusionBValue,optional" doc:"Diffusion b-value (0018,9087) in s/mm2"`

	Withdrawn bool   `parquet:"-"` // it is in the tree of an amended release, and nothing of it is told
	Leaf      string `parquet:"-"` // of a withdrawn one: the hash of what was its line of the manifest (LeafHash), 64 hexadecimal digits
}

// Entries are the objects of a release in their order.
type Entries = iter.Seq2[Entry, error]

// The bounds of an entry's texts in bytes.
const (
	maxID   = 128
	maxPath = 1024
	maxText = 1024 // of a descriptive value, which is cut to it
)

// The forms are looked at a million times, so they are loops.

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// word reports whether a text of 1 to limit bytes has letters, digits and those others alone, and begins with a letter or digit.
func word(s, others string, limit int) bool {
	if s == "" || len(s) > limit || !alphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return true
}

func validDRS(s string) bool { return word(s, "._~-", maxID) }

// validFormat is a media type without parameters (RFC 6838 4.2).
func validFormat(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && word(kind, "+.-", 64) && word(sub, "+.-", 127)
}

// validCode is a code string (PS3.5 6.2, CS) without spaces, or none.
func validCode(s string) bool { return s == "" || word(s, "_", 16) && strings.ToUpper(s) == s }

// validPath is a path below a folder on every system: relative, with slashes, without "." or "..", and without what a file's name cannot have elsewhere.
func validPath(p string) bool {
	return fs.ValidPath(p) && p != "." && len(p) <= maxPath && utf8.ValidString(p) && !strings.ContainsFunc(p, func(r rune) bool {
		return unicode.IsControl(r) || strings.ContainsRune(`<>:"|?*\`, r)
	})
}

// validUID is a UID (PS3.5 9.1), or none.
func validUID(s string) bool {
	if len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if point := s[i] == '.'; !point && (s[i] < '0' || s[i] > '9') || point && (i == 0 || i == len(s)-1 || s[i-1] == '.') {
			return false
		}
	}
	return true
}

// check holds what identifies an entry to its form. The error names the field and not its value.
func (e *Entry) check() error {
	bad := func(field, why string) error { return fault.New(fault.Invalid, "describe entry", field, why) }
	switch {
	case e.Withdrawn && !isHash(e.Leaf):
		return bad("leaf", "a withdrawn entry needs the hash of its line")
	case e.Withdrawn:
		return nil
	case !validDRS(e.DRS):
		return bad("drs", "it is no identifier of at most 128 letters, digits and . _ ~ -")
	case e.Subject == "" || len(e.Subject) > maxID || !printable(e.Subject):
		return bad("subject", "it is no pseudonym of at most 128 bytes")
	case !validUID(e.Study) || !validUID(e.Series) || !validUID(e.Instance) || !validUID(e.SOPClass) || !validUID(e.TransferSyntax):
		return bad("uid", "one is no UID of at most 64 digits and points")
	case !validCode(e.Modality):
		return bad("modality", "it is no code string")
	case !validFormat(e.Format):
		return bad("format", "it is no media type")
	case !isHash(e.SHA256):
		return bad("sha256", "it is no SHA-256 of 64 lower-case hexadecimal digits")
	case e.Size < 0 || e.Size >= 1<<53:
		return bad("size", "it is negative, or over what a JSON number holds")
	case e.Split != "" && !slices.Contains(splitNames, e.Split):
		return bad("split", "it is none of train, validation and test")
	case !validPath(e.Path):
		return bad("path", "it is no path below a folder, of at most 1024 bytes")
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// compare is the order of entries.
func (e *Entry) compare(other *Entry) int {
	for _, c := range [...]int{strings.Compare(e.Subject, other.Subject), strings.Compare(e.Study, other.Study), strings.Compare(e.Series, other.Series),
		strings.Compare(e.Instance, other.Instance)} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(e.DRS, other.DRS)
}

// checked passes entries on that are in form and in order, those that are withdrawn included.
func checked(entries Entries) Entries {
	return func(yield func(Entry, error) bool) {
		var last Entry
		for e, err := range entries {
			if err == nil {
				err = e.check()
			}
			if err == nil && !e.Withdrawn {
				if last.DRS != "" && last.compare(&e) >= 0 {
					err = fault.New(fault.Invalid, "describe entries", "", "they are not in the order of subject, study, series, instance and DRS identifier, or one comes twice")
				}
				last = e
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// present passes on the entries that are told: those that are not withdrawn.
func present(entries Entries) Entries {
	return func(yield func(Entry, error) bool) {
		for e, err := range checked(entries) {
			if err == nil && e.Withdrawn {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// plain makes one line of a value: control characters become spaces, and what is over a bound is cut. Cleaned values come from many makers' devices.
func plain(s string) string {
	if len(s) <= maxText && printable(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = s[:maxText]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return strings.TrimSpace(s)
}
