package clinical

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Limits of a table.
const (
	MaxBytes   = 64 << 20
	MaxRows    = 1_000_000
	maxColumns = 500
	maxCell    = 8 << 10
	maxListed  = 1000 // problems that are listed; the others are counted
)

// Problem says why a row was refused: where, a code for machines, and a sentence. Never a value.
type Problem struct {
	Row    int    `json:"row"`    // as a spreadsheet counts: the headings are row 1
	Column string `json:"column"` // what the column is for, as Known calls it
	Code   string `json:"code"`
	Text   string `json:"text"`
}

// The codes of problems.
const (
	CodeForm          = "form"          // the cell is not of its column's form
	CodeIdentifier    = "identifier"    // the cell holds something that identifies
	CodeText          = "text"          // words where a code or a number belongs
	CodeContradiction = "contradiction" // another row of the subject says otherwise
	CodeSubject       = "subject"       // the row is of nobody that is known
	CodeShape         = "shape"         // the row is no row of the table
)

// Dropped is a column that was not read.
type Dropped struct {
	Number int    `json:"number"`         // from 1
	Name   string `json:"name,omitempty"` // its heading, where that is certain to be one
}

// Person is what a table says of one subject. Dates are YYYYMMDD and as they came. It identifies a person: it does not print itself.
type Person struct {
	Original   bool // Identifier is the patient's own, not the collection's pseudonym
	Identifier string
	Issuer     string // of an original identifier
	Birth      string // YYYYMMDD, or YYYY where that is all; not to be stored
	Facts      Facts
	Rows       []int
}

// String says nothing.
func (*Person) String() string { return "person" }

// GoString says nothing.
func (*Person) GoString() string { return "clinical.Person{}" }

// Table is a table that was read.
type Table struct {
	Has      Columns
	People   []*Person // in the order of their first rows
	Rows     int       // the headings not counted
	Refused  int       // rows with a problem
	Problems []Problem // of the first of them
	Dropped  []Dropped
}

// Refuse notes a problem of a row.
func (t *Table) Refuse(p Problem) {
	t.Refused++
	if len(t.Problems) < maxListed {
		t.Problems = append(t.Problems, p)
	}
}

type column int

const (
	colUnknown column = iota
	colPseudonym
	colOriginal
	colIssuer
	colSex
	colAge
	colAgeAt
	colBirth
	colICD10
	colTopography
	colMorphology
	colSNOMED
	colDiagnosis
	colStage
	colTNM
	colT
	colN
	colM
	colDiagnosed
	colVisit
	colVisitDate
)

// names are what each column is called in problems.
var names = [...]string{"", "subject", "patient_id", "issuer", "sex", "age", "age_date", "birth_date", "icd10", "topography", "morphology", "snomed", "diagnosis", "stage", "tnm", "t", "n",
	"m", "diagnosis_date", "visit", "visit_date"}

// headings are how columns are headed, in lower case, letters and digits alone.
var headings = map[string]column{
	"subject": colPseudonym, "subjectid": colPseudonym, "pseudonym": colPseudonym, "vitrineid": colPseudonym,
	"patientid": colOriginal, "originalid": colOriginal, "patientidentifier": colOriginal, "hospitalnumber": colOriginal, "mrn": colOriginal, "nhsnumber": colOriginal,
	"issuer": colIssuer, "issuerofpatientid": colIssuer,
	"sex": colSex, "gender": colSex, "birthsex": colSex, "patientsex": colSex,
	"age": colAge, "ageyears": colAge, "ageatdiagnosis": colAge, "patientage": colAge,
	"agedate": colAgeAt, "ageat": colAgeAt,
	"birthdate": colBirth, "dateofbirth": colBirth, "dob": colBirth, "yearofbirth": colBirth, "birthyear": colBirth,
	"icd10": colICD10, "icd10code": colICD10,
	"topography": colTopography, "icdo3topography": colTopography, "icdo3t": colTopography, "icdot": colTopography,
	"morphology": colMorphology, "icdo3morphology": colMorphology, "icdo3m": colMorphology, "icdom": colMorphology, "histology": colMorphology,
	"snomed": colSNOMED, "snomedct": colSNOMED, "sctid": colSNOMED,
	"diagnosis": colDiagnosis, "diagnosiscode": colDiagnosis, "diagnoses": colDiagnosis,
	"stage": colStage, "stagegroup": colStage, "tnmstage": colStage, "overallstage": colStage,
	"tnm": colTNM, "t": colT, "tstage": colT, "n": colN, "nstage": colN, "m": colM, "mstage": colM,
	"diagnosisdate": colDiagnosed, "dateofdiagnosis": colDiagnosed, "diagnosed": colDiagnosed,
	"visit": colVisit, "timepoint": colVisit, "visitname": colVisit,
	"visitdate": colVisitDate, "studydate": colVisitDate, "scandate": colVisitDate, "imagingdate": colVisitDate,
}

// Known are the columns that a table may have, as problems call them.
func Known() []string { return slices.Clone(names[1:]) }

func heading(s string) column {
	return headings[strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)]
}

// Read reads a table in CSV: UTF-8, a row of headings, parted by commas, semicolons or tabs. Rows with a problem are listed, and nothing of them is in People.
// Columns that are not known are dropped, free text among them. An error is for what is no table at all: without headings, or without a column of subjects.
func Read(r io.Reader) (*Table, error) {
	const attempt = "read clinical table"
	bad := func(kind fault.Kind, why string) (*Table, error) { return nil, fault.New(kind, attempt, "", why) }
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	b := bufio.NewReaderSize(limited, 64<<10)
	if head, _ := b.Peek(3); bytes.Equal(head, []byte("\xEF\xBB\xBF")) {
		_, _ = b.Discard(3)
	}
	first, err := b.Peek(4096)
	if len(first) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Unavailable, attempt, "", "it cannot be read")
		}
		return bad(fault.Invalid, "it is empty")
	}
	line, _, _ := bytes.Cut(first, []byte("\n"))
	c := csv.NewReader(b)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace = -1, true, true
	for _, mark := range ",;\t" {
		if bytes.Count(line, []byte(string(mark))) > bytes.Count(line, []byte(string(c.Comma))) {
			c.Comma = mark
		}
	}
	if c.Comma == '\t' {
		c.TrimLeadingSpace = false
	}
	head, err := c.Read()
	if err != nil {
		return bad(fault.Invalid, "its first row is no row of headings")
	}
	if len(head) > maxColumns {
		return bad(fault.TooLarge, fmt.Sprintf("it has more than %d columns", maxColumns))
	}
	t := &Table{}
	p := &parser{t: t, cols: make([]column, len(head)), by: map[string]*Person{}}
	who := 0
	for i, h := range head {
		col := heading(h)
		p.cols[i] = col
		switch {
		case col == colUnknown:
			d := Dropped{Number: i + 1}
			if h = strings.TrimSpace(h); len(h) <= 60 && deid.PlainText(strings.NewReplacer("_", " ", "-", " ").Replace(h)) {
				d.Name = h
			}
			t.Dropped = append(t.Dropped, d)
		case slices.Contains(p.cols[:i], col) && col != colDiagnosis && col != colICD10 && col != colSNOMED:
			return bad(fault.Invalid, fmt.Sprintf("columns %d and %d are both %s", slices.Index(p.cols, col)+1, i+1, names[col]))
		case col == colPseudonym || col == colOriginal:
			who++
		}
	}
	if who != 1 {
		return bad(fault.Invalid, "it needs one column that says whose a row is, headed subject (the collection's pseudonym) or patient_id (the patient's own identifier)")
	}
	p.columns()
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if limited.N <= 0 {
			return bad(fault.TooLarge, "it is larger than 64 MiB; split it")
		}
		if t.Rows++; t.Rows > MaxRows {
			return bad(fault.TooLarge, "it has more than a million rows; split it")
		}
		if pe, ok := errors.AsType[*csv.ParseError](err); ok {
			t.Refuse(Problem{t.Rows + 1, "", CodeShape, "quotation marks do not match"})
			if errors.Is(pe.Err, csv.ErrQuote) || errors.Is(pe.Err, csv.ErrBareQuote) {
				continue
			}
			return bad(fault.Invalid, "quotation marks do not match")
		}
		if err != nil {
			return nil, fault.New(fault.Unavailable, attempt, "", "it cannot be read to its end")
		}
		p.row(t.Rows+1, record)
	}
	for _, person := range t.People {
		person.Facts.sort()
	}
	return t, nil
}

type parser struct {
	t    *Table
	cols []column
	by   map[string]*Person
}

func (p *parser) columns() {
	h := &p.t.Has
	for _, c := range p.cols {
		switch c {
		case colSex:
			h.Sex = true
		case colAge, colBirth:
			h.Age = true
		case colICD10, colTopography, colMorphology, colSNOMED, colDiagnosis:
			h.Diagnoses = true
		case colStage:
			h.Stage = true
		case colTNM, colT, colN, colM:
			h.TNM = true
		case colDiagnosed:
			h.Diagnosed = true
		case colVisit, colVisitDate:
			h.Visits = true
		}
	}
}

// row judges a row as a whole: nothing of it is taken if anything of it is wrong.
func (p *parser) row(n int, cells []string) {
	refuse := func(c column, code, text string) { p.t.Refuse(Problem{n, names[c], code, text}) }
	if len(cells) != len(p.cols) {
		if len(cells) == 1 && strings.TrimSpace(cells[0]) == "" {
			p.t.Rows--
			return
		}
		refuse(colUnknown, CodeShape, "it has more or fewer cells than there are headings")
		return
	}
	x := Person{}
	var visit Visit
	var tnm [4]string
	for i, c := range p.cols {
		v := cells[i]
		if c == colUnknown || v == "" {
			continue
		}
		if len(v) > maxCell || !utf8.ValidString(v) {
			refuse(c, CodeForm, "the cell is no text in UTF-8, or longer than 8 KiB")
			return
		}
		if v = strings.TrimSpace(v); v == "" || absent[strings.ToLower(v)] && c != colPseudonym && c != colOriginal && c != colSex && c != colStage {
			continue
		}
		if c != colOriginal && deid.HasNHSNumber(v) && !knownCode(c, v) {
			refuse(c, CodeIdentifier, "the cell holds what looks like an NHS number")
			return
		}
		ok := true
		switch c {
		case colPseudonym, colOriginal:
			x.Identifier, x.Original = v, c == colOriginal
		case colIssuer:
			x.Issuer = v
		case colSex:
			x.Facts.Sex, ok = sexOf(v)
		case colAge:
			x.Facts.Age, ok = ageOf(v)
		case colAgeAt:
			x.Facts.AgeAt, ok = dateOf(v)
		case colBirth:
			if x.Birth = v; !year(v) {
				x.Birth, ok = dateOf(v)
			}
		case colICD10, colTopography, colMorphology, colSNOMED, colDiagnosis:
			var codes []vocabulary.Code
			codes, ok = codesOf(c, v)
			x.Facts.Diagnoses = append(x.Facts.Diagnoses, codes...)
		case colStage:
			x.Facts.Stage, ok = stageOf(v)
		case colTNM:
			tnm[0], ok = tnmOf(v)
		case colT, colN, colM:
			k := int(c - colT)
			if v = strings.TrimSpace(v); !strings.ContainsAny(v, "TNMtnm") {
				v = "TNM"[k:k+1] + v
			}
			tnm[k+1], ok = tnmOf(v)
		case colDiagnosed:
			x.Facts.Diagnosed, ok = dateOf(v)
		case colVisit:
			visit.Name, ok = Timepoint(v)
		case colVisitDate:
			visit.Date, ok = dateOf(v)
		}
		if !ok {
			code, text := CodeForm, forms[c]
			if c != colPseudonym && c != colOriginal && !deid.PlainText(v) && strings.ContainsFunc(v, unicode.IsLetter) {
				code = CodeText
			}
			refuse(c, code, text)
			return
		}
	}
	if x.Identifier == "" {
		refuse(who(p.cols), CodeSubject, "the row does not say whose it is")
		return
	}
	if x.Facts.TNM = tnm[0]; x.Facts.TNM == "" {
		x.Facts.TNM = strings.TrimSpace(strings.Join(slices.DeleteFunc(tnm[1:], func(s string) bool { return s == "" }), " "))
	}
	if visit != (Visit{}) {
		x.Facts.Visits = []Visit{visit}
	}
	key := strings.ToUpper(x.Issuer + "\x00" + x.Identifier)
	have, ok := p.by[key]
	if !ok {
		x.Rows = []int{n}
		p.by[key] = &x
		p.t.People = append(p.t.People, &x)
		return
	}
	if c := have.add(&x); c != colUnknown {
		refuse(c, CodeContradiction, "an earlier row says otherwise of the same subject")
		return
	}
	have.Rows = append(have.Rows, n)
}

func who(cols []column) column {
	if slices.Contains(cols, colOriginal) {
		return colOriginal
	}
	return colPseudonym
}

// add takes another row of the same subject; the column that contradicts, if one does: then nothing is taken.
func (x *Person) add(y *Person) column {
	a, b := &x.Facts, &y.Facts
	for _, one := range []struct {
		have, came string
		c          column
	}{{a.Sex, b.Sex, colSex}, {a.Stage, b.Stage, colStage}, {a.TNM, b.TNM, colTNM}, {a.Diagnosed, b.Diagnosed, colDiagnosed}, {x.Birth, y.Birth, colBirth}} {
		if one.have != "" && one.came != "" && one.have != one.came {
			return one.c
		}
	}
	// Ages of later visits are greater: the earliest stands.
	if b.Age != nil && (a.Age == nil || *b.Age < *a.Age) {
		a.Age, a.AgeAt = b.Age, b.AgeAt
	}
	for _, one := range []struct{ have, came *string }{{&a.Sex, &b.Sex}, {&a.Stage, &b.Stage}, {&a.TNM, &b.TNM}, {&a.Diagnosed, &b.Diagnosed}, {&x.Birth, &y.Birth}} {
		if *one.have == "" {
			*one.have = *one.came
		}
	}
	a.Diagnoses = append(a.Diagnoses, b.Diagnoses...)
	a.Visits = append(a.Visits, b.Visits...)
	return colUnknown
}

// absent are words for nothing.
var absent = map[string]bool{"na": true, "n/a": true, "nan": true, "null": true, "none": true, "-": true, ".": true, "?": true, "unknown": true, "not known": true, "missing": true}

var forms = map[column]string{
	colSex:        "sex is F, M, O or U, or female, male, other or unknown",
	colAge:        "age is a whole number of years, 0 to 130, or a DICOM age as 057Y",
	colAgeAt:      "a date is YYYY-MM-DD or YYYYMMDD",
	colBirth:      "a date of birth is YYYY-MM-DD, YYYYMMDD or a year",
	colICD10:      vocabulary.Syntax(vocabulary.ICD10),
	colTopography: vocabulary.Syntax(vocabulary.Topography),
	colMorphology: vocabulary.Syntax(vocabulary.Morphology),
	colSNOMED:     vocabulary.Syntax(vocabulary.SNOMED),
	colDiagnosis:  "a diagnosis is a code, several are parted by ; or |: C50.4, 8500/3, 254837009",
	colStage:      "a stage is 0 to IV with its subdivision, recurrent or unknown: IIA, 3b",
	colTNM:        "TNM is written as cT2 N0 M0",
	colT:          "T is written as 2, T2 or cT2a",
	colN:          "N is written as 0, N0 or pN1mi",
	colM:          "M is written as 0, M0 or cM1",
	colDiagnosed:  "a date is YYYY-MM-DD or YYYYMMDD",
	colVisit:      "a timepoint is one of baseline, screening, pre-treatment, mid-treatment, post-treatment, surgery, progression, relapse, follow-up, or week, month, year, day, cycle, round, visit or follow-up with a number",
	colVisitDate:  "a date is YYYY-MM-DD or YYYYMMDD",
}

func sexOf(v string) (string, bool) {
	switch strings.ToLower(v) {
	case "f", "female", "woman", "w":
		return "female", true
	case "m", "male", "man":
		return "male", true
	case "o", "other", "x", "intersex", "indeterminate", "undifferentiated":
		return "undifferentiated", true
	}
	return "unknown", absent[strings.ToLower(v)] || strings.EqualFold(v, "u")
}

func ageOf(v string) (*int, bool) {
	if len(v) == 4 && v[3]|0x20 == 'y' {
		v = strings.TrimLeft(v[:3], "0") + strings.Repeat("0", b2i(v[:3] == "000"))
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v, ".0"))
	if err != nil || n < 0 || n > 130 {
		return nil, false
	}
	n = min(n, MaxAge)
	return &n, true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func year(v string) bool {
	n, err := strconv.Atoi(v)
	return err == nil && len(v) == 4 && n >= 1880 && n <= 2100
}

// dateOf is a day as YYYYMMDD. Day-month-year and month-day-year cannot be told apart: neither is taken.
func dateOf(v string) (string, bool) {
	v, _, _ = strings.Cut(v, "T")
	v, _, _ = strings.Cut(v, " ")
	for _, layout := range []string{"2006-01-02", "20060102", "2006/01/02"} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 1880 && t.Year() <= 2200 {
			return t.Format("20060102"), true
		}
	}
	return "", false
}

func codesOf(c column, v string) ([]vocabulary.Code, bool) {
	var out []vocabulary.Code
	for one := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ';' || r == '|' || r == '\n' }) {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		code, ok := codeOf(c, one)
		if !ok || len(out) == 64 {
			return nil, false
		}
		out = append(out, code)
	}
	return out, true
}

var columnSystems = map[column]vocabulary.System{colICD10: vocabulary.ICD10, colTopography: vocabulary.Topography, colMorphology: vocabulary.Morphology, colSNOMED: vocabulary.SNOMED}

func codeOf(c column, v string) (vocabulary.Code, bool) {
	if s, ok := columnSystems[c]; ok {
		code, err := vocabulary.ParseCode(s, v)
		return code, err == nil
	}
	for _, s := range vocabulary.Systems {
		// A diagnosis tells its system, or looks like a code of one. A topography looks like ICD-10 and is taken for it.
		rest, ok := strings.CutPrefix(strings.ToUpper(v), strings.ToUpper(string(s))+":")
		if !ok {
			rest = v
		}
		if code, err := vocabulary.ParseCode(s, rest); err == nil {
			return code, true
		}
	}
	return vocabulary.Code{}, false
}

// knownCode reports codes that only happen to check as an NHS number does.
func knownCode(c column, v string) bool {
	if c != colSNOMED && c != colDiagnosis {
		return false
	}
	codes, ok := codesOf(c, v)
	if !ok {
		return false
	}
	for _, code := range codes {
		if deid.HasNHSNumber(code.Value) && !vocabulary.Known(code) {
			return false
		}
	}
	return len(codes) > 0
}

// stageOf is the group of a stage.
func stageOf(v string) (string, bool) {
	s := strings.ToLower(v)
	for _, word := range []string{"stage", "clinical", "pathological", "group"} {
		s = strings.TrimSpace(strings.TrimPrefix(s, word))
	}
	if absent[s] || s == "u" || s == "x" || s == "unstaged" || s == "not recorded" {
		return "unknown", true
	}
	switch s {
	case "recurrent", "recurrence", "relapse", "relapsed":
		return "recurrent", true
	case "is", "in situ":
		return "0", true
	case "metastatic":
		return "4", true
	}
	for _, g := range []struct{ text, id string }{{"iv", "4"}, {"iii", "3"}, {"ii", "2"}, {"i", "1"}, {"0", "0"}, {"1", "1"}, {"2", "2"}, {"3", "3"}, {"4", "4"}} {
		if rest, ok := strings.CutPrefix(s, g.text); ok {
			rest = strings.TrimSpace(rest)
			return g.id, len(rest) <= 2 && strings.Trim(rest, "abcs123") == ""
		}
	}
	return "", false
}

// tnmOf checks parts such as cT2a, pN1mi, M0, parted by spaces or not at all.
func tnmOf(v string) (string, bool) {
	var parts []string
	rest := v
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		i := 0
		for i < len(rest) && strings.IndexByte("cpyra", rest[i]) >= 0 {
			i++
		}
		if i == len(rest) || i > 3 || strings.IndexByte("TNM", rest[i]) < 0 {
			return "", false
		}
		j := i + 1
		switch {
		case strings.HasPrefix(rest[j:], "is"):
			j += 2
		case j < len(rest) && strings.IndexByte("01234Xx", rest[j]) >= 0:
			j++
		default:
			return "", false
		}
		switch {
		case strings.HasPrefix(rest[j:], "mi"):
			j += 2
		case j < len(rest) && rest[j] >= 'a' && rest[j] <= 'd' && (j+1 == len(rest) || strings.IndexByte(" ,TNMcpyr0123456789", rest[j+1]) >= 0):
			j++
			if j < len(rest) && rest[j] >= '1' && rest[j] <= '3' {
				j++
			}
		}
		parts = append(parts, rest[:j])
		rest = rest[j:]
	}
	return strings.Join(parts, " "), len(parts) > 0 && len(parts) <= 3
}

// Timepoint is a name of a timepoint in its usual form, as "week 12"; false for what is none of the names that are known.
func Timepoint(v string) (string, bool) {
	s := strings.ToLower(strings.Join(strings.FieldsFunc(v, func(r rune) bool { return unicode.IsSpace(r) || r == '_' || r == '-' }), " "))
	if name, ok := timepoints[s]; ok {
		return name, true
	}
	i := strings.IndexFunc(s, unicode.IsDigit)
	if i < 0 {
		return "", false
	}
	n, err := strconv.Atoi(s[i:])
	if err != nil || n < 0 || n > 999 {
		return "", false
	}
	unit, ok := units[strings.TrimSpace(s[:i])]
	return unit + " " + strconv.Itoa(n), ok
}

var timepoints = map[string]string{
	"baseline": "baseline", "bl": "baseline", "screening": "screening", "pre": "pre-treatment", "pre treatment": "pre-treatment", "pretreatment": "pre-treatment",
	"mid treatment": "mid-treatment", "interim": "mid-treatment", "post": "post-treatment", "post treatment": "post-treatment", "posttreatment": "post-treatment",
	"end of treatment": "post-treatment", "eot": "post-treatment", "surgery": "surgery", "pre surgery": "pre-surgery", "post surgery": "post-surgery", "progression": "progression",
	"relapse": "relapse", "recurrence": "relapse", "follow up": "follow-up", "followup": "follow-up", "fu": "follow-up", "diagnosis": "diagnosis",
}

var units = map[string]string{
	"week": "week", "weeks": "week", "w": "week", "wk": "week", "month": "month", "months": "month", "m": "month", "year": "year", "years": "year", "y": "year", "day": "day",
	"days": "day", "d": "day", "cycle": "cycle", "c": "cycle", "round": "round", "visit": "visit", "v": "visit", "t": "visit", "tp": "visit", "timepoint": "visit", "follow up": "follow-up",
	"followup": "follow-up", "fu": "follow-up", "f": "follow-up", "scan": "visit", "time": "visit",
}
