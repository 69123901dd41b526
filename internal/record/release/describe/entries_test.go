package describe_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// entry makes up the i-th of a release: 100 to a series, 3 series to a study, 2 studies to a person.
func entry(i int) describe.Entry {
	series, study, person := i/100, i/300, i/600
	sum := sha256.Sum256(fmt.Append(nil, i))
	return describe.Entry{
		DRS: fmt.Sprintf("o-%09d", i), Subject: fmt.Sprintf("P%06d", person), Split: []string{"train", "train", "validation", "test"}[person%4],
		Study: fmt.Sprintf("2.25.1%09d", study), Series: fmt.Sprintf("2.25.2%09d", series), Instance: fmt.Sprintf("2.25.3%09d", i),
		SOPClass: "1.2.840.10008.5.1.4.1.1.2", Modality: "CT", Format: "application/dicom", Path: fmt.Sprintf("images/P%06d/%d/%d/%d.dcm", person, study, series, i),
		Size: int64(500_000 + i%1000), SHA256: hex.EncodeToString(sum[:]),
		StudyDate: "2021-03-04", StudyDescription: "Chest", Sex: []string{"F", "M"}[person%2], Age: "063Y", SeriesNumber: int64(series%3 + 1), SeriesDescription: "Lung 1.0",
		BodyPart: "CHEST", Manufacturer: "Maker", Model: "One", InstanceNumber: int64(i%100 + 1), ImageType: `ORIGINAL\PRIMARY\AXIAL`, Rows: 512, Columns: 512,
		SliceThickness: 1.25, PixelSpacing: `0.7\0.7`, TransferSyntax: "1.2.840.10008.1.2.1", Kernel: "B50f", KVP: 120,
	}
}

func some(n int) []describe.Entry {
	out := make([]describe.Entry, n)
	for i := range out {
		out[i] = entry(i)
	}
	return out
}

func listOf(all []describe.Entry) describe.Entries {
	return func(yield func(describe.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// madeUp are n entries that are never all in memory.
func madeUp(n int) describe.Entries {
	return func(yield func(describe.Entry, error) bool) {
		for i := range n {
			if !yield(entry(i), nil) {
				return
			}
		}
	}
}

type listing = func(io.Writer, *describe.Release, describe.Entries) error

// listings are what lists entries.
func listings() map[string]listing {
	return map[string]listing{
		"manifest": func(w io.Writer, r *describe.Release, entries describe.Entries) error {
			root, n, err := describe.Root(entries)
			if err != nil {
				return err
			}
			from := ""
			if root != r.Root {
				from = r.Root
			}
			return describe.WriteManifest(w, r, from, root, n, entries)
		},
		"instances.csv": describe.WriteInstancesCSV, "series.csv": describe.WriteSeriesCSV, "instances.parquet": describe.WriteInstancesParquet, "series.parquet": describe.WriteSeriesParquet,
		"tcia": func(w io.Writer, r *describe.Release, entries describe.Entries) error {
			return describe.WriteTCIA(w, r, "https://example.org/nbia", entries)
		},
		"s5cmd": func(w io.Writer, r *describe.Release, entries describe.Entries) error {
			return describe.WriteS5cmd(w, r, func(e describe.Entry) (string, error) { return "s3://bucket/" + e.DRS, nil }, entries)
		},
		"participants.tsv": describe.WriteBIDSParticipants,
	}
}

func manifest(t testing.TB, r *describe.Release, all []describe.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	root, n, err := describe.Root(listOf(all))
	if err != nil {
		t.Fatal(err)
	}
	r.Root = root
	if err := describe.WriteManifest(&b, r, "", root, n, listOf(all)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// told is what a manifest says of an entry.
func told(e describe.Entry) describe.Entry {
	if e.Withdrawn {
		return describe.Entry{Withdrawn: true, Leaf: e.Leaf}
	}
	return describe.Entry{DRS: e.DRS, Subject: e.Subject, Split: e.Split, Study: e.Study, Series: e.Series, Instance: e.Instance, SOPClass: e.SOPClass,
		Modality: e.Modality, Format: e.Format, Path: e.Path, Size: e.Size, SHA256: e.SHA256}
}

func readAll(doc []byte) (describe.Header, []describe.Entry, error) {
	h, entries, err := describe.ReadManifest(bytes.NewReader(doc))
	if err != nil {
		return h, nil, err
	}
	var out []describe.Entry
	for e, err := range entries {
		if err != nil {
			return h, out, err
		}
		out = append(out, e)
	}
	return h, out, nil
}

// The lines as docs/formats/manifest.md shows them. A change of these bytes is a change of the format.
func TestManifestGolden(t *testing.T) {
	all := []describe.Entry{
		{DRS: "a1", Subject: "P0001", Split: "train", Study: "2.25.1", Series: "2.25.2", Instance: "2.25.3", SOPClass: "1.2.840.10008.5.1.4.1.1.2", Modality: "CT",
			Format: "application/dicom", Path: "images/P0001/2.25.3.dcm", Size: 524288, SHA256: strings.Repeat("0a", 32), SeriesDescription: "not in a manifest"},
		{DRS: "b2", Subject: `P "ü\2`, Format: "text/csv", Path: "clinical/ü.csv", Size: 0, SHA256: strings.Repeat("0b", 32)},
	}
	slices.SortFunc(all, func(a, b describe.Entry) int { return strings.Compare(a.Subject, b.Subject) })
	r := minimal()
	r.ConsentCutoff, r.PolicyHash = published.AddDate(0, 0, -3), strings.Repeat("cd", 32)
	got := string(manifest(t, r, all))
	want := `{"consentCutoff":"2026-03-01T05:06:07Z","dataset":"lungs","entries":2,"format":"vitrine release manifest","issued":"2026-03-04T05:06:07Z","policy":"` + strings.Repeat("cd", 32) +
		`","revision":1,"root":"` + r.Root + `","version":"1.0.0"}
{"drs":"b2","format":"text/csv","path":"clinical/ü.csv","sha256":"` + strings.Repeat("0b", 32) + `","size":0,"subject":"P \"ü\\2"}
{"drs":"a1","format":"application/dicom","instance":"2.25.3","modality":"CT","path":"images/P0001/2.25.3.dcm","series":"2.25.2","sha256":"` + strings.Repeat("0a", 32) +
		`","size":524288,"sopClass":"1.2.840.10008.5.1.4.1.1.2","split":"train","study":"2.25.1","subject":"P0001"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r.Root != "7edf977d6d4cddcb3ab4122d2ebd3575ae440d7cff9487737b26a434b48268a5" {
		t.Errorf("root %s", r.Root)
	}
}

// The root is that of RFC 6962 as another implementation computes it, for trees of every small shape.
func TestRootIsThatOfRFC6962(t *testing.T) {
	for n := range 70 {
		all := some(n)
		doc := manifest(t, minimal(), all)
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(indexes))
			for i, at := range indexes {
				out[i] = stored[at]
			}
			return out, nil
		})
		lines := bytes.Split(bytes.TrimSuffix(doc, []byte("\n")), []byte("\n"))[1:]
		for i, l := range lines {
			hashes, err := tlog.StoredHashes(int64(i), l, reader)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, hashes...)
		}
		want, err := tlog.TreeHash(int64(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		h, got, err := readAll(doc)
		if err != nil || h.Root != hex.EncodeToString(want[:]) || len(got) != n || h.Entries != int64(n) {
			t.Fatalf("%d entries: root %s, want %x; %d read, %v", n, h.Root, want, len(got), err)
		}
		for i := range got {
			if got[i] != told(all[i]) {
				t.Fatalf("%d comes back as %+v", i, got[i])
			}
		}
	}
}

// In an amended release nothing of a withdrawn entry is left but a hash, and the root is what it was.
func TestWithdrawnEntriesLeaveAHash(t *testing.T) {
	all := some(10)
	r := minimal()
	manifest(t, r, all)
	root := r.Root
	for _, i := range []int{0, 4, 5, 9} {
		leaf, err := describe.LeafHash(all[i])
		if err != nil {
			t.Fatal(err)
		}
		all[i].Withdrawn, all[i].Leaf = true, leaf
	}
	doc := manifest(t, r, all)
	if r.Root != root {
		t.Errorf("the root has become another")
	}
	_, got, err := readAll(doc)
	if err != nil || len(got) != 10 || got[4] != told(all[4]) || got[3] != told(all[3]) {
		t.Errorf("%v, %+v", err, got)
	}
	for name, write := range listings() {
		var b bytes.Buffer
		if err := write(&b, r, listOf(all)); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{all[4].DRS, all[4].SHA256, all[4].Instance} {
			if bytes.Contains(b.Bytes(), []byte(gone)) {
				t.Errorf("%s tells of a withdrawn entry", name)
			}
		}
	}
	all[4].Leaf = strings.Repeat("00", 32)
	manifest(t, r, all)
	if r.Root == root {
		t.Error("another hash makes no other root")
	}
}

func TestManifestIsHeldToItsRoot(t *testing.T) {
	all := some(5)
	r := minimal()
	manifest(t, r, all)
	var b bytes.Buffer
	if err := describe.WriteManifest(&b, r, "", r.Root, 5, listOf(all[:4])); fault.KindOf(err) != fault.Conflict {
		t.Errorf("fewer entries: %v", err)
	}
	changed := slices.Clone(all)
	changed[2].Size++
	if err := describe.WriteManifest(&b, r, "", r.Root, 5, listOf(changed)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("other entries: %v", err)
	}
	if err := describe.WriteManifest(&b, r, "", strings.Repeat("0", 64), 5, listOf(all)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another root: %v", err)
	}
	for _, disorder := range [][]describe.Entry{{all[1], all[0]}, {all[0], all[0]}} {
		if _, _, err := describe.Root(listOf(disorder)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("out of order: %v", err)
		}
	}
	// A recipient's own copy names the release's root beside its own.
	own := slices.Clone(all)
	for i := range own {
		own[i].Subject = "R" + own[i].Subject
	}
	root, n, err := describe.Root(listOf(own))
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := describe.WriteManifest(&b, r, r.Root, root, n, listOf(own)); err != nil {
		t.Fatal(err)
	}
	if h, err := describe.VerifyManifest(&b); err != nil || h.From != r.Root || h.Root != root {
		t.Errorf("%v, %+v", err, h)
	}
}

func TestHostileManifests(t *testing.T) {
	good := string(manifest(t, minimal(), some(3)))
	lines := strings.SplitAfter(good, "\n")
	replace := func(old, by string) string { return strings.Replace(good, old, by, 1) }
	for name, c := range map[string]struct {
		doc  string
		kind fault.Kind
	}{
		"empty":                {"", fault.Invalid},
		"no JSON":              {"hello\n", fault.Invalid},
		"another format":       {replace("vitrine release manifest", "a release manifest"), fault.Invalid},
		"a later revision":     {replace(`"revision":1`, `"revision":2`), fault.Invalid},
		"a path out of it":     {replace("images/P000000/0/0/1.dcm", "../../../etc/passwd"), fault.Invalid},
		"an absolute path":     {replace("images/P000000/0/0/1.dcm", "/etc/passwd"), fault.Invalid},
		"a path of a drive":    {replace("images/P000000/0/0/1.dcm", "C:evil"), fault.Invalid},
		"a backslash":          {replace("images/P000000/0/0/1.dcm", `..\\evil`), fault.Invalid},
		"an entry changed":     {replace(`"size":500001`, `"size":500002`), fault.Corrupt},
		"an entry left out":    {lines[0] + lines[1] + lines[3], fault.Corrupt},
		"an entry more":        {good + strings.Replace(lines[3], "o-000000002", "o-000000003", 1), fault.Corrupt},
		"entries swapped":      {lines[0] + lines[2] + lines[1] + lines[3], fault.Invalid},
		"an entry twice":       {lines[0] + lines[1] + lines[1] + lines[2] + lines[3], fault.Invalid},
		"an unknown name":      {replace(`{"drs":`, `{"a":1,"drs":`), fault.Invalid},
		"a name twice":         {replace(`{"drs":`, `{"drs":"x","drs":`), fault.Invalid},
		"a space":              {replace(`{"drs":`, `{ "drs":`), fault.Invalid},
		"an escape":            {replace(`"subject":"P000000"`, `"subject":"\u0050000000"`), fault.Invalid},
		"a control character":  {replace(`"subject":"P000000"`, `"subject":"P\u0000"`), fault.Invalid},
		"something after":      {replace("}\n{", "} {}\n{"), fault.Invalid},
		"an empty line":        {replace("}\n{", "}\n\n{"), fault.Invalid},
		"carriage returns":     {strings.ReplaceAll(good, "\n", "\r\n"), fault.Invalid},
		"no end":               {strings.TrimSuffix(good, "\n"), fault.Corrupt},
		"cut in a line":        {good[:len(good)-40], fault.Corrupt},
		"cut at a line":        {lines[0] + lines[1], fault.Corrupt},
		"a line without end":   {lines[0] + strings.Repeat("x", 1<<20), fault.TooLarge},
		"a header without end": {strings.Repeat("{", 1<<20), fault.TooLarge},
		"a number too large":   {replace(`"size":500001`, `"size":9007199254740992`), fault.Invalid},
		"a fraction":           {replace(`"size":500001`, `"size":500001.0`), fault.Invalid},
		"a negative size":      {replace(`"size":500001`, `"size":-1`), fault.Invalid},
		"many entries":         {replace(`"entries":3`, `"entries":100000001`), fault.TooLarge},
		"fewer than none":      {replace(`"entries":3`, `"entries":-3`), fault.Invalid},
		"another split":        {replace(`"split":"train"`, `"split":"secret"`), fault.Invalid},
		"withdrawn and told":   {replace(`"subject":"P000000"`, `"subject":"P000000","withdrawn":true`), fault.Invalid},
		"upper case":           {strings.Replace(good, entry(1).SHA256, strings.ToUpper(entry(1).SHA256), 1), fault.Invalid},
	} {
		if _, _, err := readAll([]byte(c.doc)); err == nil || fault.KindOf(err) != c.kind || c.doc == good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(manifest(f, minimal(), some(3)))
	f.Add(manifest(f, minimal(), nil))
	f.Add([]byte(`{"dataset":"a","entries":1,"format":"vitrine release manifest","issued":"2026-03-04T05:06:07Z","revision":1,"root":"` + strings.Repeat("0", 64) + `","version":"1.0.0"}` + "\n" +
		`{"leaf":"` + strings.Repeat("0", 64) + `","withdrawn":true}` + "\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		// Whatever the root, entries that were read are written as they were.
		_, got, err := readAll(doc)
		if len(got) == 0 {
			return
		}
		r := minimal()
		again := bytes.SplitAfter(manifest(t, r, got), []byte("\n"))
		read := bytes.SplitAfter(doc, []byte("\n"))
		for i := range got {
			if !bytes.Equal(again[i+1], read[i+1]) {
				t.Fatalf("%q becomes %q", read[i+1], again[i+1])
			}
		}
		if err == nil && len(read) != len(again) {
			t.Fatalf("%d lines become %d", len(read), len(again))
		}
	})
}

// hostileEntries have in their free texts what hurts.
func hostileEntries() []describe.Entry {
	all := some(120)
	all[0].SeriesDescription, all[0].StudyDescription, all[0].Contrast = "=HYPERLINK(\"http://evil\")", "+1", "@SUM(A1)"
	all[1].SeriesDescription, all[1].ProtocolName = "two\nlines\x00 and, a comma; \"quotes\"", strings.Repeat("ü", 3000)
	all[2].SeriesDescription, all[2].Manufacturer = "\xff\xfe", "-2"
	all[3].StudyDate, all[3].Age, all[3].Sex = "20210304", "63", "female"
	all[4].StudyDate, all[4].Age, all[4].Sex = "2021-02-30", "sixty", "=F"
	all[110].SliceThickness, all[110].Rows, all[110].Size = 0, 0, 0
	return all
}

func TestTablesReadBack(t *testing.T) {
	r := full()
	all := hostileEntries()
	var c, p bytes.Buffer
	if err := errors.Join(describe.WriteInstancesCSV(&c, r, listOf(all)), describe.WriteInstancesParquet(&p, r, listOf(all))); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&c).ReadAll()
	if err != nil || len(rows) != 121 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	at := map[string]int{}
	for i, col := range describe.InstanceColumns() {
		if rows[0][i] != col.Name || col.Help == "" {
			t.Errorf("column %d is %s, want %s", i, rows[0][i], col.Name)
		}
		at[col.Name] = i
	}
	for _, cell := range []struct {
		row          int
		column, want string
	}{
		{0, "SeriesDescription", `'=HYPERLINK("http://evil")`}, {0, "StudyDescription", "'+1"}, {0, "ContrastBolusAgent", "'@SUM(A1)"}, {2, "Manufacturer", "'-2"},
		{1, "SeriesDescription", `two lines  and, a comma; "quotes"`}, {1, "size_bytes", "500001"}, {1, "SliceThickness", "1.25"}, {3, "StudyDate", "2021-03-04"}, {3, "PatientAge", ""}, {3, "PatientSex", ""}, {4, "StudyDate", ""},
		{110, "SliceThickness", ""}, {110, "Rows", ""},
		{110, "size_bytes", "0"}, {5, "SOPInstanceUID", "2.25.3000000005"}, {5, "split", "train"}, {5, "RepetitionTime", ""},
	} {
		if got := rows[cell.row+1][at[cell.column]]; got != cell.want {
			t.Errorf("%s of row %d is %q, want %q", cell.column, cell.row, got, cell.want)
		}
	}
	for i, row := range rows[1:] {
		for j, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) || strings.ContainsAny(cell, "\n\x00") {
				t.Errorf("row %d, column %d begins a formula or a line", i, j)
			}
		}
	}

	f, err := parquet.OpenFile(bytes.NewReader(p.Bytes()), int64(p.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"dataset": r.Dataset, "version": r.Version, "root": r.Root} {
		if got, _ := f.Lookup(key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	var names []string
	for _, col := range f.Schema().Fields() {
		names = append(names, col.Name())
	}
	if !slices.Equal(names, rows[0]) {
		t.Errorf("Parquet has the columns %v", names)
	}
	got, err := parquet.Read[describe.Entry](bytes.NewReader(p.Bytes()), int64(p.Len()))
	if err != nil || len(got) != len(all) {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	for i := range got {
		want := all[i]
		if i > 4 && got[i] != want {
			t.Errorf("row %d comes back as %+v", i, got[i])
		}
	}
	if got[0].SeriesDescription != all[0].SeriesDescription || got[1].SeriesDescription != `two lines  and, a comma; "quotes"` || len(got[1].ProtocolName) > 1024 {
		t.Errorf("%q, %q", got[0].SeriesDescription, got[1].SeriesDescription)
	}

	c.Reset()
	p.Reset()
	if err := errors.Join(describe.WriteSeriesCSV(&c, r, listOf(all)), describe.WriteSeriesParquet(&p, r, listOf(all))); err != nil {
		t.Fatal(err)
	}
	if rows, err = csv.NewReader(&c).ReadAll(); err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	var size int64
	for _, e := range all[100:] {
		size += e.Size
	}
	series, err := parquet.Read[describe.Series](bytes.NewReader(p.Bytes()), int64(p.Len()))
	if err != nil || len(series) != 2 || series[0].Instances != 100 || series[1].Instances != 20 || series[1].Frames != 20 || series[1].Size != size {
		t.Fatalf("%+v, %v", series, err)
	}
	for i, col := range describe.SeriesColumns() {
		if rows[0][i] != col.Name {
			t.Errorf("column %d is %s", i, rows[0][i])
		}
	}
}

// Every list of entries gives the same bytes for the same entries.
func TestListingsAreSteady(t *testing.T) {
	for name, write := range listings() {
		var a, b bytes.Buffer
		if err := errors.Join(write(&a, full(), madeUp(5000)), write(&b, full(), listOf(some(5000)))); err != nil {
			t.Fatal(name, err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) || a.Len() == 0 {
			t.Errorf("%s differs from itself", name)
		}
	}
}

// An error of the entries, and entries that identify nothing, end every list.
func TestListingsEndWithTheirEntries(t *testing.T) {
	gone := errors.New("the database has gone")
	breaking := func(yield func(describe.Entry, error) bool) {
		_ = yield(entry(0), nil) && yield(describe.Entry{}, gone)
	}
	for name, write := range listings() {
		if err := write(io.Discard, full(), breaking); !errors.Is(err, gone) {
			t.Errorf("%s: %v", name, err)
		}
		for field, spoil := range map[string]func(e *describe.Entry){
			"drs": func(e *describe.Entry) { e.DRS = "a/b" }, "subject": func(e *describe.Entry) { e.Subject = "" }, "sha256": func(e *describe.Entry) { e.SHA256 = "" },
			"path": func(e *describe.Entry) { e.Path = "a/../../b" }, "uid": func(e *describe.Entry) { e.Series = "1.2.x" }, "format": func(e *describe.Entry) { e.Format = "dicom" },
			"split": func(e *describe.Entry) { e.Split = "all" }, "size": func(e *describe.Entry) { e.Size = -1 }, "modality": func(e *describe.Entry) { e.Modality = "ct scan" },
			"leaf": func(e *describe.Entry) { e.Withdrawn = true },
		} {
			all := some(2)
			spoil(&all[1])
			var f *fault.Error
			if err := write(io.Discard, full(), listOf(all)); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Object != field {
				t.Errorf("%s, %s: %v", name, field, err)
			}
		}
	}
}

func TestTCIAManifest(t *testing.T) {
	var b strings.Builder
	all := append(some(250), describe.Entry{DRS: "t", Subject: "P9", Format: "text/csv", Path: "clinical.csv", SHA256: strings.Repeat("0", 64)})
	if err := describe.WriteTCIA(&b, full(), "https://example.org/nbia", listOf(all)); err != nil {
		t.Fatal(err)
	}
	if want := `downloadServerUrl=https://example.org/nbia
includeAnnotation=true
noOfrRetry=4
databasketId=manifest-lungs-2.1.0.tcia
manifestVersion=3.0
ListOfSeriesToDownload=
2.25.2000000000
2.25.2000000001
2.25.2000000002
`; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if err := describe.WriteTCIA(io.Discard, full(), "https://example.org/\nListOf", listOf(all)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

func TestS5cmdManifest(t *testing.T) {
	all := some(2)
	all[1].Path = "images/it's $(here) now.dcm"
	var b strings.Builder
	if err := describe.WriteS5cmd(&b, minimal(), func(e describe.Entry) (string, error) { return "s3://bucket/lungs/" + e.DRS, nil }, listOf(all)); err != nil {
		t.Fatal(err)
	}
	if want := "# lungs@1.0.0\n# root " + strings.Repeat("ab", 32) + "\ncp s3://bucket/lungs/o-000000000 images/P000000/0/0/0.dcm\n" +
		`cp s3://bucket/lungs/o-000000001 'images/it'\''s $(here) now.dcm'` + "\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	for _, address := range []string{"https://example.org/x", "s3://bucket/*", "s3://bucket/a\nrm x", "s3://", ""} {
		if err := describe.WriteS5cmd(io.Discard, minimal(), func(describe.Entry) (string, error) { return address, nil }, listOf(all)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", address, err)
		}
	}
	gone := errors.New("no store")
	if err := describe.WriteS5cmd(io.Discard, minimal(), func(describe.Entry) (string, error) { return "", gone }, listOf(all)); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// countingWriter throws away what it counts.
type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// A list of very many entries needs no more memory than one of few. With VITRINE_SOAK it is a million.
func TestListsAreStreamed(t *testing.T) {
	n, most, parquetMost := 30_000, uint64(8<<20), uint64(64<<20) // held whole, they would be some 40 MiB
	if testdata.Soak() {
		n, parquetMost = 1_000_000, 256<<20 // the dictionaries of a row group and the index of the file
	}
	root, count, err := describe.Root(madeUp(n))
	if err != nil || count != int64(n) {
		t.Fatal(count, err)
	}
	r := full()
	r.Root = root
	lists := listings()
	lists["manifest"] = func(w io.Writer, r *describe.Release, entries describe.Entries) error {
		return describe.WriteManifest(w, r, "", root, count, entries)
	}
	lists["manifest, read"] = func(w io.Writer, r *describe.Release, entries describe.Entries) error {
		in, out := io.Pipe()
		go func() { out.CloseWithError(describe.WriteManifest(out, r, "", root, count, entries)) }()
		h, err := describe.VerifyManifest(io.TeeReader(in, w))
		if err == nil && h.Root != root {
			err = errors.New("another root")
		}
		return err
	}
	lists["bids"] = func(w io.Writer, _ *describe.Release, entries describe.Entries) error {
		for p, err := range describe.BIDS(entries) {
			if err != nil {
				return err
			}
			io.WriteString(w, p.Source)
		}
		return nil
	}
	for name, write := range lists {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var peak uint64
		watched := func(yield func(describe.Entry, error) bool) {
			i := 0
			for e, err := range madeUp(n) {
				if i++; i%(n/10) == 0 {
					runtime.GC()
					runtime.ReadMemStats(&after)
					peak = max(peak, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
				}
				if !yield(e, err) {
					return
				}
			}
		}
		var c counting
		begun := time.Now()
		if err := write(&c, r, watched); err != nil {
			t.Fatal(name, err)
		}
		t.Logf("%-18s %8d entries, %10d bytes, %6.2f s, %3d MiB of heap at the most", name, n, c.n, time.Since(begun).Seconds(), peak>>20)
		if limit := map[bool]uint64{true: parquetMost, false: most}[strings.HasSuffix(name, "parquet")]; peak > limit {
			t.Errorf("%s holds %d MiB", name, peak>>20)
		}
	}
}

func BenchmarkRoot(b *testing.B) {
	all := some(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := describe.Root(listOf(all)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/10_000, "µs/entry")
}

func BenchmarkReadManifest(b *testing.B) {
	doc := manifest(b, minimal(), some(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := describe.VerifyManifest(bytes.NewReader(doc)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/10_000, "µs/entry")
}
