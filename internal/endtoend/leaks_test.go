package endtoend

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// planted is an instance with a marker in every place where identity can stand, and where it was sent.
type planted struct {
	image   *image
	markers []sample.Marker
}

func plant(t testing.TB, prefix string) planted {
	t.Helper()
	in, markers, err := sample.Marked(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return planted{generated(prefix, in), markers}
}

// spellings are the ways in which a text can lie in a file: its encodings, its cases, base64 in its three alignments, hexadecimal.
func spellings(s string) [][]byte {
	var all [][]byte
	for _, v := range []string{s, strings.ToUpper(s), strings.ToLower(s)} {
		all = append(all, []byte(v))
		var le, be []byte
		for _, u := range utf16.Encode([]rune(v)) {
			le, be = binary.LittleEndian.AppendUint16(le, u), binary.BigEndian.AppendUint16(be, u)
		}
		all = append(all, le, be, []byte(hex.EncodeToString([]byte(v))), []byte(strings.ToUpper(hex.EncodeToString([]byte(v)))))
		for shift := range 3 {
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				// The first and the last characters depend on what stands beside the text.
				b := e.EncodeToString(append(bytes.Repeat([]byte{0}, shift), v...))
				all = append(all, []byte(b[(shift*8+5)/6:len(b)-1]))
			}
		}
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal)
}

// search looks for planted texts in bytes. It first looks for what all of them begin with, in every spelling, so that gigabytes can be searched.
type search struct {
	roots [][]byte // spellings of the prefixes
	full  map[string]sample.Marker
}

func newSearch(all []planted) *search {
	s := &search{full: map[string]sample.Marker{}}
	roots := map[string]bool{}
	for _, p := range all {
		for _, m := range p.markers {
			s.full[m.Text] = m
			if strings.HasPrefix(m.Text, "2.25.") {
				// Its digits up to the number at the end are those of the prefix.
				roots[m.Text[:len(m.Text)-6]] = true
			} else {
				roots[m.Text[:len(m.Text)-4]] = true
			}
		}
	}
	for r := range roots {
		s.roots = append(s.roots, spellings(r)...)
	}
	return s
}

// indexed takes out of b what cleaned objects may keep, and an index of them with it.
func (s *search) indexed(b []byte) []byte {
	for text, m := range s.full {
		if m.Kept != sample.Never {
			b = bytes.ReplaceAll(b, []byte(text), []byte("-"))
			b = bytes.ReplaceAll(b, []byte(strings.ToLower(text)), []byte("-"))
		}
	}
	return b
}

// in gives the places in b where something planted begins.
func (s *search) in(b []byte) []string {
	var found []string
	for _, r := range s.roots {
		if i := bytes.Index(b, r); i >= 0 {
			found = append(found, fmt.Sprintf("at %d: %q", i, b[i:min(len(b), i+2*len(r))]))
		}
	}
	return found
}

// A search that finds nothing proves nothing unless it would find something.
func TestSearchFindsWhatIsPlanted(t *testing.T) {
	p := plant(t, "Q7Z4F6")
	s := newSearch([]planted{p})
	if len(s.in(p.image.file)) == 0 {
		t.Error("nothing in the instance itself")
	}
	m := p.markers[100].Text
	var wide []byte
	for _, u := range utf16.Encode([]rune("<" + m + ">")) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	for name, b := range map[string][]byte{
		"UTF-16": wide, "upper": []byte("x" + strings.ToUpper(m)), "hex": []byte(hex.EncodeToString([]byte("ab" + m))),
		"base64 0": []byte(base64.StdEncoding.EncodeToString([]byte(m + "more"))), "base64 1": []byte(base64.StdEncoding.EncodeToString([]byte("1" + m + "more"))),
		"base64 2": []byte(base64.URLEncoding.EncodeToString([]byte("12" + m + "more"))),
	} {
		if len(s.in(b)) == 0 {
			t.Errorf("not found as %s", name)
		}
	}
	if f := s.in([]byte("nothing of it here")); len(f) > 0 {
		t.Errorf("found %q", f)
	}
}

// broken are variants of an instance that have to be refused, with identities all the same.
func broken(file []byte) map[string][]byte {
	cut := file[:len(file)-5001] // in its pixels
	nodicom := append([]byte("HELO"), file[200:2000]...)
	twice := slices.Clone(file)
	if f, err := dicom.Parse(file, dicom.Limits{}); err == nil {
		d := f.Data
		i := d.Find(dicom.TagPatientName)
		e := d.At(i)
		at := len(file) - len(d.Bytes())
		twice = slices.Concat(file[:at], d.Bytes()[:e.ValueEnd], d.Bytes()[e.Start:])
	}
	odd := slices.Clone(file)
	if i := bytes.Index(odd, []byte{0x10, 0, 0x20, 0, 'L', 'O'}); i > 0 {
		odd[i+6], odd[i+7] = 0xFF, 0xFF
	}
	syntax := bytes.Replace(slices.Clone(file), []byte("1.2.840.10008.1.2.1\x00"), []byte("1.2.840.10008.1.2.77"), 1)
	return map[string][]byte{"cut": cut, "no DICOM": nodicom, "an element twice": twice, "a length too long": odd, "unknown transfer syntax": syntax}
}

// Nothing planted is found anywhere in clear: not in the data folder, the log, temporary files, answers, the audit log; nor in what a researcher gets.
func TestNothingLeaks(t *testing.T) {
	for _, name := range []string{"sqlite", "postgresql"} {
		t.Run(name, func(t *testing.T) { leaks(t, name == "postgresql") })
	}
}

func leaks(t *testing.T, postgres bool) {
	n := serve(t, setup{database: database(t, postgres)})
	var all []planted
	add := func(prefix string) planted {
		p := plant(t, prefix)
		all = append(all, p)
		return p
	}
	var answers bytes.Buffer // what the node said, but for the sender's own UIDs in answers to it
	hear := func(what string, b []byte) { fmt.Fprintf(&answers, "\n%s: %s", what, b) }

	var cleaned []planted
	for door, prefix := range []string{"Q7Z4A1", "Q7Z4B2", "Q7Z4C3"} {
		p := add(prefix)
		cleaned = append(cleaned, p)
		in := p.image
		conflicting := *in
		conflicting.data = slices.Clone(in.data)
		conflicting.data[len(conflicting.data)-5000] ^= 0x55 // in its pixels
		conflicting.file = slices.Concat(in.file[:len(in.file)-len(in.data)], conflicting.data)
		switch door {
		case 0:
			for k, st := range n.store("VITRINE", []*image{in, in, &conflicting}) {
				if !st.Done() {
					t.Errorf("C-STORE %d: %v %s", k, st, st.Comment)
				}
			}
			for what, b := range broken(in.file) {
				bad := *in
				bad.data = b[min(len(b), len(in.file)-len(in.data)):]
				if len(bad.data)%2 == 1 {
					bad.data = bad.data[:len(bad.data)-1]
				}
				if what == "unknown transfer syntax" {
					continue // nobody can propose it
				}
				st := n.store("VITRINE", []*image{&bad})[0]
				if st.Done() {
					t.Errorf("C-STORE of %s: %v", what, st)
				}
				hear("C-STORE "+what, []byte(st.Comment))
			}
			// Titles are text that a sender chooses.
			for _, title := range []string{"Q7Z4A1X1", "Q7Z4A1X2"} {
				a, err := network.Dial(t.Context(), n.dicom, network.DialOptions{CallingAE: title, CalledAE: "VITRINE",
					Contexts: []network.Proposal{{AbstractSyntax: in.class, TransferSyntaxes: []string{in.syntax}}}})
				if err != nil {
					t.Fatal(err)
				}
				a.Abort()
				if _, err = network.Dial(t.Context(), n.dicom, network.DialOptions{CallingAE: peerAE, CalledAE: title, Contexts: []network.Proposal{{AbstractSyntax: in.class, TransferSyntaxes: []string{in.syntax}}}}); err == nil {
					t.Error("an unknown called AE title was accepted")
				} else {
					hear("association", []byte(err.Error()))
				}
			}
		case 1:
			for k, i := range []*image{in, in, &conflicting} {
				if a := n.stow(research, i); a.code != 200 {
					t.Errorf("STOW-RS %d: status %d %s", k, a.code, a.body)
				}
			}
			for what, b := range broken(in.file) {
				a := n.stow(research, &image{file: b})
				if a.code != 409 {
					t.Errorf("STOW-RS of %s: status %d %s", what, a.code, a.body)
				}
				hear("STOW-RS "+what, bytes.ReplaceAll(a.body, []byte(in.sop), nil))
				// The sender names another study, and its own type of part.
				a = readStow(t, n.do("POST", "/collections/"+research+"/dicomweb/studies/1.2.3", "depositor", map[string]string{"Content-Type": stowType, "Accept": "application/dicom+json"},
					strings.NewReader("--edge\r\nContent-Type: application/dicom; name="+p.markers[0].Text+"\r\nContent-Location: "+p.image.sop+"\r\n\r\n"+string(b)+"\r\n--edge--\r\n")))
				hear("STOW-RS of another study, "+what, bytes.ReplaceAll(a.body, []byte(in.sop), nil))
			}
		case 2:
			folder := filepath.Join(t.TempDir(), p.markers[0].Text)
			name := p.markers[len(p.markers)-1].Text
			write := func(name string, b []byte) {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(name+".dcm", in.file)
			write(name+"_2.dcm", conflicting.file)
			for what, b := range broken(in.file) {
				write(name+" "+what, b)
			}
			report := filepath.Join(t.TempDir(), "report.json")
			r := command(t, []string{"VITRINE_TOKEN=" + n.tokens["depositor"], "XDG_STATE_HOME=" + filepath.Join(n.tmp, "state"), "TMPDIR=" + n.tmp}, "deposit", folder, "--collection", research,
				"--server", "http://"+n.http, "--report", report)
			if r.code != 3 {
				t.Errorf("deposit: exit code %d: %s", r.code, r.err)
			}
			b, err := os.ReadFile(report)
			if err != nil {
				t.Error(err)
			}
			hear("report of deposit", b)
		}
	}
	// Held, because it may carry text in its pixels, until they have been read.
	held := add("Q7Z4D4")
	data, err := dicom.ParseDataset(held.image.data, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	e := data.Edit()
	e.Insert(-1, 0x00280301, dicom.VRCS, []byte("YES ")) // Burned In Annotation
	r, err := e.Render()
	if err != nil {
		t.Fatal(err)
	}
	burned := bytes.NewBuffer(slices.Clone(held.image.file[:len(held.image.file)-len(held.image.data)]))
	if _, err := r.WriteTo(burned, bulkOf(data)); err != nil {
		t.Fatal(err)
	}
	if a := n.stow(research, read("held", burned.Bytes())); a.code != 200 || a.kept[held.image.sop] != 0xB010 {
		t.Errorf("held: status %d %v", a.code, a.kept)
	}
	// As deposited: by attestation there is nothing to clean, and the catalogue shows what it is told. Everywhere else it is kept as all the others.
	raw := plant(t, "Q7Z4E5")
	if a := n.stow(kept, raw.image); a.code != 200 {
		t.Errorf("as deposited: status %d", a.code)
	}
	if err := n.same(raw.image); err != nil {
		t.Error(err)
	}
	// Questions hold identities too; answers to them must not, nor the log.
	m := cleaned[0].markers
	for _, q := range []string{
		"/dicomweb/studies?PatientID=" + m[5].Text, "/dicomweb/studies?PatientName=" + m[5].Text + "*", "/dicomweb/studies?NoSuchThing=" + m[5].Text, "/dicomweb/studies?limit=" + m[5].Text,
		"/dicomweb/studies/" + cleaned[0].image.study, "/dicomweb/studies/" + m[5].Text, "/dicomweb/studies/" + cleaned[0].image.study + "/series/" + m[5].Text + "/metadata",
		"/" + m[5].Text, "/collections/" + strings.ToLower(m[5].Text) + "/dicomweb/studies", "/api/collections/" + m[5].Text + "/intake",
	} {
		for _, role := range []string{"steward", "researcher", ""} {
			a := n.get(q, role, "application/dicom+json")
			hear("GET", a.body)
			for k, v := range a.header {
				hear(k, []byte(strings.Join(v, "\n")))
			}
		}
	}
	resp, err := (&http.Client{}).Do(func() *http.Request {
		r, _ := http.NewRequestWithContext(t.Context(), "PROPFIND", "http://"+n.http+"/dicomweb/studies", strings.NewReader(m[6].Text))
		r.Header.Set("Authorization", "Bearer "+m[6].Text)
		r.Header.Set("X-Patient", m[6].Text)
		r.Header.Set("Accept", m[6].Text)
		return r
	}())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	hear("PROPFIND", b)

	t.Logf("%+v", n.settled(research, 5))
	eventually(t, 2*time.Minute, func() error { // what is held for its pixels is read when its deposit has ended, and admitted then
		if c := n.intake(research); c.Catalogued < len(cleaned)+1 {
			return fmt.Errorf("%+v, want %d admitted", c, len(cleaned)+1)
		}
		return nil
	})
	n.admin("release", "publish", "--collection", research)
	s, kept := newSearch(all), newSearch([]planted{raw})

	// What comes back of the cleaned ones holds no marker but those that their options keep.
	back := 0
	researcher := n.get("/dicomweb/studies", "researcher", "application/dicom+json")
	hear("QIDO-RS", researcher.body)
	for _, study := range studyUIDs(t, researcher) {
		files, err := n.objects("/dicomweb/studies/"+study, "researcher")
		if err != nil {
			t.Fatal(err)
		}
		a := n.get("/dicomweb/studies/"+study+"/metadata", "researcher", "application/dicom+json")
		for _, b := range append(files, a.body) {
			for text, m := range s.full {
				for _, way := range spellings(text) {
					if i := bytes.Index(b, way); i >= 0 && m.Kept == sample.Never {
						t.Errorf("the marker of %s comes back", m.Where)
					}
				}
			}
		}
		back += len(files)
	}
	if back != len(cleaned)+1 {
		t.Errorf("%d instances came back to a researcher, want %d and the one whose pixels were read", back, len(cleaned))
	}
	// Metrics, the audit log, what is said of collections and deposits.
	a := n.get("/metrics", "admin", "text/plain")
	if a.code != 200 || len(a.body) < 500 {
		t.Errorf("metrics: status %d, %d bytes", a.code, len(a.body))
	}
	hear("metrics", a.body)
	for _, args := range [][]string{{"audit", "list", "--last", "0"}, {"audit", "list", "--last", "0", "--output", "json"}, {"collection", "list", "--output", "json"}, {"collection", "show", research}, {"verify", "--output", "json"}} {
		r := n.run(args...)
		if r.code != 0 || len(r.out) < 20 {
			t.Errorf("%s: exit code %d: %s", strings.Join(args, " "), r.code, r.err)
		}
		hear(strings.Join(args, " "), append(r.out, r.err...))
	}
	// What was done to deposits, and what is said of the collection.
	before := n.reports()
	for id, b := range before {
		hear("report of deposit "+id, b)
	}
	hear("reports", n.get("/api/deposits?collection="+research, "steward", "application/json").body)
	said := n.do("POST", "/api/collections/"+research+"/statements", "steward", nil, nil)
	if said.code != 201 || !bytes.Contains(said.body, []byte("vitrine-statement 1")) {
		t.Errorf("statement: status %d %s", said.code, said.body)
	}
	hear("statement", said.body)
	n.calm()
	// Everything on disk while it runs, after a crash, and after a clean end.
	for _, moment := range []string{"while it runs", "after SIGKILL", "after a clean end"} {
		switch moment {
		case "after SIGKILL":
			n.kill()
		case "after a clean end":
			n.start()
			for id, b := range n.reports() {
				if !bytes.Equal(b, before[id]) {
					t.Errorf("the report of a deposit is another after SIGKILL:\n%s\n%s", before[id], b)
				}
			}
			n.stop()
		}
		for _, dir := range []string{n.setup.data, n.tmp} {
			n.searchFolder(s, kept, dir, moment)
		}
	}
	for _, log := range []string{n.logged, n.said} {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if f := append(s.in(b), kept.in(b)...); len(f) > 0 {
			t.Errorf("%s holds %q", filepath.Base(log), f)
		}
	}
	if f := s.in(answers.Bytes()); len(f) > 0 {
		i := bytes.LastIndexByte(answers.Bytes()[:max(1, bytes.Index(answers.Bytes(), []byte(f[0])))], '\n')
		t.Errorf("answers hold %q (%.200s)", f, answers.Bytes()[max(0, i):])
	}
	if postgres {
		if f := s.in(s.indexed(dump(t, n.setup.database))); len(f) > 0 {
			t.Errorf("PostgreSQL holds %q", f)
		}
	}
}

// reports are those of every deposit into the collection, but for when they were made.
func (n *served) reports() map[string][]byte {
	n.t.Helper()
	var all []struct{ ID string }
	if err := json.Unmarshal(n.get("/api/deposits?collection="+research, "steward", "application/json").body, &all); err != nil || len(all) == 0 {
		n.t.Fatalf("%d deposits, %v", len(all), err)
	}
	out := map[string][]byte{}
	objects := 0.0
	for _, d := range all {
		var r map[string]any
		a := n.get("/api/deposits/"+d.ID+"/report", "steward", "application/json")
		if err := json.Unmarshal(a.body, &r); err != nil || a.code != 200 {
			n.t.Fatalf("report: status %d, %v", a.code, err)
		}
		objects += r["came"].(map[string]any)["objects"].(float64)
		delete(r, "made")
		b, err := json.Marshal(r)
		if err != nil {
			n.t.Fatal(err)
		}
		out[d.ID] = b
	}
	if objects == 0 {
		n.t.Error("nothing is counted")
	}
	return out
}

// searchFolder searches every file below dir, and every name; for what is kept as deposited every file but the catalogue.
func (n *served) searchFolder(s, kept *search, dir, moment string) {
	n.t.Helper()
	files, size := 0, int64(0)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if f := s.in([]byte(rel)); len(f) > 0 {
			n.t.Errorf("%s: a name in %s holds %q", moment, filepath.Base(dir), f)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		catalogue := strings.HasPrefix(rel, "catalogue.db")
		if catalogue {
			b = s.indexed(b)
		}
		if f := s.in(b); len(f) > 0 {
			n.t.Errorf("%s: %s holds %q", moment, rel, f)
		}
		if f := kept.in(b); len(f) > 0 && !catalogue {
			n.t.Errorf("%s: %s holds of what is kept as deposited %q", moment, rel, f)
		}
		files++
		size += int64(len(b))
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Logf("%s: %d files with %d bytes below %s", moment, files, size, filepath.Base(dir))
}

// studyUIDs are those of an answer of QIDO-RS.
func studyUIDs(t testing.TB, a answer) []string {
	t.Helper()
	var rows []map[string]struct{ Value []any }
	if err := json.Unmarshal(a.body, &rows); err != nil {
		t.Fatalf("QIDO-RS: status %d, %v", a.code, err)
	}
	var all []string
	for _, r := range rows {
		if v := r["0020000D"].Value; len(v) == 1 {
			all = append(all, v[0].(string))
		}
	}
	return all
}

// database is the address of a fresh PostgreSQL database; empty for SQLite.
func database(t testing.TB, postgres bool) string {
	t.Helper()
	if !postgres {
		return ""
	}
	return dbtest.PostgresURL(t)
}

// dump is every row of a PostgreSQL database as text, bytes as hexadecimal digits.
func dump(t testing.TB, address string) []byte {
	t.Helper()
	pool, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	column := func(query string) (all []string) {
		rows, err := pool.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	var b bytes.Buffer
	tables := column(`SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'`)
	for _, table := range tables {
		for _, row := range column(`SELECT t::text FROM ` + table + ` t`) {
			b.WriteString(row)
			b.WriteByte('\n')
		}
	}
	if len(tables) < 5 || b.Len() < 1000 {
		t.Fatalf("only %d tables with %d bytes", len(tables), b.Len())
	}
	return b.Bytes()
}
