package describe

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// BIDSVersion is the version of the Brain Imaging Data Structure that names are of.
const BIDSVersion = "1.10.0"

// Placed is an entry with its place in a data set of BIDS.
type Placed struct {
	Entry Entry
	// Source is the path of the DICOM object: sourcedata/sub-X/ses-Y/anat/NAME/FILE, or below sourcedata/unsorted what cannot be told.
	Source string
	// Name is the path, without an extension, of the NIfTI file that a converter makes of the series: sub-X/ses-Y/anat/NAME. It is empty of what is unsorted.
	Name string
}

// maxStudy is how many objects of one study are held to number its series.
const maxStudy = 100_000

// BIDS gives entries their places by the Brain Imaging Data Structure: MR whose sequence attributes say what it is gets a name; everything else is unsorted, and the
// source data of both keep their DICOM form. Runs are numbered by series number in a study. The objects of one study are held at a time, 100,000 at the most.
func BIDS(entries Entries) iter.Seq2[Placed, error] {
	return func(yield func(Placed, error) bool) {
		var study []Entry
		var session sessions
		flush := func() bool {
			for _, p := range placeStudy(&session, study) {
				if !yield(p, nil) {
					return false
				}
			}
			study = study[:0]
			return true
		}
		for e, err := range tidied(present(entries)) {
			if err != nil {
				yield(Placed{}, err)
				return
			}
			if len(study) > 0 && (study[0].Subject != e.Subject || study[0].Study != e.Study) && !flush() {
				return
			}
			if len(study) == maxStudy {
				yield(Placed{}, fault.New(fault.TooLarge, "place by BIDS", "", "a study has more than 100,000 objects"))
				return
			}
			study = append(study, e)
		}
		flush()
	}
}

// sessions names the studies of one subject after another.
type sessions struct {
	subject string
	taken   map[string]int
}

// label is the session's: the day of the study, with a number where another of the subject has the same.
func (s *sessions) label(e *Entry) string {
	if s.subject != e.Subject || s.taken == nil {
		s.subject, s.taken = e.Subject, map[string]int{}
	}
	base := label(e.StudyDate)
	if len(base) != 8 {
		base = "undated"
	}
	s.taken[base]++
	if n := s.taken[base]; n > 1 || base == "undated" {
		return base + "x" + strconv.Itoa(n)
	}
	return base
}

func placeStudy(s *sessions, study []Entry) []Placed {
	if len(study) == 0 {
		return nil
	}
	sub, ses := "sub-"+bidsLabel(study[0].Subject), "ses-"+s.label(&study[0])
	// The first object of each series says what the series is; a series of which one is derived, or of two minds, is unsorted.
	type placed struct {
		first int
		kind  bidsKind
		ok    bool
	}
	diffusion := map[string]float64{} // a series with any b-value has objects without one
	for i := range study {
		diffusion[study[i].Series] = max(diffusion[study[i].Series], study[i].BValue)
	}
	series := map[string]*placed{}
	var order []*placed
	for i := range study {
		seen := study[i]
		seen.BValue = diffusion[seen.Series]
		kind, ok := classify(&seen)
		p := series[study[i].Series]
		if p == nil {
			p = &placed{i, kind, ok && study[i].Series != ""}
			series[study[i].Series] = p
			order = append(order, p)
		}
		p.ok = p.ok && ok && p.kind == kind
	}
	slices.SortStableFunc(order, func(a, b *placed) int { return int(study[a.first].SeriesNumber - study[b.first].SeriesNumber) })
	names := map[*placed]string{}
	runs := map[string]int{}
	for _, p := range order {
		if p.ok {
			stem := p.kind.stem()
			key := stem + "_" + p.kind.suffix
			runs[key]++
			names[p] = fmt.Sprintf("%s_%s%s_run-%d_%s", sub, ses, stem, runs[key], p.kind.suffix)
		}
	}
	out := make([]Placed, 0, len(study))
	for i := range study {
		e := study[i]
		p := series[e.Series]
		if name := names[p]; name != "" {
			folder := path.Join(sub, ses, p.kind.folder)
			out = append(out, Placed{e, path.Join("sourcedata", folder, name, bidsFile(&e)), path.Join(folder, name)})
			continue
		}
		folder := first(e.Series, "objects")
		if e.SeriesNumber > 0 {
			folder = strconv.FormatInt(e.SeriesNumber, 10) + "_" + folder
		}
		out = append(out, Placed{e, path.Join("sourcedata", "unsorted", sub, ses, folder, bidsFile(&e)), ""})
	}
	return out
}

// bidsFile is the name of an object in its folder.
func bidsFile(e *Entry) string {
	if e.Format == "application/dicom" {
		return first(e.Instance, e.DRS) + ".dcm"
	}
	return e.DRS + path.Ext(e.Path)
}

// bidsLabel is a pseudonym as a label, which has letters and digits alone. One that had others bears a digest, so that no two become one.
func bidsLabel(s string) string {
	label := label(s)
	if label != s {
		sum := sha256.Sum256([]byte(s))
		label += "x" + hex.EncodeToString(sum[:4])
	}
	return label
}

func label(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// bidsKind is what a series is in the terms of BIDS.
type bidsKind struct {
	folder      string // anat, func, dwi
	suffix      string // T1w, bold ...
	task        string // of func
	acquisition string // "3d"
	contrast    bool
}

// stem are the entities between session and run, in the order of BIDS.
func (k *bidsKind) stem() string {
	s := ""
	if k.task != "" {
		s += "_task-" + k.task
	}
	if k.acquisition != "" {
		s += "_acq-" + k.acquisition
	}
	if k.contrast {
		s += "_ce-contrast"
	}
	return s
}

// classify says what an MR image is. The attributes of its sequence decide; the words of its description are asked where they are silent, and where the two
// disagree nothing is told.
func classify(e *Entry) (bidsKind, bool) {
	words := tokens(e.SeriesDescription + " " + e.ProtocolName)
	if e.Modality != "MR" || e.Format != "application/dicom" || derived(e, words) {
		return bidsKind{}, false
	}
	k := bidsKind{contrast: e.Contrast != ""}
	if strings.EqualFold(e.Acquisition, "3D") {
		k.acquisition = "3d"
	}
	sequence := strings.Split(strings.ToUpper(e.ScanningSequence), `\`)
	planar := slices.Contains(sequence, "EP")
	if has(words, "asl", "pcasl", "pasl", "perfusion", "dsc", "dce", "perf", "swi", "fieldmap", "fmap", "b1", "spectroscopy", "svs", "csi", "mrs") {
		return bidsKind{}, false // of these BIDS asks for files that the images alone do not give
	}
	diffusion := e.BValue > 0 || strings.Contains(strings.ToLower(e.SequenceName), "ep_b") || planar && has(words, "dwi", "dti", "diff", "diffusion", "hardi", "adc", "trace")
	functional := has(words, "bold", "fmri", "func", "rest", "resting", "rsfmri")
	switch {
	case diffusion && functional:
		return bidsKind{}, false
	case diffusion:
		k.folder, k.suffix, k.contrast = "dwi", "dwi", false
		return k, true
	case functional:
		k.folder, k.suffix, k.task, k.contrast = "func", "bold", task(words), false
		return k, k.task != "" && (planar || e.ScanningSequence == "")
	case planar:
		return bidsKind{}, false
	}
	k.folder = "anat"
	if has(words, "tof", "mra", "angio", "angiography") {
		k.suffix = "angio"
		return k, e.ScanningSequence == "" || slices.Contains(sequence, "GR")
	}
	measured, named := weighting(e, sequence), wording(words)
	k.suffix = first(measured, named)
	return k, k.suffix != "" && (measured == "" || named == "" || measured == named)
}

// derived reports what a scanner or a person made of other images, and what only plans others.
func derived(e *Entry, words []string) bool {
	for v := range strings.SplitSeq(strings.ToUpper(e.ImageType), `\`) {
		switch v {
		case "DERIVED", "SECONDARY", "LOCALIZER", "MPR", "PROJECTION IMAGE", "ADC", "FA", "TRACEW", "CSA REPORT", "OTHER":
			return true
		}
	}
	return has(words, "localizer", "localiser", "scout", "loc", "survey", "calibration", "mip", "mpr", "adc", "fa", "subtraction", "sub", "smartbrain", "aascout")
}

// weighting is the contrast by the times of the sequence (ms): "" where they do not decide.
func weighting(e *Entry, sequence []string) string {
	te, tr, ti := e.EchoTime, e.RepetitionTime, e.InversionTime
	inverted := slices.Contains(sequence, "IR") || ti > 0
	spin, gradient := slices.Contains(sequence, "SE"), slices.Contains(sequence, "GR")
	switch {
	case te <= 0 || tr <= 0:
		return ""
	case inverted && ti >= 1500 && te >= 60:
		return "FLAIR"
	case inverted && ti >= 500 && ti < 1500 && te < 30:
		return "T1w" // magnetisation-prepared gradient echo, and T1 FLAIR
	case inverted:
		return "" // STIR and others
	case spin && te < 30 && tr < 1000:
		return "T1w"
	case spin && te >= 60 && tr >= 1500:
		return "T2w"
	case spin && te < 45 && tr >= 1500:
		return "PDw"
	case gradient && te < 10 && tr < 50 && e.FlipAngle >= 8:
		return "T1w"
	case gradient && te >= 12 && !spin:
		return "T2starw"
	}
	return ""
}

// wording is the contrast by the words of the description.
func wording(words []string) string {
	found := ""
	for _, w := range []struct {
		suffix string
		words  []string
	}{
		{"FLAIR", []string{"flair", "darkfluid"}}, {"T2starw", []string{"t2star", "t2*", "t2s"}}, {"T1w", []string{"t1", "t1w", "mprage", "mp2rage", "bravo", "spgr", "tfl", "t1c", "t1gd"}},
		{"T2w", []string{"t2", "t2w"}}, {"PDw", []string{"pd", "pdw"}},
	} {
		if !has(words, w.words...) {
			continue
		}
		switch {
		case found == "":
			found = w.suffix
		case found == "FLAIR" && w.suffix == "T2w": // T2 FLAIR is what FLAIR is
		case found == "FLAIR" && w.suffix == "T1w":
			found = "T1w"
		default:
			return "" // of two minds
		}
	}
	return found
}

// task is the label of a functional series: what "task" names, or rest.
func task(words []string) string {
	for i, w := range words {
		if w == "task" && i+1 < len(words) {
			return label(words[i+1])
		}
	}
	if has(words, "rest", "resting", "rsfmri") {
		return "rest"
	}
	return ""
}

func tokens(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '*' })
}

func has(words []string, any ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(any, w) })
}

// WriteBIDSDescription writes dataset_description.json.
func WriteBIDSDescription(w io.Writer, r *Release) error {
	if err := r.listable("write BIDS description"); err != nil {
		return err
	}
	d := object{"Name": r.Title, "BIDSVersion": BIDSVersion, "DatasetType": "raw", "License": first(r.License.SPDX, r.License.Name, r.License.URL, "As agreed"),
		"HowToAcknowledge": r.citation(), "GeneratedBy": []object{{"Name": "vitrine", "Description": "Names and places by the attributes of the sequences"}},
		"SourceDatasets": []object{{"URL": first(r.doi(), r.URL), "Version": r.Version}}}
	var authors, funding []string
	for i := range r.Creators {
		authors = append(authors, r.Creators[i].full())
	}
	for _, g := range r.Funding {
		funding = append(funding, strings.TrimSpace(g.Funder+" "+g.Number))
	}
	filled(d, "Authors", authors)
	filled(d, "Funding", funding)
	filled(d, "Keywords", r.topics())
	if r.doi() != "" {
		d["DatasetDOI"] = "doi:" + r.DOI
	}
	return write(w, d)
}

// WriteBIDSParticipants writes participants.tsv: a row for each person of whom there is MR, with sex and age in years at the first study, n/a where unknown.
func WriteBIDSParticipants(w io.Writer, r *Release, entries Entries) error {
	if err := r.listable("write BIDS participants"); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "participant_id\tage\tsex\tsplit\n")
	var p *Entry
	put := func() {
		if p != nil {
			fmt.Fprintf(b, "sub-%s\t%s\t%s\t%s\n", bidsLabel(p.Subject), years(p.Age), first(map[string]string{"F": "F", "M": "M", "O": "O"}[p.Sex], "n/a"), first(p.Split, "n/a"))
		}
	}
	for e, err := range tidied(present(entries)) {
		if err != nil {
			return err
		}
		switch {
		case e.Modality != "MR":
		case p == nil || p.Subject != e.Subject:
			put()
			p = &e
		case e.StudyDate != "" && (p.StudyDate == "" || e.StudyDate < p.StudyDate):
			p.StudyDate, p.Age = e.StudyDate, first(e.Age, p.Age)
		}
	}
	put()
	return b.Flush()
}

// years is an age (PS3.5 6.2, AS) in years; BIDS has ages over 89 capped.
func years(age string) string {
	if !ageForm(age) {
		return "n/a"
	}
	n, _ := strconv.Atoi(age[:3])
	switch age[3] {
	case 'Y':
		return strconv.Itoa(min(n, 89))
	case 'M':
		return strconv.FormatFloat(float64(n*10/12)/10, 'f', -1, 64)
	case 'W', 'D':
		return "0"
	}
	return "n/a"
}

// WriteBIDSParticipantsSidecar writes participants.json, which says what the columns of participants.tsv are.
func WriteBIDSParticipantsSidecar(w io.Writer) error {
	return write(w, object{
		"age":   object{"Description": "Age at the first study, capped at 89", "Units": "year"},
		"sex":   object{"Description": "Patient's Sex (0010,0040)", "Levels": object{"F": "female", "M": "male", "O": "other"}},
		"split": object{"Description": "Part of the release", "Levels": object{"train": "training", "validation": "validation", "test": "test"}},
	})
}

// WriteBIDSReadme writes the README that BIDS asks for: what the data is, how to cite it, what it may be used for, and what lies in sourcedata/unsorted.
func WriteBIDSReadme(w io.Writer, r *Release) error {
	if err := r.listable("write BIDS readme"); err != nil {
		return err
	}
	parts := []string{r.Title, r.paragraphs(), "Cite as: " + r.citation(), "Access: " + r.conditions()}
	if use := useText(&r.DataUse); use != "" {
		parts = append(parts, "Use: "+use)
	}
	if d := r.Deidentification.Statement; d != "" {
		parts = append(parts, "De-identification: "+d)
	}
	parts = append(parts, "The DICOM objects lie in sourcedata, in a folder for each series. A series whose kind the attributes of its sequence and its description tell has the name that BIDS gives it. "+
		"All others, among them those that are not MR, are in sourcedata/unsorted, in folders by series number and Series Instance UID.")
	_, err := io.WriteString(w, strings.Join(parts, "\n\n")+"\n")
	return err
}
