package directory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// column is a column of the table: what it is called, what stands in it, and how it is written and read.
type column struct {
	name    string
	help    string
	example string
	write   func(e *Entry) string
	read    func(d *Imported, path, cell string)
}

// between the items of a list.
const listSeparator = "; "

// Columns are the names of the table's columns with what stands in them, in order: for the guide and for the form.
func Columns() [][2]string {
	out := make([][2]string, len(columnsOfCSV))
	for i, c := range columnsOfCSV {
		out[i] = [2]string{c.name, c.help}
	}
	return out
}

func line(name, help, example string, field func(e *Entry) *string) column {
	return column{name, help, example, func(e *Entry) string { return *field(e) }, func(d *Imported, _, cell string) { *field(&d.Entry) = tidy(cell) }}
}

func paragraphs(name, help, example string, field func(e *Entry) *string) column {
	return column{name, help, example, func(e *Entry) string { return *field(e) }, func(d *Imported, _, cell string) { *field(&d.Entry) = tidyParagraphs(cell) }}
}

func oneOf(name, help, example string, l *vocabulary.List, field func(e *Entry) *string) column {
	return column{name, help, example, func(e *Entry) string { return *field(e) }, func(d *Imported, path, cell string) {
		d.oneTerm(path, l, cell,
			field(&d.Entry))
	}}
}

func listOf(name, help, example string, field func(e *Entry) *[]string) column {
	return column{name, help, example, func(e *Entry) string { return joined(*field(e)) }, func(d *Imported, _,
		cell string) {
		*field(&d.Entry) = unique(items(cell))
	}}
}

func termsOf(name, help, example string, l *vocabulary.List, field func(e *Entry) *[]string) column {
	return column{name, help, example, func(e *Entry) string { return joined(*field(e)) }, func(d *Imported, path, cell string) {
		for _, item := range items(cell) {
			d.term(path, l, item, field(&d.Entry))
		}
	}}
}

func numberOf(name, help, example string, field func(e *Entry) **int) column {
	return column{name, help, example, func(e *Entry) string {
		if n := *field(e); n != nil {
			return strconv.Itoa(*n)
		}
		return ""
	}, func(d *Imported, path, cell string) {
		n, err := strconv.Atoi(tidy(cell))
		if err != nil {
			d.note(path, "a whole number is needed")
			return
		}
		*field(&d.Entry) = &n
	}}
}

func codesOf(name, help, example string, field func(e *Entry) *[]vocabulary.Code) column {
	return column{name, help, example, func(e *Entry) string {
		out := make([]string, len(*field(e)))
		for i, c := range *field(e) {
			out[i] = c.String()
		}
		return joined(out)
	}, func(d *Imported, path, cell string) {
		for _, item := range items(cell) {
			d.disease(path, item, field(&d.Entry))
		}
	}}
}

// joined is a list in one cell. A semicolon within an item would end it, so it becomes a comma.
func joined(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ReplaceAll(s, ";", ",")
	}
	return strings.Join(out, listSeparator)
}

func items(cell string) []string {
	var out []string
	for s := range strings.SplitSeq(cell, ";") {
		if s = tidy(s); s != "" && len(out) < maxCodes {
			out = append(out, s)
		}
	}
	return out
}

// grant, approval and use are the first of their lists: a table has room for one. Reading makes it.
func (e *Entry) grant() *Grant {
	if len(e.Funding) == 0 {
		e.Funding = []Grant{{}}
	}
	return &e.Funding[0]
}

func (e *Entry) approval() *Ethics {
	if len(e.Ethics) == 0 {
		e.Ethics = []Ethics{{}}
	}
	return &e.Ethics[0]
}

func (e *Entry) use() *Use {
	if len(e.DataUse.Alternatives) == 0 {
		e.DataUse.Alternatives = []Use{{}}
	}
	return &e.DataUse.Alternatives[0]
}

func (e *Entry) declared() *Declared {
	if e.Declared == nil {
		e.Declared = &Declared{}
	}
	return e.Declared
}

var columnsOfCSV = []column{
	line("title", "what it is called; at most 150 characters", "Lung screening CT of Aldermoor", func(e *Entry) *string { return &e.Title }),
	line("acronym", "its short name", "ALDER-LUNG", func(e *Entry) *string { return &e.Acronym }),
	line("abstract", "a sentence or two; at most 255 characters", "Low dose CT of people invited to lung screening, with what was found.",
		func(e *Entry) *string { return &e.Abstract }),
	paragraphs("description", "at length; paragraphs are allowed", "Each person was invited by a letter.", func(e *Entry) *string { return &e.Description }),
	listOf("keywords", "other words for it", "lung screening; low dose", func(e *Entry) *[]string { return &e.Keywords }),
	{"doi", "its DOI", "", func(e *Entry) string { return e.DOI }, func(d *Imported, _, cell string) { d.Entry.DOI = doi(cell) }},
	line("url", "its own page", "https://example.org/alder-lung", func(e *Entry) *string { return &e.URL }),
	line("custodian", "the organisation that keeps it", "University of Aldermoor", func(e *Entry) *string { return &e.Custodian.Name }),
	line("custodian_ror", "its ROR identifier", "", func(e *Entry) *string { return &e.Custodian.ROR }),
	line("country", "its country, two capitals", "GB", func(e *Entry) *string { return &e.Custodian.Country }),
	line("contact", "the name of the team that answers", "Imaging desk", func(e *Entry) *string { return &e.Contact.Name }),
	line("contact_email", "its address", "imaging@example.org", func(e *Entry) *string { return &e.Contact.Email }),
	line("contact_url", "or a form", "", func(e *Entry) *string { return &e.Contact.URL }),
	oneOf("status", "not-started, in-progress or completed", "in-progress", vocabulary.CollectionStatus, func(e *Entry) *string { return &e.Status }),
	termsOf("types", "what kind of collection: cohort, clinical-trial, population-based, ...", "population-based", vocabulary.CollectionType,
		func(e *Entry) *[]string { return &e.Types }),
	termsOf("domains", "radiology, pathology, biological", "radiology", vocabulary.Domain, func(e *Entry) *[]string { return &e.Domains }),
	termsOf("modalities", "DICOM's codes or words: CT; MR; PET scan; mammogram", "CT", vocabulary.Modality, func(e *Entry) *[]string { return &e.Modalities }),
	termsOf("body_sites", "words or SNOMED CT identifiers", "lung", vocabulary.BodySite, func(e *Entry) *[]string { return &e.BodySites }),
	codesOf("conditions", "codes (C34; 8140/3; 254637007; ICD-O-3-T C34.1) or words (bowel cancer)", "C34; lung cancer",
		func(e *Entry) *[]vocabulary.Code { return &e.Conditions }),
	termsOf("stages", "0, 1, 2, 3, 4, recurrent, unknown", "1; 2", vocabulary.Stage, func(e *Entry) *[]string { return &e.Stages }),
	termsOf("stains", "he, ihc, ... or words", "", vocabulary.Stain, func(e *Entry) *[]string { return &e.Stains }),
	termsOf("sexes", "male, female, undifferentiated, unknown", "male; female", vocabulary.Sex, func(e *Entry) *[]string { return &e.Sexes }),
	termsOf("age_bands", "fetus, neonate, infant, young-child, child, adolescent, young-adult, adult", "adult", vocabulary.AgeRange,
		func(e *Entry) *[]string { return &e.AgeBands }),
	numberOf("age_min", "the youngest, in years", "55", func(e *Entry) **int { return &e.AgeMin }),
	numberOf("age_max", "the oldest, in years", "75", func(e *Entry) **int { return &e.AgeMax }),
	termsOf("materials", "samples of the same people", "whole-blood", vocabulary.MaterialType, func(e *Entry) *[]string { return &e.Materials }),
	{"people", "how many people", "1200", func(e *Entry) string { return declaredNumber(e, func(d *Declared) int64 { return d.People }) },
		func(d *Imported, path, cell string) {
			d.count(path, cell, func(d *Declared) *int64 { return &d.People })
		}},
	{"studies", "how many examinations", "2600", func(e *Entry) string { return declaredNumber(e, func(d *Declared) int64 { return d.Studies }) },
		func(d *Imported, path, cell string) {
			d.count(path, cell, func(d *Declared) *int64 { return &d.Studies })
		}},
	{"counted", "on which day they were counted, YYYY-MM-DD", "2026-01-31", func(e *Entry) string {
		if e.Declared == nil {
			return ""
		}
		return e.Declared.AsOf
	}, func(d *Imported, _, cell string) { d.Entry.declared().AsOf = day(cell) }},
	line("start", "from when the images are: YYYY, YYYY-MM or YYYY-MM-DD", "2019-04", func(e *Entry) *string { return &e.Start }),
	line("end", "until when; empty: still growing", "", func(e *Entry) *string { return &e.End }),
	listOf("places", "where the people were recruited", "England", func(e *Entry) *[]string { return &e.Spatial }),
	{"associated_data", "other data with how long it takes: type (lead time)", "clinical-records (0-3-months); registries (over-6-months)",
		writeAssociated, readAssociated},
	oneOf("access_condition", "open-to-applicants, open-calls, collaboration, data-only, restricted, closed", "open-to-applicants", vocabulary.AccessCondition,
		func(e *Entry) *string { return &e.Access.Condition }),
	oneOf("access_service", "tre, download, open, varies, federated", "tre", vocabulary.AccessService, func(e *Entry) *string { return &e.Access.Service }),
	oneOf("lead_time", "how long a request takes: under-1-week, 1-2-weeks, 2-4-weeks, 1-2-months, 2-6-months, over-6-months, variable", "1-2-months",
		vocabulary.DeliveryLeadTime,
		func(e *Entry) *string { return &e.Access.LeadTime }),
	paragraphs("how_to_ask", "what somebody does who wants it", "Write to the imaging desk.", func(e *Entry) *string { return &e.Access.How }),
	paragraphs("cost", "what it costs", "Cost recovery.", func(e *Entry) *string { return &e.Access.Cost }),
	listOf("jurisdiction", "under which law: GB, GB-SCT", "GB", func(e *Entry) *[]string { return &e.Access.Jurisdiction }),
	line("controller", "the controller of the data", "University of Aldermoor", func(e *Entry) *string { return &e.Access.Controller }),
	oneOf("legal_basis", "consent, s251, anonymised, public", "consent", vocabulary.LegalBasis, func(e *Entry) *string { return &e.Access.LegalBasis }),
	{"data_use", "DUO's permission: NRES, GRU, HMB, DS, POA, CC", "HMB", func(e *Entry) string {
		if len(e.DataUse.Alternatives) == 0 {
			return ""
		}
		return e.DataUse.Alternatives[0].Permission
	}, func(d *Imported, path, cell string) {
		d.oneTerm(path, vocabulary.DataUsePermission, cell, &d.Entry.use().Permission)
	}},
	{"data_use_diseases", "where the permission is DS: the diseases", "", func(e *Entry) string {
		if len(e.DataUse.Alternatives) == 0 {
			return ""
		}
		var out []string
		for _, c := range e.DataUse.Alternatives[0].Diseases {
			out = append(out, c.String())
		}
		return joined(out)
	}, func(d *Imported, path, cell string) {
		for _, item := range items(cell) {
			d.disease(path, item, &d.Entry.use().Diseases)
		}
	}},
	{"data_use_conditions", "DUO's modifiers and ours: NCU; IRB; GS=GB,IE; TS=24; NO_REID", "NCU; NO_REID", writeModifiers, readModifiers},
	termsOf("restrictions", "commercial, dna, animal, outside-eu, xenograft", "", vocabulary.ConsentRestriction,
		func(e *Entry) *[]string { return &e.DataUse.Restrictions }),
	firstRow("ethics", "reference of the research ethics committee", "19/XX/0001", approvals, func(a *Ethics) *string { return &a.REC }),
	firstRow("iras", "IRAS number", "", approvals, func(a *Ethics) *string { return &a.IRAS }),
	firstRow("cag", "reference of the Confidentiality Advisory Group", "", approvals, func(a *Ethics) *string { return &a.CAG }),
	firstRow("funder", "who paid", "Cancer Research UK", grants, func(g *Grant) *string { return &g.Funder }),
	firstRow("grant", "the grant's number", "X12345", grants, func(g *Grant) *string { return &g.Number }),
	firstRow("grant_title", "and title", "", grants, func(g *Grant) *string { return &g.Title }),
	line("lead", "who leads it", "Dr Ashdown", func(e *Entry) *string { return &e.Lead.Name }),
	line("lead_orcid", "the lead's ORCID", "", func(e *Entry) *string { return &e.Lead.ORCID }),
	line("lead_institution", "and institution", "University of Aldermoor", func(e *Entry) *string { return &e.Lead.Institution }),
	line("credit", "how it wants to be cited", "", func(e *Entry) *string { return &e.Credit }),
	{"publications", "DOIs of papers about it", "", func(e *Entry) string {
		var out []string
		for _, p := range e.Publications {
			if !p.Uses {
				out = append(out, p.DOI)
			}
		}
		return joined(out)
	}, func(d *Imported, _, cell string) {
		for _, item := range items(cell) {
			d.Entry.Publications = append(d.Entry.Publications, Publication{DOI: doi(item)})
		}
	}},
	{"networks", "what it belongs to", "", func(e *Entry) string {
		var out []string
		for _, n := range e.Networks {
			out = append(out, n.Name)
		}
		return joined(out)
	}, func(d *Imported, _, cell string) {
		for _, item := range items(cell) {
			d.Entry.Networks = append(d.Entry.Networks, Network{Name: item})
		}
	}},
}

// rowOf says where the first row of a list is, to be read (nil: there is none) and to be made.
type rowOf[T any] struct {
	get  func(e *Entry) *T
	make func(e *Entry) *T
}

var approvals = rowOf[Ethics]{func(e *Entry) *Ethics {
	if len(e.Ethics) == 0 {
		return nil
	}
	return &e.Ethics[0]
}, (*Entry).approval}

var grants = rowOf[Grant]{func(e *Entry) *Grant {
	if len(e.Funding) == 0 {
		return nil
	}
	return &e.Funding[0]
}, (*Entry).grant}

func firstRow[T any](name, help, example string, row rowOf[T], field func(*T) *string) column {
	return column{name, help, example, func(e *Entry) string {
		if r := row.get(e); r != nil {
			return *field(r)
		}
		return ""
	}, func(d *Imported, _, cell string) { *field(row.make(&d.Entry)) = tidy(cell) }}
}

func declaredNumber(e *Entry, field func(d *Declared) int64) string {
	if e.Declared == nil || field(e.Declared) == 0 {
		return ""
	}
	return strconv.FormatInt(field(e.Declared), 10)
}

func (d *Imported) count(path, cell string, field func(d *Declared) *int64) {
	n, err := strconv.ParseInt(strings.NewReplacer(",", "", " ", "").Replace(tidy(cell)), 10, 64)
	if err != nil || n < 0 {
		d.note(path, "a whole number is needed")
		return
	}
	*field(d.Entry.declared()) = n
}

func writeAssociated(e *Entry) string {
	var out []string
	for _, a := range e.AssociatedData {
		s := a.Type
		if a.LeadTime != "" {
			s += " (" + a.LeadTime + ")"
		}
		out = append(out, s)
	}
	return joined(out)
}

func readAssociated(d *Imported, path, cell string) {
	for _, item := range items(cell) {
		name, lead, _ := strings.Cut(strings.TrimSuffix(item, ")"), " (")
		var a AssociatedData
		if _, ok := vocabulary.AssociatedDataType.Find(item); ok {
			name, lead = item, "" // a name with brackets of its own
		}
		d.oneTerm(path, vocabulary.AssociatedDataType, name, &a.Type)
		d.oneTerm(path, vocabulary.AssociatedDataTimeframe, lead, &a.LeadTime)
		if a.Type != "" {
			d.Entry.AssociatedData = append(d.Entry.AssociatedData, a)
		}
	}
}

func writeModifiers(e *Entry) string {
	if len(e.DataUse.Alternatives) == 0 {
		return ""
	}
	var out []string
	for _, m := range e.DataUse.Alternatives[0].Modifiers {
		s := m.Code
		if len(m.Values) > 0 {
			s += "=" + strings.Join(m.Values, ",")
		}
		out = append(out, s)
	}
	return joined(out)
}

// readModifiers takes all or, where one is not known, none and no permission either: a condition that is lost would allow more than was meant.
func readModifiers(d *Imported, path, cell string) {
	u := d.Entry.use()
	for _, item := range items(cell) {
		code, values, has := strings.Cut(item, "=")
		t, ok := vocabulary.DataUseModifier.Find(code)
		if !ok {
			d.note(path, quoted(code)+" is not known, so what it may be used for is not taken over")
			u.Permission = ""
			u.Modifiers = nil
			return
		}
		m := Modifier{Code: t.ID}
		if has {
			for v := range strings.SplitSeq(values, ",") {
				m.Values = append(m.Values, tidy(v))
			}
		}
		u.Modifiers = append(u.Modifiers, m)
	}
}

// guarded keeps a spreadsheet from taking a text for a formula (OWASP, CSV injection). Reading takes the guard away.
func guarded(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r'", rune(s[0])) {
		return "'" + s
	}
	return s
}

func unguarded(s string) string {
	if len(s) > 1 && s[0] == '\'' && strings.ContainsRune("=+-@\t\r'", rune(s[1])) {
		return s[1:]
	}
	return s
}

// WriteTemplate writes the table to fill in: the columns, and a row that shows how.
func WriteTemplate(w io.Writer) error {
	head, row := make([]string, len(columnsOfCSV)), make([]string, len(columnsOfCSV))
	for i, c := range columnsOfCSV {
		head[i], row[i] = c.name, guarded(c.example)
	}
	c := csv.NewWriter(w)
	if err := c.WriteAll([][]string{head, row}); err != nil {
		return err
	}
	return c.Error()
}

// WriteCSV writes entries as the table that ReadCSV reads, without the numbers that custodians declared: people and studies are the published ones.
// A table has room for one grant, one approval and one use; what it has no room for is left out.
func WriteCSV(w io.Writer, entries iter.Seq2[Listed, error]) error {
	c := csv.NewWriter(w)
	row := make([]string, len(columnsOfCSV))
	for i, col := range columnsOfCSV {
		row[i] = col.name
	}
	if err := c.Write(row); err != nil {
		return err
	}
	for l, err := range entries {
		if err != nil {
			return err
		}
		e := l.Entry.Public()
		if l.Counts.People.Known || l.Counts.Studies.Known {
			e.Declared = &Declared{People: l.Counts.People.Value, Studies: l.Counts.Studies.Value, AsOf: l.Counts.AsOf}
		}
		for i, col := range columnsOfCSV {
			row[i] = guarded(col.write(&e))
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ReadCSV makes drafts of a table: a row a collection, lists with semicolons, columns in any order and as many as one has. The path of a note is the row, as a
// spreadsheet counts, and the column.
func ReadCSV(r io.Reader) ([]Imported, error) {
	const attempt = "import a table"
	raw, err := readAll(r)
	if err != nil {
		return nil, err
	}
	c := csv.NewReader(bytes.NewReader(raw))
	c.FieldsPerRecord = -1
	if head, _, _ := bytes.Cut(raw, []byte("\n")); bytes.Count(head, []byte(";")) > bytes.Count(head, []byte(",")) {
		c.Comma = ';' // as spreadsheets write it where the comma is in numbers; then a list stands in quotes
	}
	head, err := c.Read()
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "", tableReason(err))
	}
	by := make([]*column, len(head))
	var unknown []string
	for i, name := range head {
		name = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(tidy(name)))
		if j := slices.IndexFunc(columnsOfCSV, func(c column) bool { return c.name == name }); j >= 0 && !slices.ContainsFunc(by,
			func(c *column) bool { return c == &columnsOfCSV[j] }) {
			by[i] = &columnsOfCSV[j]
		} else if name != "" {
			unknown = append(unknown, quoted(name))
		}
	}
	if !slices.ContainsFunc(by, func(c *column) bool { return c != nil && c.name == "title" }) {
		return nil, fault.New(fault.Invalid, attempt, "", "the first row has no column \"title\": it is the names of the columns, as in the template")
	}
	var out []Imported
	for row := 2; ; row++ {
		cells, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, attempt, fmt.Sprintf("row %d", row), tableReason(err))
		}
		if !slices.ContainsFunc(cells, func(s string) bool { return tidy(s) != "" }) {
			continue
		}
		if len(out) == MaxDrafts {
			return nil, fault.New(fault.TooLarge, attempt, "", fmt.Sprintf("a table is at most %d collections", MaxDrafts))
		}
		out = append(out, readRow(row, by, cells, unknown))
	}
}

func readRow(row int, by []*column, cells, unknown []string) Imported {
	d := Imported{Entry: Entry{Holding: Elsewhere}}
	for _, name := range unknown {
		d.note("row 1", "there is no column "+name)
	}
	for i, cell := range cells {
		cell = unguarded(strings.TrimSpace(cell))
		switch {
		case cell == "":
		case i >= len(by):
			d.note(fmt.Sprintf("row %d", row), "there are more cells than columns")
		case by[i] != nil:
			by[i].read(&d, fmt.Sprintf("row %d, %s", row, by[i].name), cell)
		}
		if i > len(by) {
			break
		}
	}
	e := &d.Entry
	if len(e.Domains) == 0 {
		e.Domains = e.domainsOf()
	}
	if len(e.DataUse.Alternatives) == 1 && e.DataUse.Alternatives[0].Permission == "" {
		if len(e.DataUse.Alternatives[0].Modifiers) > 0 {
			d.note(fmt.Sprintf("row %d, data_use", row), "conditions without a permission are not taken over")
		}
		e.DataUse.Alternatives = nil
	}
	d.finish()
	return d
}

func tableReason(err error) string {
	var p *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return "the table is empty"
	case errors.As(err, &p):
		return fmt.Sprintf("line %d is not CSV: a quote is missing or stands in the wrong place", p.Line)
	}
	return "this is not a table of CSV"
}
