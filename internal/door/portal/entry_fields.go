package portal

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// A field is one thing that the form of an entry asks for. It writes what an entry says into the values of a form, and reads it back; between the two nothing is lost.
type field struct {
	path, label, help string
	kind              string // line, text, lines, date, number, one, many, codes, rows, use
	list              *vocabulary.List
	most              int // characters
	write             func(e *directory.Entry, v url.Values)
	read              func(e *directory.Entry, v url.Values, say func(path, text string))
	columns           []field // of rows: their inputs
	of                func(e *directory.Entry) bool
	more              bool // few know or need it: folded away until somebody looks
}

// part is a section of the form.
type part struct {
	id, title, about string
	fields           []field
}

func line(path, label, help string, most int, at func(e *directory.Entry) *string) field {
	return field{path: path, label: label, help: help, kind: "line", most: most,
		write: func(e *directory.Entry, v url.Values) { v.Set(path, *at(e)) },
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			*at(e) = strings.Join(strings.Fields(v.Get(path)), " ")
		}}
}

func text(path, label, help string, most int, at func(e *directory.Entry) *string) field {
	return field{path: path, label: label, help: help, kind: "text", most: most,
		write: func(e *directory.Entry, v url.Values) { v.Set(path, *at(e)) },
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			s := strings.ReplaceAll(v.Get(path), "\r\n", "\n")
			if strings.TrimSpace(s) != strings.TrimSpace(*at(e)) { // what nobody touched stays to the letter
				*at(e) = strings.TrimSpace(s)
			}
		}}
}

// lines is a list of texts, one a line.
func lines(path, label, help string, at func(e *directory.Entry) *[]string) field {
	return field{path: path, label: label, help: help, kind: "lines",
		write: func(e *directory.Entry, v url.Values) { v.Set(path, strings.Join(*at(e), "\n")) },
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			var out []string
			for s := range strings.Lines(v.Get(path)) {
				if s = strings.Join(strings.Fields(s), " "); s != "" && !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
			*at(e) = out
		}}
}

func one(path, label, help string, l *vocabulary.List, at func(e *directory.Entry) *string) field {
	return field{path: path, label: label, help: help, kind: "one", list: l,
		write: func(e *directory.Entry, v url.Values) { v.Set(path, *at(e)) },
		read:  func(e *directory.Entry, v url.Values, _ func(string, string)) { *at(e) = v.Get(path) }}
}

// many is a list of terms, each with a box; in the order of the vocabulary, but for what is there already.
func many(path, label, help string, l *vocabulary.List, at func(e *directory.Entry) *[]string) field {
	return field{path: path, label: label, help: help, kind: "many", list: l,
		write: func(e *directory.Entry, v url.Values) { v[path] = slices.Clone(*at(e)) },
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			*at(e) = kept(*at(e), v[path])
		}}
}

// kept is what was chosen, in the order in which it stood before.
func kept(before, chosen []string) []string {
	var out []string
	for _, s := range before {
		if slices.Contains(chosen, s) {
			out = append(out, s)
		}
	}
	for _, s := range chosen {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func number(path, label, help string, at func(e *directory.Entry) **int) field {
	return field{path: path, label: label, help: help, kind: "number",
		write: func(e *directory.Entry, v url.Values) {
			if n := *at(e); n != nil {
				v.Set(path, strconv.Itoa(*n))
			}
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			s := strings.TrimSpace(v.Get(path))
			if s == "" {
				*at(e) = nil
				return
			}
			n, err := strconv.Atoi(s)
			if err != nil {
				say(path, "a whole number is needed")
				return
			}
			*at(e) = &n
		}}
}

// declaredOf is a number of what a custodian declares.
func declaredOf(path, label, help string, at func(d *directory.Declared) *int64) field {
	return field{path: path, label: label, help: help, kind: "number", of: isElsewhere,
		write: func(e *directory.Entry, v url.Values) {
			if e.Declared != nil && *at(e.Declared) != 0 {
				v.Set(path, strconv.FormatInt(*at(e.Declared), 10))
			}
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			s := strings.NewReplacer(",", "", " ", "", "\u00a0", "").Replace(v.Get(path))
			if e.Holding == directory.Here || s == "" && e.Declared == nil {
				return
			}
			n, err := strconv.ParseInt(s, 10, 64)
			if s != "" && err != nil {
				say(path, "a whole number is needed")
				return
			}
			if e.Declared == nil {
				e.Declared = &directory.Declared{}
			}
			*at(e.Declared) = n
		}}
}

// declaredAsOf is the day of what a custodian declares.
func declaredAsOf() field {
	const path = "declared.asOf"
	return field{path: path, label: "Counted on", help: "YYYY-MM-DD.", kind: "line", most: 10, of: isElsewhere,
		write: func(e *directory.Entry, v url.Values) {
			if e.Declared != nil {
				v.Set(path, e.Declared.AsOf)
			}
		},
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			s := strings.TrimSpace(v.Get(path))
			if e.Holding == directory.Here || s == "" && e.Declared == nil {
				return
			}
			if e.Declared == nil {
				e.Declared = &directory.Declared{}
			}
			e.Declared.AsOf = s
		}}
}

// more folds fields away.
func more(fields ...field) []field {
	for i := range fields {
		fields[i].more = true
	}
	return fields
}

// dataSets are other data sets that this one has to do with.
func dataSets(path, label, help string, at func(e *directory.Entry) *[]directory.Link) field {
	return rows(path, label, help, at, col("title", "Title", func(r *directory.Link) *string { return &r.Title }), col("url", "Address", func(r *directory.Link) *string { return &r.URL }),
		col("pid", "DOI or other lasting identifier", func(r *directory.Link) *string { return &r.PID }))
}

func isElsewhere(e *directory.Entry) bool { return e.Holding != directory.Here }

// between a code and what it means in a line of diseases.
const codeMeaning = " – "

func diseaseLine(c vocabulary.Code) string { return c.String() + codeMeaning + vocabulary.Label(c) }

// readDiseases reads codes and words, one a line. What is not understood is said, and kept in the form.
func readDiseases(path, text string, say func(path, text string)) []vocabulary.Code {
	var out []vocabulary.Code
	for s := range strings.Lines(text) {
		s, _, _ = strings.Cut(strings.TrimSpace(s), codeMeaning)
		if s == "" {
			continue
		}
		found := directory.ParseDisease(s)
		if len(found) == 0 {
			say(path, "“"+cutAt(s, 60)+"” is neither a code nor a word for one disease that is known here; write a code as ICD-10 C50.4, or choose from the list")
			continue
		}
		for _, c := range found {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

func cutAt(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func codes(path, label, help string, at func(e *directory.Entry) *[]vocabulary.Code) field {
	return field{path: path, label: label, help: help, kind: "codes",
		write: func(e *directory.Entry, v url.Values) {
			all := make([]string, len(*at(e)))
			for i, c := range *at(e) {
				all[i] = diseaseLine(c)
			}
			v.Set(path, strings.Join(all, "\n"))
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			*at(e) = readDiseases(path, v.Get(path), say)
		}}
}

// rows are a list of things with several inputs each; what has none filled in is no row.
func rows[T any](path, label, help string, at func(e *directory.Entry) *[]T, columns ...input[T]) field {
	f := field{path: path, label: label, help: help, kind: "rows",
		write: func(e *directory.Entry, v url.Values) {
			for i := range *at(e) {
				for _, c := range columns {
					c.put(&(*at(e))[i], v, path+"."+strconv.Itoa(i)+"."+c.name)
				}
			}
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			before := *at(e)
			var out []T
			for i := range rowsIn(v, path) {
				var row T
				if i < len(before) {
					row = before[i]
				}
				filled := false
				for _, c := range columns {
					name := path + "." + strconv.Itoa(i) + "." + c.name
					filled = filled || strings.TrimSpace(strings.Join(v[name], "")) != ""
					c.get(&row, v, name, say)
				}
				if filled {
					out = append(out, row)
				}
			}
			*at(e) = out
		}}
	for _, c := range columns {
		f.columns = append(f.columns, field{path: c.name, label: c.label, kind: c.kind, list: c.list, more: c.more})
	}
	return f
}

// maxRows bounds the rows of a form that are read.
const maxRows = 600

// rowsIn is how many rows a form has of a list.
func rowsIn(v url.Values, path string) int {
	n := 0
	for name := range v {
		if rest, ok := strings.CutPrefix(name, path+"."); ok {
			number, _, _ := strings.Cut(rest, ".")
			if k, err := strconv.Atoi(number); err == nil && k >= 0 && k < maxRows {
				n = max(n, k+1)
			}
		}
	}
	return n
}

// input is an input of a row.
type input[T any] struct {
	name, label, kind string
	list              *vocabulary.List
	put               func(row *T, v url.Values, name string)
	get               func(row *T, v url.Values, name string, say func(string, string))
	more              bool // folded away
}

func colMore[T any](name, label string, at func(row *T) *string) input[T] {
	c := col(name, label, at)
	c.more = true
	return c
}

func col[T any](name, label string, at func(row *T) *string) input[T] {
	return input[T]{name: name, label: label, kind: "line", put: func(row *T, v url.Values, n string) { v.Set(n, *at(row)) },
		get: func(row *T, v url.Values, n string, _ func(string, string)) {
			*at(row) = strings.Join(strings.Fields(v.Get(n)), " ")
		}}
}

func colOf[T any](name, label string, l *vocabulary.List, at func(row *T) *string) input[T] {
	c := col(name, label, at)
	c.kind, c.list = "one", l
	return c
}

func colFlag[T any](name, label string, at func(row *T) *bool) input[T] {
	return input[T]{name: name, label: label, kind: "flag", put: func(row *T, v url.Values, n string) {
		if *at(row) {
			v.Set(n, "yes")
		}
	}, get: func(row *T, v url.Values, n string, _ func(string, string)) { *at(row) = v.Get(n) != "" }}
}

func colNumber[T any](name, label string, at func(row *T) **int) input[T] {
	return input[T]{name: name, label: label, kind: "number", put: func(row *T, v url.Values, n string) {
		if k := *at(row); k != nil {
			v.Set(n, strconv.Itoa(*k))
		}
	}, get: func(row *T, v url.Values, n string, say func(string, string)) {
		s := strings.TrimSpace(v.Get(n))
		if s == "" {
			*at(row) = nil
			return
		}
		k, err := strconv.Atoi(s)
		if err != nil {
			say(n, "a whole number is needed")
			return
		}
		*at(row) = &k
	}}
}

// words are a few terms with spaces or commas between: modalities of a timepoint.
func colWords[T any](name, label string, l *vocabulary.List, at func(row *T) *[]string) input[T] {
	return input[T]{name: name, label: label, kind: "line", put: func(row *T, v url.Values, n string) { v.Set(n, strings.Join(*at(row), ", ")) },
		get: func(row *T, v url.Values, n string, say func(string, string)) {
			var out []string
			for _, s := range strings.FieldsFunc(v.Get(n), func(r rune) bool { return r == ',' || r == ';' }) {
				if s = strings.TrimSpace(s); s == "" {
					continue
				}
				t, ok := l.Find(s)
				if !ok {
					say(n, "“"+cutAt(s, 40)+"” is not known here")
					continue
				}
				if !slices.Contains(out, t.ID) {
					out = append(out, t.ID)
				}
			}
			*at(row) = out
		}}
}

// uses are the alternatives of what data may be used for.
func uses() field {
	const path = "use"
	at := func(i int, name string) string { return path + "." + strconv.Itoa(i) + "." + name }
	return field{path: path, label: "What it may be used for", kind: "use",
		write: func(e *directory.Entry, v url.Values) {
			for i, u := range e.DataUse.Alternatives {
				v.Set(at(i, "permission"), u.Permission)
				all := make([]string, len(u.Diseases))
				for k, c := range u.Diseases {
					all[k] = diseaseLine(c)
				}
				v.Set(at(i, "diseases"), strings.Join(all, "\n"))
				for _, m := range u.Modifiers {
					v.Add(at(i, "modifiers"), m.Code)
					if len(m.Values) > 0 {
						v.Set(at(i, m.Code), strings.Join(m.Values, "; "))
					}
				}
			}
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			before := e.DataUse.Alternatives
			var out []directory.Use
			for i := range rowsIn(v, path) {
				permission := v.Get(at(i, "permission"))
				if permission == "" {
					if len(v[at(i, "modifiers")]) > 0 {
						say(at(i, "permission"), "conditions alone permit nothing: choose what it may be used for")
					}
					continue
				}
				var mods []string
				if i < len(before) {
					for _, m := range before[i].Modifiers {
						mods = append(mods, m.Code)
					}
				}
				u := directory.Use{Permission: permission}
				if permission == "DS" {
					u.Diseases = readDiseases(at(i, "diseases"), v.Get(at(i, "diseases")), say)
				}
				for _, code := range kept(mods, v[at(i, "modifiers")]) {
					m := directory.Modifier{Code: code}
					if t, ok := vocabulary.DataUseModifier.Get(code); ok && t.Ref("takes") != "" {
						for s := range strings.SplitSeq(v.Get(at(i, code)), ";") {
							if s = strings.Join(strings.Fields(s), " "); s != "" {
								m.Values = append(m.Values, s)
							}
						}
					}
					u.Modifiers = append(u.Modifiers, m)
				}
				out = append(out, u)
			}
			e.DataUse.Alternatives = out
		}}
}

// sampleRow is a sample set with one of its materials.
type sampleRow struct{ sex, age, donors, material, preservation, temperature string }

// samples are the sample sets of TDCC, a row for each material: rows that follow each other and are of the same people are one set.
func samples() field {
	columns := []field{{path: "sex", label: "Sex", kind: "one", list: vocabulary.Sex}, {path: "age", label: "Age", kind: "one", list: vocabulary.AgeRange},
		{path: "donors", label: "People", kind: "one", list: vocabulary.DonorCount}, {path: "material", label: "Sample", kind: "one", list: vocabulary.MaterialType},
		{path: "preservation", label: "Kept", kind: "one", list: vocabulary.PreservationType}, {path: "temperature", label: "At", kind: "one", list: vocabulary.StorageTemperature}}
	const path = "sampleSets"
	return field{path: path, label: "Samples of the same people", kind: "rows", columns: columns, help: "How many people of which sex and age gave which samples, roughly. A row for each kind of sample.",
		write: func(e *directory.Entry, v url.Values) {
			i := 0
			put := func(r sampleRow) {
				for k, s := range []string{r.sex, r.age, r.donors, r.material, r.preservation, r.temperature} {
					v.Set(path+"."+strconv.Itoa(i)+"."+columns[k].path, s)
				}
				i++
			}
			for _, s := range e.SampleSets {
				if len(s.Materials) == 0 {
					put(sampleRow{sex: s.Sex, age: s.AgeBand, donors: s.Donors})
				}
				for _, m := range s.Materials {
					put(sampleRow{s.Sex, s.AgeBand, s.Donors, m.Type, m.Preservation, m.Temperature})
				}
			}
		},
		read: func(e *directory.Entry, v url.Values, _ func(string, string)) {
			var out []directory.SampleSet
			for i := range rowsIn(v, path) {
				get := func(name string) string { return v.Get(path + "." + strconv.Itoa(i) + "." + name) }
				r := sampleRow{get("sex"), get("age"), get("donors"), get("material"), get("preservation"), get("temperature")}
				if r == (sampleRow{}) {
					continue
				}
				if k := len(out); k == 0 || out[k-1].Sex != r.sex || out[k-1].AgeBand != r.age || out[k-1].Donors != r.donors {
					out = append(out, directory.SampleSet{Sex: r.sex, AgeBand: r.age, Donors: r.donors})
				}
				if r.material != "" || r.preservation != "" || r.temperature != "" {
					last := &out[len(out)-1]
					last.Materials = append(last.Materials, directory.Material{Type: r.material, Preservation: r.preservation, Temperature: r.temperature})
				}
			}
			e.SampleSets = out
		}}
}

// magnifications are powers of objectives with commas between.
func magnifications() field {
	return field{path: "magnifications", label: "Power of the objective", help: "20, 40", kind: "line",
		write: func(e *directory.Entry, v url.Values) {
			var all []string
			for _, m := range e.Magnifications {
				all = append(all, strconv.FormatFloat(m, 'g', -1, 64))
			}
			v.Set("magnifications", strings.Join(all, ", "))
		},
		read: func(e *directory.Entry, v url.Values, say func(string, string)) {
			var out []float64
			for _, s := range strings.FieldsFunc(v.Get("magnifications"), func(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == 'x' }) {
				f, err := strconv.ParseFloat(s, 64)
				if err != nil {
					say("magnifications", "numbers are needed: 20, 40")
					return
				}
				out = append(out, f)
			}
			e.Magnifications = out
		}}
}

// parts is the form, in the order in which somebody knows the answers.
var parts = []part{
	{"what", "What it is", "What a list shows first.", slices.Concat([]field{
		line("title", "Title", "What people call it, and cite.", 150, func(e *directory.Entry) *string { return &e.Title }),
		line("acronym", "Short name", "", 40, func(e *directory.Entry) *string { return &e.Acronym }),
		text("abstract", "In a sentence or two", "People decide by these lines whether to read on.", 255, func(e *directory.Entry) *string { return &e.Abstract }),
		text("description", "At length", "How it came about, what was done with the images, what is known of the people. Plain text in paragraphs; nothing about single patients.", 10_000, func(e *directory.Entry) *string { return &e.Description }),
		lines("keywords", "Other words for it", "One a line.", func(e *directory.Entry) *[]string { return &e.Keywords }),
		one("status", "Does it still grow?", "", vocabulary.CollectionStatus, func(e *directory.Entry) *string { return &e.Status }),
		many("types", "What kind of collection", "", vocabulary.CollectionType, func(e *directory.Entry) *[]string { return &e.Types }),
	}, more(
		lines("aliases", "Other names", "One a line.", func(e *directory.Entry) *[]string { return &e.Aliases }),
		line("origin", "Its identifier elsewhere", "What another register calls it: an address, DOI or UUID.", 500, func(e *directory.Entry) *string { return &e.Origin }),
		line("language", "Language of the data", "Two letters: cy. Empty: English.", 2, func(e *directory.Entry) *string { return &e.Language }),
		many("purposes", "Why it was gathered", "", vocabulary.Purpose, func(e *directory.Entry) *[]string { return &e.Purposes }),
		many("settings", "Where it came about", "", vocabulary.Setting, func(e *directory.Entry) *[]string { return &e.Settings }),
		many("inclusion", "What decided who is in it", "", vocabulary.Inclusion, func(e *directory.Entry) *[]string { return &e.Inclusion }),
		one("reason", "Why it is registered", "", vocabulary.RegistrationReason, func(e *directory.Entry) *string { return &e.Reason }),
	))},
	{"who", "Who keeps it", "A request goes to an organisation; questions go to a mailbox that outlives people.", slices.Concat([]field{
		line("custodian.name", "Organisation", "", 150, func(e *directory.Entry) *string { return &e.Custodian.Name }),
		one("custodian.kind", "Of which kind", "", vocabulary.OrganisationKind, func(e *directory.Entry) *string { return &e.Custodian.Kind }),
		line("custodian.country", "Country", "Two capitals: GB.", 2, func(e *directory.Entry) *string { return &e.Custodian.Country }),
		line("custodian.ror", "ROR identifier", "https://ror.org/ and nine letters and digits.", 60, func(e *directory.Entry) *string { return &e.Custodian.ROR }),
		line("contact.email", "E-mail for questions", "An office's rather than a person's.", 254, func(e *directory.Entry) *string { return &e.Contact.Email }),
		line("contact.url", "Or a form", "https://...", 1000, func(e *directory.Entry) *string { return &e.Contact.URL }),
		line("contact.name", "Who answers", "The name of the team.", 150, func(e *directory.Entry) *string { return &e.Contact.Name }),
		line("lead.name", "Who leads it", "", 150, func(e *directory.Entry) *string { return &e.Lead.Name }),
		rows("networks", "Belongs to", "Trial groups, consortia, federations.", func(e *directory.Entry) *[]directory.Network { return &e.Networks },
			col("name", "Name", func(r *directory.Network) *string { return &r.Name }), col("url", "Address", func(r *directory.Network) *string { return &r.URL })),
	}, more(
		line("custodian.url", "The organisation's page", "https://...", 1000, func(e *directory.Entry) *string { return &e.Custodian.URL }),
		line("custodian.ods", "NHS organisation code", "Of the Organisation Data Service: RJ1.", 20, func(e *directory.Entry) *string { return &e.Custodian.ODS }),
		line("lead.orcid", "Lead's ORCID", "0000-0002-1825-0097", 19, func(e *directory.Entry) *string { return &e.Lead.ORCID }),
		line("lead.institution", "Lead's institution", "", 150, func(e *directory.Entry) *string { return &e.Lead.Institution }),
	))},
	{"held", "What is in it", "People search by disease and kind of image before anything else.", slices.Concat([]field{
		many("domains", "Scans, slides or microscopy", "", vocabulary.Domain, func(e *directory.Entry) *[]string { return &e.Domains }),
		many("modalities", "Kinds of image", "", vocabulary.Modality, func(e *directory.Entry) *[]string { return &e.Modalities }),
		codes("conditions", "Diseases", "One a line, as a code or in words: “bowel cancer”, “ICD-10 C50.4”, “8500/3”, “254837009”.", func(e *directory.Entry) *[]vocabulary.Code { return &e.Conditions }),
		many("bodySites", "Parts of the body", "", vocabulary.BodySite, func(e *directory.Entry) *[]string { return &e.BodySites }),
		many("stages", "Stages", "", vocabulary.Stage, func(e *directory.Entry) *[]string { return &e.Stages }),
		many("sexes", "Sex of the people", "", vocabulary.Sex, func(e *directory.Entry) *[]string { return &e.Sexes }),
		number("ageMin", "Youngest", "Years.", func(e *directory.Entry) **int { return &e.AgeMin }),
		number("ageMax", "Oldest", "Years.", func(e *directory.Entry) **int { return &e.AgeMax }),
		many("ageBands", "Ages", "", vocabulary.AgeRange, func(e *directory.Entry) *[]string { return &e.AgeBands }),
		declaredOf("declared.people", "How many people", "Fewer than ten are shown as 0–9; other numbers are rounded to ten.", func(d *directory.Declared) *int64 { return &d.People }),
		declaredOf("declared.studies", "How many studies", "", func(d *directory.Declared) *int64 { return &d.Studies }),
		declaredOf("declared.images", "How many images", "", func(d *directory.Declared) *int64 { return &d.Images }),
		declaredAsOf(),
		line("start", "Images from", "YYYY, YYYY-MM or YYYY-MM-DD.", 10, func(e *directory.Entry) *string { return &e.Start }),
		line("end", "Until", "Empty: still growing.", 10, func(e *directory.Entry) *string { return &e.End }),
		one("frequency", "How often it is updated", "", vocabulary.Frequency, func(e *directory.Entry) *string { return &e.Frequency }),
		one("followUp", "How long people are followed", "", vocabulary.FollowUp, func(e *directory.Entry) *string { return &e.FollowUp }),
		rows("timepoints", "When a person is imaged", "In order; weeks count from the first.", func(e *directory.Entry) *[]directory.Timepoint { return &e.Timepoints },
			col("name", "Name", func(r *directory.Timepoint) *string { return &r.Name }), colNumber("week", "Week", func(r *directory.Timepoint) **int { return &r.Week }),
			colWords("modalities", "Kinds of image", vocabulary.Modality, func(r *directory.Timepoint) *[]string { return &r.Modalities })),
		lines("spatial", "Where the people were recruited", "One place a line.", func(e *directory.Entry) *[]string { return &e.Spatial }),
		lines("scanners", "Machines", "Maker and model, one a line.", func(e *directory.Entry) *[]string { return &e.Scanners }),
		many("stains", "Stains", "", vocabulary.Stain, func(e *directory.Entry) *[]string { return &e.Stains }),
		magnifications(),
	}, more(
		one("contrast", "Contrast media used", "", vocabulary.Ternary, func(e *directory.Entry) *string { return &e.Contrast }),
		many("standards", "Standards that the data follows", "", vocabulary.DataModel, func(e *directory.Entry) *[]string { return &e.Standards }),
		lines("formats", "Formats", "Media types, one a line: application/dicom.", func(e *directory.Entry) *[]string { return &e.Formats }),
	))},
	{"use", "What it may be used for", "Said once here, it is matched with each request in a second.", []field{
		uses(),
		many("dataUse.restrictions", "What consent does not cover", "", vocabulary.ConsentRestriction, func(e *directory.Entry) *[]string { return &e.DataUse.Restrictions }),
		text("dataUse.note", "In your own words", "", 2000, func(e *directory.Entry) *string { return &e.DataUse.Note }),
	}},
	{"access", "How to get it", "", []field{
		one("access.condition", "May researchers apply?", "", vocabulary.AccessCondition, func(e *directory.Entry) *string { return &e.Access.Condition }),
		one("access.service", "How they get at it", "", vocabulary.AccessService, func(e *directory.Entry) *string { return &e.Access.Service }),
		one("access.leadTime", "How long a request takes", "", vocabulary.DeliveryLeadTime, func(e *directory.Entry) *string { return &e.Access.LeadTime }),
		lines("access.jurisdiction", "Under the law of", "One a line: GB, GB-SCT.", func(e *directory.Entry) *[]string { return &e.Access.Jurisdiction }),
		line("access.controller", "Controller of the data", "", 500, func(e *directory.Entry) *string { return &e.Access.Controller }),
		line("access.processor", "Processor", "", 500, func(e *directory.Entry) *string { return &e.Access.Processor }),
		one("access.legalBasis", "On what basis", "", vocabulary.LegalBasis, func(e *directory.Entry) *string { return &e.Access.LegalBasis }),
		text("access.how", "How to ask", "", 5000, func(e *directory.Entry) *string { return &e.Access.How }),
		text("access.cost", "What it costs", "", 5000, func(e *directory.Entry) *string { return &e.Access.Cost }),
		text("access.rights", "The conditions", "Their address, or their text.", 5000, func(e *directory.Entry) *string { return &e.Access.Rights }),
	}},
	{"other", "What else there is", "Images with outcomes and treatment answer far more questions.", slices.Concat([]field{
		rows("associatedData", "Other data about the same people", "", func(e *directory.Entry) *[]directory.AssociatedData { return &e.AssociatedData },
			colOf("type", "Data", vocabulary.AssociatedDataType, func(r *directory.AssociatedData) *string { return &r.Type }),
			colOf("leadTime", "Until somebody has it", vocabulary.AssociatedDataTimeframe, func(r *directory.AssociatedData) *string { return &r.LeadTime }),
			col("note", "Note", func(r *directory.AssociatedData) *string { return &r.Note })),
	}, more(
		samples(),
		many("materials", "Kinds of sample", "", vocabulary.MaterialType, func(e *directory.Entry) *[]string { return &e.Materials }),
		dataSets("linkable", "Can be linked with", "Other data sets about the same people.", func(e *directory.Entry) *[]directory.Link { return &e.Linkable }),
		dataSets("derivedFrom", "Was made from", "Data sets that it was taken or computed from.", func(e *directory.Entry) *[]directory.Link { return &e.DerivedFrom }),
	))},
	{"credit", "Approvals, money and credit", "", []field{
		rows("ethics", "Approvals", "", func(e *directory.Entry) *[]directory.Ethics { return &e.Ethics },
			col("committee", "Committee", func(r *directory.Ethics) *string { return &r.Committee }), col("rec", "REC reference", func(r *directory.Ethics) *string { return &r.REC }),
			col("iras", "IRAS", func(r *directory.Ethics) *string { return &r.IRAS }), col("cag", "CAG", func(r *directory.Ethics) *string { return &r.CAG }),
			col("htaLicence", "HTA licence", func(r *directory.Ethics) *string { return &r.HTALicence }), col("expires", "Until", func(r *directory.Ethics) *string { return &r.Expires })),
		rows("funding", "Grants", "", func(e *directory.Entry) *[]directory.Grant { return &e.Funding },
			col("funder", "Funder", func(r *directory.Grant) *string { return &r.Funder }), col("number", "Number", func(r *directory.Grant) *string { return &r.Number }),
			col("title", "Title", func(r *directory.Grant) *string { return &r.Title }), col("start", "From", func(r *directory.Grant) *string { return &r.Start }),
			col("end", "To", func(r *directory.Grant) *string { return &r.End }),
			colMore("ror", "Funder's ROR identifier", func(r *directory.Grant) *string { return &r.ROR }), colMore("lead.name", "Who leads it", func(r *directory.Grant) *string { return &r.Lead.Name }),
			colMore("lead.orcid", "Lead's ORCID", func(r *directory.Grant) *string { return &r.Lead.ORCID }), colMore("lead.institution", "Lead's institution", func(r *directory.Grant) *string { return &r.Lead.Institution }),
			colMore("scope", "What it is to bring", func(r *directory.Grant) *string { return &r.Scope }), colMore("reference", "The funder's page of it", func(r *directory.Grant) *string { return &r.Reference })),
		line("credit", "How to cite it", "", 1000, func(e *directory.Entry) *string { return &e.Credit }),
		line("doi", "Its DOI", "10.1234/abc", 200, func(e *directory.Entry) *string { return &e.DOI }),
		line("url", "Its own page", "https://...", 1000, func(e *directory.Entry) *string { return &e.URL }),
		rows("publications", "Papers", "", func(e *directory.Entry) *[]directory.Publication { return &e.Publications },
			col("doi", "DOI", func(r *directory.Publication) *string { return &r.DOI }), col("title", "Title", func(r *directory.Publication) *string { return &r.Title }),
			colFlag("uses", "It used the collection", func(r *directory.Publication) *bool { return &r.Uses })),
	}},
}

// valuesOf is an entry as the form shows it.
func valuesOf(e *directory.Entry) url.Values {
	v := url.Values{}
	for _, p := range parts {
		for _, f := range p.fields {
			f.write(e, v)
		}
	}
	return v
}

// readEntry is an entry changed by what a form says; what the form does not ask for stays. What could not be read is told by the name of its input.
func readEntry(e directory.Entry, v url.Values) (directory.Entry, map[string]string) {
	problems := map[string]string{}
	say := func(path, text string) {
		if problems[path] == "" {
			problems[path] = text
		}
	}
	for _, p := range parts {
		for _, f := range p.fields {
			f.read(&e, v, say)
		}
	}
	return e, problems
}
