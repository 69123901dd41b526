package directory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Bounds of an import.
const (
	MaxImport  = 4 << 20 // bytes
	MaxDrafts  = 2000    // entries of one file
	maxNotes   = 200     // of one entry
	maxNesting = 40      // of JSON
	maxContext = 100     // contexts of JSON-LD: each takes time with the terms of all around it
)

// Imported is what an import made of a description that came from elsewhere: an entry that may be stored as it is, and what was not understood or had to be
// changed. The path of a note is the place in the source, or the entry's field where it begins with "entry.".
type Imported struct {
	ID    ID        `json:"id"` // a proposal, from its name
	Entry Entry     `json:"entry"`
	Notes []Problem `json:"notes,omitempty"`
}

func (d *Imported) note(path, text string) {
	if len(d.Notes) < maxNotes {
		d.Notes = append(d.Notes, Problem{cut(tidy(path), 200), text})
	}
}

// readAll reads a source that is not larger than an import may be.
func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxImport+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxImport {
		return nil, fault.New(fault.TooLarge, "import a description", "", fmt.Sprintf("a file is at most %d bytes", MaxImport))
	}
	return bytes.TrimPrefix(raw, []byte("\ufeff")), nil
}

// readJSON reads one JSON value that is not nested without end.
func readJSON(r io.Reader) (any, error) {
	raw, err := readAll(r)
	if err != nil {
		return nil, err
	}
	depth, inText, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case inText:
			inText, escaped = c != '"', c == '\\'
		case c == '"':
			inText = true
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return nil, fault.New(fault.TooLarge, "import a description", "", fmt.Sprintf("it is nested deeper than %d levels", maxNesting))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fault.New(fault.Invalid, "import a description", "", jsonReason(err))
	}
	return v, nil
}

// ReadJSON reads entries in the form that they are stored in: one, or one with the id that it is to have ({"id": "...", "entry": {...}}), or an array of either. What
// is wrong with an entry is not mended: whoever writes this form means what it says. A field that does not exist is refused.
func ReadJSON(r io.Reader) ([]Imported, error) {
	const attempt = "read directory entries"
	raw, err := readAll(r)
	if err != nil {
		return nil, err
	}
	list := []json.RawMessage{raw}
	if trimmed := bytes.TrimSpace(raw); len(trimmed) > 0 && trimmed[0] == '[' {
		list = nil
		if err := json.Unmarshal(trimmed, &list); err != nil {
			return nil, fault.New(fault.Invalid, attempt, "", jsonReason(err))
		}
	}
	if len(list) > MaxDrafts {
		return nil, fault.New(fault.TooLarge, attempt, "", fmt.Sprintf("a file has at most %d entries", MaxDrafts))
	}
	var out []Imported
	for _, one := range list {
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(one, &keys); err != nil {
			return nil, fault.New(fault.Invalid, attempt, "", jsonReason(err))
		}
		d := Imported{}
		if inner, ok := keys["entry"]; ok {
			for k := range keys {
				if k != "entry" && k != "id" {
					return nil, fault.New(fault.Invalid, attempt, "", "beside an entry there is its id, and nothing else")
				}
			}
			one = inner
			if id, ok := keys["id"]; ok {
				if err := json.Unmarshal(id, &d.ID); err != nil {
					return nil, fault.New(fault.Invalid, attempt, "", jsonReason(err))
				}
			}
		}
		if d.Entry, err = Decode(bytes.NewReader(one)); err != nil {
			return nil, err
		}
		if d.ID == "" {
			d.ID = propose(first(d.Entry.Acronym, d.Entry.Title))
		}
		out = append(out, d)
	}
	return out, nil
}

// tidy makes one line of a text: runs of space are one space, what cannot be printed goes.
func tidy(s string) string {
	s = strings.ToValidUTF8(s, " ")
	return strings.Join(strings.FieldsFunc(strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s), unicode.IsSpace), " ")
}

// tidyParagraphs keeps the ends of lines.
func tidyParagraphs(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, " "), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unprintable(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, s))
}

// finish makes the entry one that may be stored: what is too long is cut, what is wrong is left out, and each has its note.
func (d *Imported) finish() {
	e := &d.Entry
	if n := len([]rune(e.Title)); n > 150 {
		d.note("entry.title", fmt.Sprintf("the title had %d characters and was cut at 150", n))
		e.Title = cut(e.Title, 150)
	}
	if n := len([]rune(e.Abstract)); n > 255 {
		d.note("entry.abstract", fmt.Sprintf("the abstract had %d characters and was cut at 255; the whole stands in the description", n))
		if !strings.Contains(e.Description, e.Abstract) {
			e.Description = strings.TrimSpace(e.Abstract + "\n\n" + e.Description)
		}
		e.Abstract = cut(e.Abstract, 255)
	}
	if n := len([]rune(e.Description)); n > 10_000 {
		d.note("entry.description", fmt.Sprintf("the description had %d characters and was cut at 10000", n))
		e.Description = cut(e.Description, 10_000)
	}
	for range 10 {
		ps := e.Problems()
		if len(ps) == 0 {
			break
		}
		d.leaveOut(ps)
	}
	if len(e.Problems()) > 0 { // it cannot be mended by leaving out parts
		d.note("entry", "nothing of it could be kept")
		d.Entry = Entry{Holding: e.Holding}
	}
	d.ID = propose(first(d.Entry.Acronym, d.Entry.Title))
}

// leaveOut takes what has a problem out of the entry: the row of a list that it is in, or the field.
func (d *Imported) leaveOut(ps []Problem) {
	raw, err := json.Marshal(d.Entry)
	if err != nil {
		return
	}
	var doc any
	if json.Unmarshal(raw, &doc) != nil {
		return
	}
	var done []string
	for _, p := range slices.Backward(ps) {
		path := p.Path
		if i := strings.LastIndexByte(path, ']'); i >= 0 {
			path = path[:i+1]
		}
		// A use without one of its conditions would allow more than was meant: it goes as a whole.
		if i := strings.IndexByte(path, ']'); strings.HasPrefix(path, "dataUse.alternatives[") && i >= 0 {
			path = path[:i+1]
		}
		if slices.Contains(done, path) {
			continue
		}
		done = append(done, path)
		doc = without(doc, path)
		d.note("entry."+p.Path, "left out: "+p.Text)
	}
	var e Entry
	if raw, err = json.Marshal(doc); err == nil && json.Unmarshal(raw, &e) == nil {
		d.Entry = e
	}
}

// without is a document without what lies at the path: a.b[2].c.
func without(doc any, path string) any {
	if rest, ok := strings.CutPrefix(path, "["); ok {
		number, rest, _ := strings.Cut(rest, "]")
		i, err := strconv.Atoi(number)
		list, ok := doc.([]any)
		switch {
		case err != nil || !ok || i >= len(list):
		case rest == "":
			return slices.Delete(list, i, i+1)
		default:
			list[i] = without(list[i], strings.TrimPrefix(rest, "."))
		}
		return doc
	}
	at := strings.IndexAny(path, ".[")
	key, rest := path, ""
	if at >= 0 {
		key, rest = path[:at], strings.TrimPrefix(path[at:], ".")
	}
	if o, ok := doc.(map[string]any); ok {
		if rest == "" {
			delete(o, key)
		} else if o[key] != nil {
			o[key] = without(o[key], rest)
		}
	}
	return doc
}

// Propose makes an id of the first name that is given.
func Propose(names ...string) ID { return propose(first(names...)) }

// propose makes an id of a name.
func propose(name string) ID {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 48 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return ID(s)
	}
	return "imported"
}

// term finds a term and adds it, once; what is on no list is noted.
func (d *Imported) term(path string, l *vocabulary.List, text string, to *[]string) {
	if text = tidy(text); text == "" {
		return
	}
	t, ok := l.Find(text)
	switch {
	case !ok:
		d.note(path, quoted(text)+" is not known as a term of the list "+l.Name)
	case !slices.Contains(*to, t.ID):
		*to = append(*to, t.ID)
	}
}

// oneTerm finds the term of a field that has one.
func (d *Imported) oneTerm(path string, l *vocabulary.List, text string, to *string) {
	var found []string
	d.term(path, l, text, &found)
	if len(found) == 1 {
		*to = found[0]
	}
}

func quoted(s string) string { return strconv.Quote(cut(s, 80)) }

// disease takes a code with or without its system ("C50", "ICD-10 C50.4", "8500/3", "254837009") or words ("bowel cancer"), which are brought to ICD-10.
func (d *Imported) disease(path, text string, to *[]vocabulary.Code) {
	if text = tidy(text); text == "" {
		return
	}
	found := ParseDisease(text)
	if len(found) == 0 {
		d.note(path, quoted(text)+" is neither a code nor a word for a disease that is known here")
		return
	}
	for _, c := range found {
		if !slices.Contains(*to, c) {
			*to = append(*to, c)
		}
	}
}

// ParseDisease takes a code with or without its system, or words that name one thing; nil: it is not known what is meant.
func ParseDisease(text string) []vocabulary.Code {
	for _, s := range vocabulary.Systems {
		if rest, ok := cutPrefixFold(text, string(s)); ok {
			if c, err := vocabulary.ParseCode(s, strings.TrimLeft(rest, " :")); err == nil {
				return []vocabulary.Code{c}
			}
		}
	}
	for prefix, s := range map[string]vocabulary.System{"ICD10": vocabulary.ICD10, "ICD 10": vocabulary.ICD10, "SNOMED CT": vocabulary.SNOMED,
		"SNOMED": vocabulary.SNOMED, "SCT": vocabulary.SNOMED} {
		if rest, ok := cutPrefixFold(text, prefix); ok {
			if c, err := vocabulary.ParseCode(s, strings.TrimLeft(rest, " :")); err == nil {
				return []vocabulary.Code{c}
			}
		}
	}
	for _, s := range []vocabulary.System{vocabulary.ICD10, vocabulary.Morphology, vocabulary.SNOMED} {
		if c, err := vocabulary.ParseCode(s, text); err == nil {
			return []vocabulary.Code{c}
		}
	}
	// More than a word for one thing, or a misspelt one, is nothing that a program should guess at.
	var out []vocabulary.Code
	for _, c := range vocabulary.Exact(text) {
		switch {
		case c.System == vocabulary.Group:
			out = append(out, vocabulary.Codes(c, vocabulary.ICD10)...)
		case slices.Contains(vocabulary.Systems, c.System):
			out = append(out, c)
		}
	}
	if len(out) > 40 {
		return nil // "cancer" says nothing
	}
	return out
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) && strings.ContainsAny(s[len(prefix):len(prefix)+1], " :") {
		return s[len(prefix):], true
	}
	return s, false
}

// doi takes a DOI out of the ways in which people write one.
func doi(s string) string {
	s = tidy(s)
	for _, p := range []string{"https://doi.org/", "http://doi.org/", "https://dx.doi.org/", "http://dx.doi.org/", "doi:", "DOI:"} {
		s = strings.TrimSpace(strings.TrimPrefix(s, p))
	}
	return s
}

// day is the day of a date with or without a time of the day.
func day(s string) string {
	s = tidy(s)
	if len(s) > 10 && s[10] == 'T' {
		return s[:10]
	}
	return s
}

// domains are what the modalities belong to.
func (e *Entry) domainsOf() []string { return refs(vocabulary.Modality, e.Modalities, "domain") }
