package describe_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
)

// mr is an object of an MR series as a scanner makes it.
func mr(change func(e *describe.Entry)) describe.Entry {
	e := entry(0)
	e.Modality, e.SOPClass, e.SeriesDescription, e.SeriesNumber = "MR", "1.2.840.10008.5.1.4.1.1.4", "", 3
	e.ImageType = `ORIGINAL\PRIMARY\M`
	change(&e)
	return e
}

func TestBIDSNames(t *testing.T) {
	sequence := func(scanning string, tr, te, ti, flip float64) func(e *describe.Entry) {
		return func(e *describe.Entry) {
			e.ScanningSequence, e.RepetitionTime, e.EchoTime, e.InversionTime, e.FlipAngle = scanning, tr, te, ti, flip
		}
	}
	words := func(s string, also ...func(e *describe.Entry)) func(e *describe.Entry) {
		return func(e *describe.Entry) {
			e.SeriesDescription = s
			for _, fn := range also {
				fn(e)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(e *describe.Entry)
		want   string // after sub- and ses-; empty: unsorted
	}{
		"MPRAGE by its times":              {words("", sequence(`GR\IR`, 2300, 2.98, 900, 9), func(e *describe.Entry) { e.Acquisition = "3D" }), "anat/_acq-3d_run-1_T1w"},
		"MPRAGE by its words":              {words("sag t1_mprage"), "anat/_run-1_T1w"},
		"spin echo T1":                     {words("ax t1 se", sequence("SE", 500, 14, 0, 90)), "anat/_run-1_T1w"},
		"T1 with contrast":                 {words("T1 post gd", sequence("SE", 500, 14, 0, 90), func(e *describe.Entry) { e.Contrast = "GADOVIST" }), "anat/_ce-contrast_run-1_T1w"},
		"T2 by its times":                  {words("axial", sequence("SE", 4000, 100, 0, 90)), "anat/_run-1_T2w"},
		"proton density":                   {words("", sequence("SE", 3000, 20, 0, 90)), "anat/_run-1_PDw"},
		"FLAIR by its times":               {words("", sequence(`SE\IR`, 9000, 120, 2500, 90)), "anat/_run-1_FLAIR"},
		"FLAIR by its words":               {words("AX T2 FLAIR"), "anat/_run-1_FLAIR"},
		"T1 FLAIR":                         {words("AX T1 FLAIR", sequence(`SE\IR`, 2200, 10, 860, 90)), "anat/_run-1_T1w"},
		"T2*":                              {words("ax t2* gre", sequence("GR", 600, 20, 0, 20)), "anat/_run-1_T2starw"},
		"time of flight":                   {words("TOF 3D", sequence("GR", 22, 4, 0, 18)), "anat/_run-1_angio"},
		"diffusion by b-value":             {words("", sequence("EP", 8000, 90, 0, 90), func(e *describe.Entry) { e.BValue = 1000 }), "dwi/_run-1_dwi"},
		"diffusion by sequence name":       {words("", sequence("EP", 8000, 90, 0, 90), func(e *describe.Entry) { e.SequenceName = "*ep_b1000t" }), "dwi/_run-1_dwi"},
		"resting state":                    {words("rest bold", sequence(`EP\GR`, 2000, 30, 0, 80)), "func/_task-rest_run-1_bold"},
		"task":                             {words("fmri task finger-tapping", sequence("EP", 2000, 30, 0, 80)), "func/_task-finger_run-1_bold"},
		"functional of no known task":      {words("fmri", sequence("EP", 2000, 30, 0, 80)), ""},
		"functional that is no echo plane": {words("rest bold", sequence("SE", 500, 14, 0, 90)), ""},
		"words against times":              {words("T2 axial", sequence("SE", 500, 14, 0, 90)), ""},
		"two words":                        {words("T1 T2"), ""},
		"nothing known":                    {words("brain"), ""},
		"STIR":                             {words("stir", sequence(`SE\IR`, 4000, 60, 150, 90)), ""},
		"localizer":                        {words("t1 localizer"), ""},
		"derived":                          {words("t1_mprage", func(e *describe.Entry) { e.ImageType = `DERIVED\SECONDARY\MPR` }), ""},
		"ADC map":                          {words("dwi_ADC", sequence("EP", 8000, 90, 0, 90), func(e *describe.Entry) { e.BValue = 1000 }), ""},
		"perfusion":                        {words("ep2d perfusion", sequence("EP", 1500, 30, 0, 90)), ""},
		"echo plane of unknown use":        {words("", sequence("EP", 1500, 30, 0, 90)), ""},
		"CT":                               {words("t1", func(e *describe.Entry) { e.Modality = "CT" }), ""},
		"no series":                        {words("t1_mprage", func(e *describe.Entry) { e.Series = "" }), ""},
	} {
		e := mr(c.change)
		for p, err := range describe.BIDS(listOf([]describe.Entry{e})) {
			if err != nil {
				t.Fatal(name, err)
			}
			got := strings.ReplaceAll(strings.TrimPrefix(p.Name, "sub-P000000/ses-20210304/"), "sub-P000000_ses-20210304", "")
			if got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			switch {
			case c.want == "" && !strings.HasPrefix(p.Source, "sourcedata/unsorted/sub-P000000/ses-20210304/"),
				c.want != "" && p.Source != "sourcedata/"+p.Name+"/"+e.Instance+".dcm":
				t.Errorf("%s lies at %s", name, p.Source)
			}
			if c.want != "" && !bidsName.MatchString(p.Name) {
				t.Errorf("%s: %s is no name of BIDS", name, p.Name)
			}
		}
	}
}

// bidsName is the order of entities and the suffixes that BIDS has for each folder.
var bidsName = regexp.MustCompile(`^sub-[A-Za-z0-9]+/ses-[A-Za-z0-9]+/(?:anat/sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+(?:_acq-[A-Za-z0-9]+)?(?:_ce-[A-Za-z0-9]+)?_run-[0-9]+_(?:T1w|T2w|PDw|FLAIR|T2starw|angio)` +
	`|func/sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+_task-[A-Za-z0-9]+(?:_acq-[A-Za-z0-9]+)?_run-[0-9]+_bold|dwi/sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+(?:_acq-[A-Za-z0-9]+)?_run-[0-9]+_dwi)$`)

// Runs are numbered by series number, sessions named by day, and pseudonyms that are no labels stay apart.
func TestBIDSRunsAndSessions(t *testing.T) {
	var all []describe.Entry
	add := func(subject, study, series, date string, number int64, b float64, text string) {
		e := mr(func(e *describe.Entry) {})
		n := len(all)
		e.DRS, e.Instance, e.Subject, e.Study, e.Series = fmt.Sprintf("o-%03d", n), fmt.Sprintf("2.25.9%03d", n), subject, study, series
		e.StudyDate, e.SeriesNumber, e.SeriesDescription, e.BValue = date, number, text, b
		if b > 0 || strings.Contains(text, "dwi") {
			e.ScanningSequence = "EP"
		}
		all = append(all, e)
	}
	add("A-1", "1.1", "1.1.1", "2021-03-04", 9, 0, "t1_mprage")
	add("A-1", "1.1", "1.1.2", "2021-03-04", 4, 0, "t1_mprage")
	add("A-1", "1.1", "1.1.3", "2021-03-04", 5, 0, "ep2d")    // the images without diffusion of a series
	add("A-1", "1.1", "1.1.3", "2021-03-04", 5, 1000, "ep2d") // that has some
	all[2].ScanningSequence = "EP"
	add("A-1", "1.1", "1.1.4", "2021-03-04", 6, 0, "t1_mprage")
	add("A-1", "1.1", "1.1.4", "2021-03-04", 6, 0, "t2") // of two minds
	add("A-1", "1.2", "1.2.1", "2021-03-04", 1, 0, "t2")
	add("A-1", "1.3", "1.3.1", "", 1, 0, "t2")
	add("A1", "2.1", "2.1.1", "2021-03-04", 1, 0, "t2")
	var got []string
	for p, err := range describe.BIDS(listOf(all)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Name)
	}
	label := strings.Split(strings.TrimPrefix(got[0], "sub-"), "/")[0]
	if !strings.HasPrefix(label, "A1x") || len(label) != 11 {
		t.Errorf("A-1 is %s", label)
	}
	want := `sub-L/ses-20210304/anat/sub-L_ses-20210304_run-2_T1w
sub-L/ses-20210304/anat/sub-L_ses-20210304_run-1_T1w
sub-L/ses-20210304/dwi/sub-L_ses-20210304_run-1_dwi
sub-L/ses-20210304/dwi/sub-L_ses-20210304_run-1_dwi


sub-L/ses-20210304x2/anat/sub-L_ses-20210304x2_run-1_T2w
sub-L/ses-undatedx1/anat/sub-L_ses-undatedx1_run-1_T2w
sub-A1/ses-20210304/anat/sub-A1_ses-20210304_run-1_T2w`
	if text := strings.ReplaceAll(strings.Join(got, "\n"), label, "L"); text != want {
		t.Errorf("got\n%s", text)
	}

	var b strings.Builder
	all[0].Age, all[6].Age, all[7].Age, all[8].Sex, all[8].Age = "094Y", "001Y", "", "X", "030M"
	if err := describe.WriteBIDSParticipants(&b, full(), listOf(append(all, ct("Z")))); err != nil {
		t.Fatal(err)
	}
	if want := "participant_id\tage\tsex\tsplit\nsub-" + label + "\t89\tF\ttrain\nsub-A1\t2.5\tn/a\ttrain\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func ct(subject string) describe.Entry {
	e := entry(0)
	e.Subject = subject
	return e
}

func TestBIDSDescription(t *testing.T) {
	d := decoded(t, written(t, describe.WriteBIDSDescription, full()))
	if d["Name"] == "" || d["BIDSVersion"] != describe.BIDSVersion || d["DatasetType"] != "raw" || d["DatasetDOI"] != "doi:10.5072/vitrine.lungs.2" || d["License"] != "CC-BY-4.0" {
		t.Errorf("%v", d)
	}
	if err := describe.WriteBIDSDescription(&bytes.Buffer{}, tombstoned()); fault.KindOf(err) != fault.Conflict {
		t.Error(err)
	}
	if readme := string(written(t, describe.WriteBIDSReadme, full())); !strings.Contains(readme, "10.5072/vitrine.lungs.2") || !strings.Contains(readme, "sourcedata/unsorted") {
		t.Error(readme)
	}
	var b bytes.Buffer
	if err := describe.WriteBIDSParticipantsSidecar(&b); err != nil || decoded(t, b.Bytes())["age"] == nil {
		t.Error(err)
	}
}
