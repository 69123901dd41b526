package dicomweb_test

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
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// rig is a running node with tokens.
type rig struct {
	t      testing.TB
	n      *node.Node
	tokens map[string]string // role@collection
	client *http.Client
}

// kept is a collection that keeps what it is given.
const kept = "kept"

// start runs a node on loopback until the test ends.
func start(t testing.TB, database string, decoder ...string) *rig {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0", Decoder: decoder})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	x := &rig{t: t, n: n, tokens: map[string]string{}, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	t.Cleanup(func() {
		x.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	x.write(func(tx *db.Tx) error {
		return n.Stores.Collections.Create(tx, collection.Collection{ID: kept, Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AttestedBy: "test"})
	})
	return x
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, x *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, "")) })
	t.Run("postgresql", func(t *testing.T) { test(t, start(t, dbtest.PostgresURL(t))) })
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.t.Helper()
	if err := x.n.Stores.DB.Write(x.t.Context(), fn); err != nil {
		x.t.Fatal(err)
	}
}

// token is the secret of a token of a role in a collection; empty for anonymous.
func (x *rig) token(role policy.Role, c string) string {
	x.t.Helper()
	if role == policy.Anonymous {
		return ""
	}
	k := role.String() + "@" + c
	if x.tokens[k] == "" {
		s, err := identity.NewSecret()
		if err != nil {
			x.t.Fatal(err)
		}
		x.write(func(tx *db.Tx) error {
			_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: k, Role: role, Collection: c})
			return err
		})
		x.tokens[k] = s.Reveal()
	}
	return x.tokens[k]
}

func (x *rig) url(path string) string { return "http://" + x.n.HTTPAddr() + path }

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (x *rig) do(method, path, token string, header map[string]string, body io.Reader) answer {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), method, x.url(path), body)
	if err != nil {
		x.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := x.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	for k, v := range resp.Trailer {
		a.header[k] = v
	}
	return a
}

func (x *rig) get(path, token, accept string) answer {
	x.t.Helper()
	return x.do("GET", path, token, map[string]string{"Accept": accept}, nil)
}

// post deposits files in one request.
func (x *rig) post(path, token string, files ...[]byte) answer {
	x.t.Helper()
	var b bytes.Buffer
	for _, f := range files {
		b.WriteString("--edge\r\nContent-Type: application/dicom\r\n\r\n")
		b.Write(f)
		b.WriteString("\r\n")
	}
	b.WriteString("--edge--\r\n")
	return x.do("POST", path, token, map[string]string{"Content-Type": `multipart/related; type="application/dicom"; boundary=edge`, "Accept": "application/dicom+json"}, &b)
}

// parts reads a multipart answer.
func (a answer) parts(t testing.TB) (bodies [][]byte, types []string) {
	t.Helper()
	if a.code != 200 || a.err != nil {
		t.Fatalf("status %d, error %v: %.300s", a.code, a.err, a.body)
	}
	mt, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || mt != "multipart/related" {
		t.Fatalf("answered as %q", a.header.Get("Content-Type"))
	}
	m := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		p, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			return bodies, types
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		bodies, types = append(bodies, b), append(types, p.Header.Get("Content-Type"))
	}
}

// dataset is a data set as DICOM JSON.
type dataset map[string]struct {
	VR          string            `json:"vr"`
	Value       []json.RawMessage `json:"Value"`
	BulkDataURI string            `json:"BulkDataURI"`
}

func (d dataset) text(t dicom.Tag) string {
	v := d[t.Hex()].Value
	if len(v) == 0 {
		return ""
	}
	var s any
	if json.Unmarshal(v[0], &s) != nil {
		return ""
	}
	return fmt.Sprint(s)
}

// rows reads an array of data sets.
func (a answer) rows(t testing.TB) []dataset {
	t.Helper()
	if a.code != 200 || a.err != nil {
		t.Fatalf("status %d, error %v: %.300s", a.code, a.err, a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/dicom+json" {
		t.Fatalf("answered as %q", ct)
	}
	var all []dataset
	if err := json.Unmarshal(a.body, &all); err != nil {
		t.Fatalf("no DICOM JSON: %v", err)
	}
	if all == nil {
		t.Fatal("null, not an array")
	}
	return all
}

// problem checks that a refusal is told as RFC 9457 wants.
func (a answer) problem(t testing.TB, code int) {
	t.Helper()
	var p struct {
		Title, Detail, Advice string
		Status                int
	}
	if a.code != code || a.err != nil {
		t.Fatalf("status %d, want %d, error %v: %.300s", a.code, code, a.err, a.body)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &p) != nil || p.Status != code || p.Title == "" || p.Detail == "" || p.Advice == "" {
		t.Errorf("no problem details: %.300s", a.body)
	}
}

// until asks again and again, for what happens behind an answer: admission.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

func (x *rig) intake(c collection.ID) catalogue.Counts {
	x.t.Helper()
	if err := x.n.Custody.Barrier(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	n, err := x.n.Stores.Catalogue.Intake(x.t.Context(), c)
	if err != nil {
		x.t.Fatal(err)
	}
	return n
}

// image builds a small file.
func image(t testing.TB, patient, study, series, sop string, more func(*dicom.Builder)) []byte {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, sop)
	b.String(dicom.TagStudyInstanceUID, study)
	b.String(dicom.TagSeriesInstanceUID, series)
	b.String(dicom.TagPatientID, patient)
	b.String(dicom.TagPatientName, patient+"^Test")
	b.String(dicom.TagStudyDate, "20240102")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagSeriesDescription, "axial")
	b.Ints(dicom.TagInstanceNumber, 1)
	b.Ints(dicom.TagSamplesPerPixel, 1)
	b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	b.Ints(dicom.TagRows, 4)
	b.Ints(dicom.TagColumns, 4)
	b.Ints(dicom.TagBitsAllocated, 16)
	b.Ints(dicom.TagBitsStored, 16)
	b.Ints(dicom.TagHighBit, 15)
	b.Ints(dicom.TagPixelRepresentation, 0)
	b.Raw(dicom.TagPixelData, dicom.VROW, []byte("0123456789abcdef0123456789ABCDEF"))
	if more != nil {
		more(b)
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return part10(t, d)
}

func part10(t testing.TB, d *dicom.Dataset) []byte {
	t.Helper()
	m, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: d.UID(dicom.TagSOPClassUID), SOPInstanceUID: d.UID(dicom.TagSOPInstanceUID), TransferSyntaxUID: d.Syntax().UID, ImplementationClassUID: "2.25.1"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := dicom.WriteFile(&out, m, d.Render(), func(r dicom.BulkRef) (io.Reader, error) { return bytes.NewReader(d.Value(r.Elem)), nil }); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// realFile is one of the files beside the repository.
type realFile struct {
	name  string
	bytes []byte
	file  *dicom.File // nil: not readable
}

func realFiles(t testing.TB) []realFile {
	t.Helper()
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	var all []realFile
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		f := realFile{name: rel, bytes: b}
		if x, err := dicom.Parse(b, dicom.Limits{}); err == nil {
			f.file = x
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every readable image is stored and given back with its data set as it was, its frames and its metadata, on both databases.
func TestGivesBackWhatItTook(t *testing.T) {
	files := realFiles(t)
	each(t, func(t *testing.T, x *rig) {
		depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
		type one struct {
			realFile
			first bool // of its SOP Instance UID
		}
		var taken []one
		seen := map[string]bool{}
		refused := 0
		for _, f := range files {
			a := x.post("/collections/"+kept+"/dicomweb/studies", depositor, f.bytes)
			switch a.code {
			case 200:
				if f.file == nil {
					t.Errorf("%s: taken, and nobody can read it", f.name)
					continue
				}
				sop := f.file.Data.UID(dicom.TagSOPInstanceUID)
				taken = append(taken, one{f, !seen[sop]})
				seen[sop] = true
			case 409:
				refused++
				if f.file != nil && f.file.Data.UID(dicom.TagSeriesInstanceUID) != "" && f.file.Data.UID(dicom.TagSOPClassUID) != "" && !f.file.Data.Has(dicom.TagDirectoryRecordSequence) {
					t.Logf("%s: refused: %.200s", f.name, a.body)
				}
			default:
				t.Errorf("%s: status %d: %.300s", f.name, a.code, a.body)
			}
		}
		t.Logf("%d files, %d taken, %d refused: %+v", len(files), len(taken), refused, x.intake(kept))
		if len(taken) < 150 {
			t.Fatalf("only %d were taken", len(taken))
		}
		// One without a study or series of its own is held under UIDs of the node's.
		rows := map[string]catalogue.Located{}
		all, err := x.n.Stores.Catalogue.All(t.Context(), 0, 10000)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if l.Variant == 0 {
				rows[string(l.SOP)] = l
			}
		}
		frames, bulk := 0, 0
		for _, f := range taken {
			if !f.first {
				continue
			}
			d := f.file.Data
			l := rows[d.UID(dicom.TagSOPInstanceUID)]
			at := fmt.Sprintf("/dicomweb/studies/%s/series/%s/instances/%s", l.Study, l.Series, l.SOP)
			a := x.do("GET", at, steward, map[string]string{"Accept": "application/dicom; transfer-syntax=*", "Want-Repr-Digest": "sha-256=1"}, nil)
			if a.code != 200 || a.err != nil {
				t.Errorf("%s: status %d, %v: %.200s", f.name, a.code, a.err, a.body)
				continue
			}
			if !strings.HasPrefix(a.header.Get("Repr-Digest"), "sha-256=:") {
				t.Errorf("%s: no digest", f.name)
			}
			back, err := dicom.Parse(a.body, dicom.Limits{})
			if err != nil {
				t.Errorf("%s: what came back cannot be read: %v", f.name, err)
				continue
			}
			if !bytes.Equal(back.DatasetBytes(), f.file.DatasetBytes()) || back.Syntax() != f.file.Syntax() {
				t.Errorf("%s: another data set came back", f.name)
			}
			rows := x.get(at+"/metadata", steward, "application/dicom+json").rows(t)
			if len(rows) != 1 || rows[0].text(dicom.TagSOPInstanceUID) != d.UID(dicom.TagSOPInstanceUID) {
				t.Errorf("%s: other metadata", f.name)
				continue
			}
			for tag, v := range rows[0] {
				if v.BulkDataURI == "" {
					continue
				}
				b := x.do("GET", strings.TrimPrefix(v.BulkDataURI, x.url("")), steward, map[string]string{"Accept": `multipart/related; type="application/octet-stream"; transfer-syntax=*`}, nil)
				if b.code != 200 || b.err != nil || len(b.body) == 0 {
					if n, _ := d.Int(dicom.TagNumberOfFrames); n == 0 && d.String(dicom.TagNumberOfFrames) != "" || !d.Has(dicom.TagRows) {
						continue // its pixels cannot be told apart
					}
					t.Errorf("%s: bulk value %s: status %d: %.200s", f.name, tag, b.code, b.body)
				}
				bulk++
			}
			i := d.PixelData()
			if i < 0 {
				continue
			}
			v := f.file.Bulk(i)
			local, err := dicom.NewFrames(d, v, v.Size())
			if err != nil {
				x.get(at+"/frames/1", steward, `multipart/related; type="application/octet-stream"; transfer-syntax=*`).problem(t, 409)
				continue
			}
			n := min(local.Count(), 5)
			list := make([]string, n)
			for k := range list {
				list[k] = fmt.Sprint(k + 1)
			}
			got, types := x.get(at+"/frames/"+strings.Join(list, ","), steward, `multipart/related; type="application/octet-stream"; transfer-syntax=*`).parts(t)
			if len(got) != n {
				t.Errorf("%s: %d frames, want %d", f.name, len(got), n)
				continue
			}
			for k := range got {
				want, err := local.Open(k)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(want)
				if err != nil || !bytes.Equal(b, got[k]) || types[k] != "application/octet-stream; transfer-syntax="+f.file.Syntax().UID {
					t.Errorf("%s: frame %d is another (%s)", f.name, k+1, types[k])
				}
				frames++
			}
			x.get(at+fmt.Sprintf("/frames/%d", local.Count()+1), steward, "*/*").problem(t, 404)
		}
		t.Logf("%d frames and %d bulk values were compared", frames, bulk)
	})
}

// deposit posts files and waits until they are admitted.
func (x *rig) deposit(c string, files ...[]byte) {
	x.t.Helper()
	if a := x.post("/collections/"+c+"/dicomweb/studies", x.token(policy.Depositor, c), files...); a.code != 200 {
		x.t.Fatalf("status %d: %s", a.code, a.body)
	}
	until(x.t, "admission", func() bool { return x.intake(collection.ID(c)).Pending == 0 })
}
