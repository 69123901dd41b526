package sample

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// The numbers of the demonstration are large enough to be told, its people are told apart, and the same seed makes them again.
func TestCohorts(t *testing.T) {
	seen := map[string]bool{}
	again := Cohorts(1)
	for i, c := range Cohorts(1) {
		if len(c.People) < 100 {
			t.Errorf("%s has %d people", c.Name, len(c.People))
		}
		for j, p := range c.People {
			if seen[p.MRN] || seen[p.NHS] {
				t.Errorf("%s: person %d has somebody else's numbers", c.Name, j)
			}
			seen[p.MRN], seen[p.NHS] = true, true
			if o := again[i].People[j]; o.MRN != p.MRN || len(o.Studies) != len(p.Studies) || o.Studies[0].UID != p.Studies[0].UID {
				t.Errorf("%s: person %d is another one the second time", c.Name, j)
			}
			if seen[p.Studies[0].UID] {
				t.Errorf("%s: a study of person %d has another's UID", c.Name, j)
			}
			seen[p.Studies[0].UID] = true
		}
		table, err := c.Clinical()
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(table, []byte("\n")); n <= len(c.People) {
			t.Errorf("%s: %d rows of clinical data", c.Name, n)
		}
	}
}

// An image of each kind can be read, and its pixels are as many as it says and not all the same.
func TestCohortImages(t *testing.T) {
	for _, c := range Cohorts(1) {
		for _, p := range []*Participant{c.People[0], c.People[len(c.People)-1]} {
			for _, s := range p.Studies {
				if s.Kind == "DOC" || s.Kind == "US" || s.Kind == "XC" {
					continue // of the small collection, and tried there
				}
				for _, k := range []int{s.Len() / 4, s.Len() - 1} {
					in, err := s.Instance(k)
					if err != nil {
						t.Fatal(err)
					}
					f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
					if err != nil {
						t.Fatal(err)
					}
					d := f.Data
					rows, _ := d.Int(dicom.TagRows)
					cols, _ := d.Int(dicom.TagColumns)
					b := in.Data()
					px := b[len(b)-2*int(rows)*int(cols):]
					if bytes.Count(px, px[:2]) > len(px)*9/20 {
						t.Errorf("%s, %s %d: the picture is empty", c.Name, s.Kind, k)
					}
				}
			}
		}
	}
}

// Every entry of the demonstration may be published.
func TestEntriesComplete(t *testing.T) {
	all, err := entries.ReadDir("entries")
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for _, f := range all {
		b, err := entries.ReadFile("entries/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b) {
			t.Fatalf("%s is no JSON", f.Name())
		}
		e, err := directory.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		for _, p := range append(e.Problems(), e.Missing()...) {
			t.Errorf("%s: %s: %s", f.Name(), p.Path, p.Text)
		}
	}
}
