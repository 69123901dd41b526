package describe

import (
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Series is a series of a release: a row of the table of series. Its texts and measures are those of its first instance. Objects that are in no series are in
// none of its rows.
type Series struct {
	Subject  string `parquet:"PatientID,dict" doc:"Pseudonym of the person in this release"`
	Split    string `parquet:"split,optional,dict" doc:"Part of the release: train, validation or test"`
	Study    string `parquet:"StudyInstanceUID,dict" doc:"Study Instance UID (0020,000D), replaced"`
	Series   string `parquet:"SeriesInstanceUID" doc:"Series Instance UID (0020,000E), replaced"`
	SOPClass string `parquet:"SOPClassUID,optional,dict" doc:"SOP Class UID (0008,0016) of the first instance"`
	Modality string `parquet:"Modality,optional,dict" doc:"Modality (0008,0060)"`

	Instances int64 `parquet:"instances" doc:"How many objects the series has in this release"`
	Frames    int64 `parquet:"frames" doc:"How many frames they have together; an image without a number of frames has one"`
	Size      int64 `parquet:"size_bytes" doc:"Size of its objects together in bytes"`

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
	Rows              int64   `parquet:"Rows,optional" doc:"Rows (0028,0010)"`
	Columns           int64   `parquet:"Columns,optional" doc:"Columns (0028,0011)"`
	SliceThickness    float64 `parquet:"SliceThickness,optional" doc:"Slice Thickness (0018,0050) in mm"`
	PixelSpacing      string  `parquet:"PixelSpacing,optional,dict" doc:"Pixel Spacing (0028,0030) in mm: between rows, a backslash, between columns"`
	Contrast          string  `parquet:"ContrastBolusAgent,optional,dict" doc:"Contrast/Bolus Agent (0018,0010), cleaned"`
	Field             float64 `parquet:"MagneticFieldStrength,optional" doc:"Magnetic Field Strength (0018,0087) in T"`
}

func seriesOf(e *Entry) Series {
	return Series{Subject: e.Subject, Split: e.Split, Study: e.Study, Series: e.Series, SOPClass: e.SOPClass, Modality: e.Modality, StudyDate: e.StudyDate,
		StudyDescription: e.StudyDescription, Sex: e.Sex, Age: e.Age, SeriesNumber: e.SeriesNumber, SeriesDescription: e.SeriesDescription, ProtocolName: e.ProtocolName,
		BodyPart: e.BodyPart, Manufacturer: e.Manufacturer, Model: e.Model, Rows: e.Rows, Columns: e.Columns, SliceThickness: e.SliceThickness,
		PixelSpacing: e.PixelSpacing, Contrast: e.Contrast, Field: e.Field}
}

func (s *Series) add(e *Entry) {
	s.Instances++
	s.Size += e.Size
	s.Frames += max(e.Frames, 1)
}

// eachSeries calls fn with each series of the entries that are told, in their order.
func eachSeries(entries Entries, fn func(Series) error) error {
	var s Series
	for e, err := range present(entries) {
		if err != nil {
			return err
		}
		if e.Series == "" {
			continue
		}
		if s.Instances > 0 && (s.Subject != e.Subject || s.Study != e.Study || s.Series != e.Series) {
			if err := fn(s); err != nil {
				return err
			}
			s = Series{}
		}
		if s.Instances == 0 {
			s = seriesOf(&e)
		}
		s.add(&e)
	}
	if s.Instances > 0 {
		return fn(s)
	}
	return nil
}

// Column is a column of a table of metadata.
type Column struct {
	Name string // keyword of a DICOM attribute, or a name of our own in small letters
	Help string
	Kind string // text, integer, number or date
	at   int    // field of the row
}

// InstanceColumns are the columns of the table of instances in their order.
func InstanceColumns() []Column { return columns(reflect.TypeFor[Entry]()) }

// SeriesColumns are the columns of the table of series in their order.
func SeriesColumns() []Column { return columns(reflect.TypeFor[Series]()) }

func columns(t reflect.Type) []Column {
	var out []Column
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if name == "-" {
			continue
		}
		c := Column{Name: name, Help: f.Tag.Get("doc"), Kind: "text", at: i}
		switch {
		case f.Type.Kind() == reflect.Int64:
			c.Kind = "integer"
		case f.Type.Kind() == reflect.Float64:
			c.Kind = "number"
		case strings.HasSuffix(name, "Date"):
			c.Kind = "date"
		}
		out = append(out, c)
	}
	return out
}

// guarded keeps a program for tables from taking a text for a formula (OWASP, CSV injection).
func guarded(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r'", rune(s[0])) {
		return "'" + s
	}
	return s
}

// csvTable writes rows of one kind.
type csvTable struct {
	out     *csv.Writer
	columns []Column
	row     []string
}

func newCSV(w io.Writer, r *Release, columns []Column) (*csvTable, error) {
	if err := r.listable("write table of metadata"); err != nil {
		return nil, err
	}
	t := &csvTable{csv.NewWriter(w), columns, make([]string, len(columns))}
	for i, c := range columns {
		t.row[i] = c.Name
	}
	return t, t.out.Write(t.row)
}

func (t *csvTable) put(row reflect.Value) error {
	for i, c := range t.columns {
		v := row.Field(c.at)
		switch {
		case v.IsZero() && c.Name != "size_bytes":
			t.row[i] = ""
		case c.Kind == "integer":
			t.row[i] = strconv.FormatInt(v.Int(), 10)
		case c.Kind == "number":
			t.row[i] = strconv.FormatFloat(v.Float(), 'f', -1, 64)
		default:
			t.row[i] = guarded(v.String())
		}
	}
	return t.out.Write(t.row)
}

func (t *csvTable) close() error {
	t.out.Flush()
	return t.out.Error()
}

// tidy makes one line of each value that a device or a person once wrote. Of a date, an age and a sex nothing is left that is none:
// their columns have a type.
func (e *Entry) tidy() {
	e.StudyDate = dated(e.StudyDate)
	if !ageForm(e.Age) {
		e.Age = ""
	}
	if e.Sex != "F" && e.Sex != "M" && e.Sex != "O" {
		e.Sex = ""
	}
	for _, s := range []*string{&e.StudyDescription, &e.SeriesDescription, &e.ProtocolName, &e.BodyPart, &e.Manufacturer, &e.Model,
		&e.ImageType, &e.PixelSpacing, &e.Contrast, &e.Kernel, &e.ScanningSequence, &e.SequenceName, &e.Acquisition} {
		*s = plain(*s)
	}
}

// dated is a day as YYYY-MM-DD, from that or from how DICOM writes it (PS3.5 6.2, DA); "" where it is none.
func dated(s string) string {
	if len(s) == 8 {
		s = s[:4] + "-" + s[4:6] + "-" + s[6:]
	}
	if s == "" {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return ""
	}
	return s
}

// ageForm reports whether it is an age (PS3.5 6.2, AS): three digits and a unit.
func ageForm(s string) bool {
	return len(s) == 4 && strings.Trim(s[:3], "0123456789") == "" && strings.IndexByte("DWMY", s[3]) >= 0
}

// tidied are entries whose values are each of one line.
func tidied(entries Entries) Entries {
	return func(yield func(Entry, error) bool) {
		for e, err := range entries {
			e.tidy()
			if !yield(e, err) {
				return
			}
		}
	}
}

// WriteInstancesCSV writes the table of metadata with a row for each object: UTF-8, a header, commas, CRLF-free lines (RFC 4180 but for their end). A text that begins
// like a formula has an apostrophe before it.
func WriteInstancesCSV(w io.Writer, r *Release, entries Entries) error {
	t, err := newCSV(w, r, InstanceColumns())
	if err != nil {
		return err
	}
	for e, err := range tidied(present(entries)) {
		if err != nil {
			return err
		}
		if err := t.put(reflect.ValueOf(&e).Elem()); err != nil {
			return err
		}
	}
	return t.close()
}

// WriteSeriesCSV writes the table of metadata with a row for each series, as WriteInstancesCSV does.
func WriteSeriesCSV(w io.Writer, r *Release, entries Entries) error {
	t, err := newCSV(w, r, SeriesColumns())
	if err != nil {
		return err
	}
	if err := eachSeries(tidied(entries), func(s Series) error { return t.put(reflect.ValueOf(&s).Elem()) }); err != nil {
		return err
	}
	return t.close()
}

// The rows of a row group, and how many are written at a time.
const (
	rowGroup = 64 << 10
	batch    = 1024
)

// parquetTable writes rows of one kind a batch at a time.
type parquetTable[T any] struct {
	out  *parquet.GenericWriter[T]
	rows []T
}

func newParquet[T any](w io.Writer, r *Release) (*parquetTable[T], error) {
	if err := r.listable("write table of metadata"); err != nil {
		return nil, err
	}
	return &parquetTable[T]{parquet.NewGenericWriter[T](w, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowGroup), parquet.DataPageStatistics(true),
		parquet.CreatedBy("vitrine", "1", "0"), parquet.KeyValueMetadata("dataset", r.Dataset), parquet.KeyValueMetadata("version", r.Version),
		parquet.KeyValueMetadata("root", r.Root)), make([]T, 0, batch)}, nil
}

func (t *parquetTable[T]) put(row T) error {
	if t.rows = append(t.rows, row); len(t.rows) < batch {
		return nil
	}
	return t.flush()
}

func (t *parquetTable[T]) flush() error {
	n, err := t.out.Write(t.rows)
	if err == nil && n != len(t.rows) {
		err = fmt.Errorf("%d of %d rows were written: %w", n, len(t.rows), io.ErrShortWrite)
	}
	t.rows = t.rows[:0]
	return err
}

func (t *parquetTable[T]) close() error {
	if err := t.flush(); err != nil {
		return err
	}
	return t.out.Close()
}

// WriteInstancesParquet writes the table of WriteInstancesCSV as a Parquet file (Snappy, row groups of 65,536 rows). What is unknown is null. The file names its
// release in the keys dataset, version and root.
func WriteInstancesParquet(w io.Writer, r *Release, entries Entries) error {
	t, err := newParquet[Entry](w, r)
	if err != nil {
		return err
	}
	for e, err := range tidied(present(entries)) {
		if err != nil {
			return err
		}
		if err := t.put(e); err != nil {
			return err
		}
	}
	return t.close()
}

// WriteSeriesParquet writes the table of WriteSeriesCSV as a Parquet file, as WriteInstancesParquet does.
func WriteSeriesParquet(w io.Writer, r *Release, entries Entries) error {
	t, err := newParquet[Series](w, r)
	if err != nil {
		return err
	}
	if err := eachSeries(tidied(entries), t.put); err != nil {
		return err
	}
	return t.close()
}
