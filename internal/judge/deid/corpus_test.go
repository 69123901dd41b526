package deid

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// corpus calls f for every real file that can be read.
func corpus(t *testing.T, f func(t *testing.T, path string, file *dicom.File)) {
	t.Helper()
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) == "ct-series-Philips-phantom-28" && !strings.HasSuffix(path, "I100") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			return nil // broken on purpose: the dicom package's affair
		}
		rel, _ := filepath.Rel(root, path)
		t.Run(rel, func(t *testing.T) { f(t, path, file) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// secretsOf are the identifiers of an object, read without the package's own lexicon.
func secretsOf(ds *dicom.Dataset) []string {
	var out []string
	add := func(s string) {
		s = strings.TrimSpace(s)
		if len([]rune(s)) >= 5 && !ordinaryWords(s) && strings.Trim(s, "0-. ") != "" {
			out = append(out, s)
		}
	}
	for i := range ds.Len() {
		el := ds.At(i)
		switch {
		case el.IsItem() || el.IsSequence():
		case ds.VR(i) == dicom.VRPN:
			for _, part := range strings.FieldsFunc(ds.Text(i), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				add(part)
			}
		case el.Tag == dicom.TagPatientID || el.Tag == dicom.TagAccessionNumber || el.Tag == dicom.TagOtherPatientIDs || el.Tag == dicom.TagInstitutionName ||
			el.Tag == dicom.TagInstitutionAddress || el.Tag == dicom.TagPatientBirthDate || el.Tag == dicom.TagPatientAddress:
			add(ds.Text(i))
		case ds.VR(i) == dicom.VRUI && !strings.HasPrefix(ds.Text(i), standardRoot):
			for _, u := range ds.Strings(i) {
				add(u)
			}
		}
	}
	return out
}

func TestCorpus(t *testing.T) {
	for _, name := range Profiles() {
		p := profileNamed(t, name)
		t.Run(name, func(t *testing.T) {
			outcomes := map[Outcome]int{}
			corpus(t, func(t *testing.T, _ string, file *dicom.File) {
				ds := file.Data
				before := bytes.Clone(ds.Bytes())
				r, err := Clean(ds, p, testKeys, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(before, ds.Bytes()) {
					t.Fatal("the original has been changed")
				}
				outcomes[r.Outcome]++
				if r.Outcome != Cleaned {
					if len(r.Reasons) == 0 || r.Rendered != nil {
						t.Fatal("no reason, or bytes all the same")
					}
					for _, reason := range r.Reasons {
						if reason.Code == CodeGate || reason.Code == CodeUnreadable || reason.Code == CodeLexicon {
							t.Errorf("the rules left something: %v", reason)
						}
					}
					return
				}
				if p.AsDeposited {
					if !bytes.Equal(r.Rendered.Head, ds.Render().Head) || r.SOPInstanceUID != ds.UID(dicom.TagSOPInstanceUID) {
						t.Fatal("something has changed")
					}
					return
				}
				head := bytes.ToUpper(r.Rendered.Head)
				for _, s := range secretsOf(ds) {
					if bytes.Contains(head, bytes.ToUpper([]byte(s))) && !digitsWithin(r.Rendered, s) {
						t.Errorf("an identifier of %d characters is left", len(s))
					}
				}
				again, err := Clean(ds, p, testKeys, nil)
				if err != nil || !bytes.Equal(again.Rendered.Head, r.Rendered.Head) {
					t.Error("the same object comes out otherwise")
				}
				stable(t, p, r)
			})
			t.Log(outcomes)
		})
	}
}

// digitsWithin excuses digits that stand within UIDs made here or in numbers.
func digitsWithin(r *dicom.Rendered, s string) bool {
	if strings.Trim(s, "0123456789") != "" {
		return false
	}
	out, err := r.Dataset()
	if err != nil {
		return false
	}
	for i := range out.Len() {
		el := out.At(i)
		if el.IsItem() || el.IsSequence() || !bytes.Contains(out.Value(i), []byte(s)) {
			continue
		}
		switch out.VR(i) {
		case dicom.VRUI, dicom.VRDS, dicom.VRIS:
		default:
			return false
		}
	}
	return true
}

// stable cleans what is clean once more: nothing goes any further but what is mapped, shifted or named anew.
func stable(t *testing.T, p *Profile, r *Result) {
	t.Helper()
	one, err := r.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Clean(one, p, testKeys, nil)
	if err != nil || again.Outcome != Cleaned {
		t.Fatal(again, err)
	}
	two, err := again.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	if one.Len() != two.Len() {
		t.Fatalf("%d entries become %d", one.Len(), two.Len())
	}
	for i := range one.Len() {
		if one.At(i).Tag != two.At(i).Tag {
			t.Fatalf("%s becomes %s", one.Path(i), two.Path(i))
		}
		if el := one.At(i); el.IsItem() || el.IsSequence() {
			continue
		}
		switch one.VR(i) {
		case dicom.VRUI, dicom.VRDA, dicom.VRDT:
			continue
		}
		if isOpaque(one.Value(i)) || bytes.Equal(one.Value(i), two.Value(i)) {
			continue
		}
		t.Errorf("%s changes by a second cleaning: %q, %q", one.Path(i), one.Value(i), two.Value(i))
	}
}

// An object has no error after cleaning that it did not have before.
func TestValidity(t *testing.T) {
	validator := testdata.NewValidator(t)
	for _, name := range []string{"research", "basic"} {
		p := profileNamed(t, name)
		t.Run(name, func(t *testing.T) {
			corpus(t, func(t *testing.T, path string, file *dicom.File) {
				r, err := Clean(file.Data, p, testKeys, nil)
				if err != nil || r.Outcome != Cleaned {
					return
				}
				meta, err := Meta(r.SOPClassUID, r.SOPInstanceUID, r.Rendered.Syntax)
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(t.TempDir(), "out.dcm")
				w, err := os.Create(out)
				if err != nil {
					t.Fatal(err)
				}
				err = dicom.WriteFile(w, meta, r.Rendered, func(b dicom.BulkRef) (io.Reader, error) { return file.Bulk(b.Elem), nil })
				if err := errorsOf(err, w.Close()); err != nil {
					t.Fatal(err)
				}
				before := validator.Errors(path)
				for e := range validator.Errors(out) {
					if !before[e] {
						t.Errorf("new: %s", e)
					}
				}
			})
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
