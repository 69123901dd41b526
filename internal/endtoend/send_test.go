package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// image is one file as a sender has it.
type image struct {
	name                      string // for failures: a path in ../shared or a number, never a value of the data set
	file                      []byte
	data                      []byte // its data set; nil if the file cannot be read
	syntax                    string
	class, sop, study, series string
}

// fileable reports whether the image has what it is filed by.
func (i *image) fileable() bool { return i.data != nil && i.class != "" && i.sop != "" }

func read(name string, b []byte) *image {
	i := &image{name: name, file: b}
	f, err := dicom.Parse(b, dicom.Limits{})
	if err != nil {
		return i
	}
	i.data, i.syntax = f.DatasetBytes(), f.Syntax().UID
	i.class, i.sop = f.Data.UID(dicom.TagSOPClassUID), f.Data.UID(dicom.TagSOPInstanceUID)
	i.study, i.series = f.Data.UID(dicom.TagStudyInstanceUID), f.Data.UID(dicom.TagSeriesInstanceUID)
	if f.Data.Has(dicom.TagDirectoryRecordSequence) {
		i.class, i.sop = "", ""
	}
	return i
}

// real reads the DICOM files beside the repository.
func real(t testing.TB) []*image {
	t.Helper()
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	var all []*image
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		all = append(all, read(rel, b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// generated is an instance of the project's own generator.
func generated(name string, in *sample.Instance) *image {
	return &image{name: name, file: in.File(), data: in.Data(), syntax: in.Syntax().UID, class: in.SOPClassUID, sop: in.SOPInstanceUID, study: in.StudyUID, series: in.SeriesUID}
}

// dial opens an association that can carry all of the images.
func (n *served) dial(ctx context.Context, called string, images []*image) (*network.Association, error) {
	o := network.DialOptions{CallingAE: peerAE, CalledAE: called, ResponseTimeout: 2 * time.Minute}
	seen := map[[2]string]bool{}
	for _, i := range images {
		if k := [2]string{i.class, i.syntax}; !seen[k] {
			seen[k] = true
			o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: i.class, TransferSyntaxes: []string{i.syntax}})
		}
	}
	return network.Dial(ctx, n.dicom, o)
}

// store sends images on one association. What cannot be sent (an odd length, a transfer syntax that nobody accepts) has the status 0xFFFF.
func (n *served) store(called string, images []*image) []network.Status {
	n.t.Helper()
	all := make([]network.Status, len(images))
	a, err := n.dial(n.t.Context(), called, images)
	if err != nil {
		n.t.Fatal(err)
	}
	for k, i := range images {
		all[k], err = a.Store(n.t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
		switch err {
		case nil:
		case network.ErrOddLength, network.ErrNoContext:
			all[k] = network.Status{Code: unsent}
		default:
			n.t.Fatalf("%s: %v", i.name, err)
		}
	}
	if err := a.Release(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	return all
}

const unsent = 0xFFFF

func (n *served) echo() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	a, err := network.Dial(ctx, n.dicom, network.DialOptions{CallingAE: "ANYBODY", CalledAE: "VITRINE",
		Contexts: []network.Proposal{{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{dicom.ImplicitVRLittleEndianUID}}}})
	if err != nil {
		return err
	}
	if st, err := a.Echo(ctx); err != nil || !st.Success() {
		a.Abort()
		return fmt.Errorf("status %v, %w", st, err)
	}
	return a.Release(ctx)
}

// answer is what came back over HTTP.
type answer struct {
	code   int
	header http.Header
	body   []byte
	err    error
}

func (n *served) do(method, path, role string, header map[string]string, body io.Reader) answer {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+n.http+path, body)
	if err != nil {
		n.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+n.tokens[role])
	}
	resp, err := n.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

func (n *served) get(path, role, accept string) answer {
	n.t.Helper()
	return n.do("GET", path, role, map[string]string{"Accept": accept}, nil)
}

const stowType = `multipart/related; type="application/dicom"; boundary=edge`

// stow deposits files in one request, its body made as curl users make it: with printf and cat.
func (n *served) stow(collection string, images ...*image) stowed {
	n.t.Helper()
	var b bytes.Buffer
	for _, i := range images {
		b.WriteString("--edge\r\nContent-Type: application/dicom\r\n\r\n")
		b.Write(i.file)
		b.WriteString("\r\n")
	}
	b.WriteString("--edge--\r\n")
	return readStow(n.t, n.do("POST", "/collections/"+collection+"/dicomweb/studies", "depositor", map[string]string{"Content-Type": stowType, "Accept": "application/dicom+json"}, &b))
}

// stowed is the answer of STOW-RS (PS3.18 10.5.3).
type stowed struct {
	answer
	kept    map[string]int // by SOP Instance UID; the warning reason
	refused map[string]int // the failure reason
	other   []int          // failures without a UID
	why     []string       // what the answer says in words
}

func readStow(t testing.TB, a answer) stowed {
	t.Helper()
	s := stowed{answer: a, kept: map[string]int{}, refused: map[string]int{}}
	if a.err != nil || a.header.Get("Content-Type") != "application/dicom+json" {
		return s
	}
	type element struct {
		Value []any `json:"Value"`
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &raw); err != nil {
		t.Errorf("STOW-RS answered no DICOM JSON: %v", err)
		return s
	}
	items := func(tag string) []map[string]element {
		var sequence struct{ Value []map[string]element }
		if raw[tag] != nil && json.Unmarshal(raw[tag], &sequence) != nil {
			t.Errorf("STOW-RS answered with a %s that is no sequence", tag)
		}
		return sequence.Value
	}
	number := func(e element) int {
		if len(e.Value) == 0 {
			return 0
		}
		f, _ := e.Value[0].(float64)
		return int(f)
	}
	text := func(e element) string {
		if len(e.Value) == 0 {
			return ""
		}
		s, _ := e.Value[0].(string)
		return s
	}
	for _, item := range items("00081199") {
		s.kept[text(item["00081155"])] = number(item["00081196"])
	}
	for _, item := range items("00081198") {
		s.refused[text(item["00081155"])] = number(item["00081197"])
		s.why = append(s.why, text(item["00000902"]))
	}
	for _, item := range items("0008119A") {
		s.other = append(s.other, number(item["00081197"]))
		s.why = append(s.why, text(item["00000902"]))
	}
	return s
}

// objects fetches all that is kept under a place, as Part 10 files.
func (n *served) objects(path, role string) ([][]byte, error) {
	n.t.Helper()
	a := n.get(path, role, `multipart/related; type="application/dicom"; transfer-syntax=*`)
	if a.code != 200 || a.err != nil {
		return nil, errors.Join(a.err, fmt.Errorf("status %d: %.200s", a.code, a.body))
	}
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	m := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	var all [][]byte
	for {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
}

// place is where WADO-RS gives an instance that has kept its UIDs.
func (i *image) place() string {
	return "/collections/" + kept + "/dicomweb/studies/" + i.study + "/series/" + i.series + "/instances/" + i.sop
}

// same wants the collection that keeps what it is given to give the image back with its data set as it was sent.
func (n *served) same(i *image) error {
	n.t.Helper()
	files, err := n.objects(i.place(), "steward")
	if err != nil {
		return err
	}
	padded := append(i.data[:len(i.data):len(i.data)], 0) // deflated and odd, on its way over DIMSE (PS3.5 A.5)
	for _, b := range files {
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			return err
		}
		if got := f.DatasetBytes(); f.Syntax().UID == i.syntax && (bytes.Equal(got, i.data) || f.Syntax().Deflated && bytes.Equal(got, padded)) {
			return nil
		}
	}
	return fmt.Errorf("another data set came back (%d under this UID)", len(files))
}

// bulkOf reads bulk values of a data set that is in memory.
func bulkOf(d *dicom.Dataset) func(dicom.BulkRef) (io.Reader, error) {
	return func(k dicom.BulkRef) (io.Reader, error) { return bytes.NewReader(d.Value(k.Elem)), nil }
}
