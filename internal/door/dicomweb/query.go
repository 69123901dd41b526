package dicomweb

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// searchRequest is what the query of a search says (PS3.18 8.3.4).
type searchRequest struct {
	as      modelForm
	query   *catalogue.Query
	all     bool               // includefield=all
	fields  map[dicom.Tag]bool // includefield: what is asked for beyond the required attributes; of a path, its sequence
	ignored []string           // attributes of the dictionary that are not matched at this level, as keywords
}

const (
	maxQuery  = 64 << 10 // bytes
	maxParams = 200
)

func badQuery(reason, advice string) error {
	return web.Refuse(http.StatusBadRequest, "read query", reason, advice)
}

// parseQuery reads the query of a request. Nothing of it is repeated in an error but names of the dictionary: it may hold a patient's identifiers.
func parseQuery(raw string, level catalogue.Level) (*searchRequest, error) {
	if len(raw) > maxQuery {
		return nil, badQuery("it is longer than 64 KiB", "Ask in several requests.")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("it is not a query of a URL", "Escape reserved characters by percent signs.")
	}
	if len(values) > maxParams {
		return nil, badQuery("it has more than 200 parameters", "Ask in several requests.")
	}
	s := &searchRequest{query: catalogue.NewQuery(level), fields: map[dicom.Tag]bool{}}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // which mistake is told first does not change from one time to the next
	for _, name := range names {
		if err := s.parameter(name, values[name]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *searchRequest) parameter(name string, v []string) error {
	switch name {
	case "includefield":
		for _, list := range v {
			for field := range strings.SplitSeq(list, ",") {
				if err := s.include(strings.TrimSpace(field)); err != nil {
					return err
				}
			}
		}
		return nil
	case "accept", "charset":
		return nil // read elsewhere
	}
	switch name {
	case "limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching":
		if len(v) > 1 {
			return badQuery("the parameter "+name+" is there twice", "Give it once.")
		}
		return s.control(name, v[0])
	}
	path, text, ok := attributePath(name)
	if !ok {
		return badQuery("a parameter is neither one of PS3.18 8.3.4 nor an attribute of the dictionary", "Name attributes by keyword (PatientID), by tag (00100020), or by a path of these with dots.")
	}
	if len(v) > 1 {
		if e, known := dicom.LookupTag(path[len(path)-1]); !known || e.VR != dicom.VRUI {
			return badQuery("the attribute "+text+" is there twice", "Give it once.")
		}
	}
	value := strings.Join(v, `\`)
	matched, err := s.query.Match(hexPath(path), value)
	if err != nil {
		return err
	}
	if !matched && strings.Trim(value, " *") != "" { // what matches everything is not ignored (PS3.4 C.2.2.2.3)
		s.ignored = append(s.ignored, text)
	}
	if path[0] != 0 { // what is matched is returned (PS3.18 10.6.1.2.3)
		s.fields[path[0]] = true
	}
	return nil
}

func (s *searchRequest) control(name, v string) error {
	switch name {
	case "limit", "offset":
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return badQuery("the parameter "+name+" is no number", "Give a whole number of zero or more.")
		}
		if name == "offset" {
			s.query.Offset = int(n)
			return nil
		}
		if n == 0 {
			return badQuery("the limit is zero", "Give a limit of one or more, or none.")
		}
		s.query.Limit = int(n)
		return nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return badQuery("the parameter "+name+" is neither true nor false", "Write true or false.")
	}
	if name == "fuzzymatching" {
		s.query.Fuzzy = on
	} else if on {
		// Multiple values (of UIDs and codes) and empty values are matched anyway (PS3.4 C.2.2.2.7, C.2.2.2.8).
		return nil
	}
	return nil
}

func (s *searchRequest) include(field string) error {
	switch field {
	case "":
		return nil
	case "all":
		s.all = true
		return nil
	}
	path, _, ok := attributePath(field)
	if !ok {
		return badQuery("includefield names something that is no attribute of the dictionary", "Name attributes by keyword (PatientID), by tag (00100020), or by a path of these with dots; or write all.")
	}
	s.fields[path[0]] = true
	return nil
}

// attributePath reads a keyword, a tag, or a path of these with dots (PS3.18 8.3.4.1): known standard attributes, and private ones by tag. text is the path in
// keywords.
func attributePath(s string) (path []dicom.Tag, text string, ok bool) {
	if len(s) > 200 {
		return nil, "", false
	}
	var names []string
	for part := range strings.SplitSeq(s, ".") {
		t, err := dicom.ParseTag(part)
		if err != nil || len(path) == 8 {
			return nil, "", false
		}
		if _, known := dicom.LookupTag(t); !known && !t.IsPrivate() || t.Group() <= 2 {
			return nil, "", false
		}
		path = append(path, t)
		names = append(names, t.Keyword())
	}
	return path, strings.Join(names, "."), true
}

func hexPath(path []dicom.Tag) string {
	names := make([]string, len(path))
	for i, t := range path {
		names[i] = t.Hex()
	}
	return strings.Join(names, ".")
}

// wants reports whether an attribute beyond the required ones is to be returned.
func (s *searchRequest) wants(t dicom.Tag) bool { return s.all || s.fields[t] }

// mentioned reports whether a DICOM JSON object may have an attribute that is asked for: most are asked for what has a column.
func (s *searchRequest) mentioned(object string) bool {
	for t := range s.fields {
		if strings.Contains(object, t.Hex()) {
			return true
		}
	}
	return false
}

// warnings are the Warning headers of the answer (PS3.18 8.3.4.4, 8.3.4.6).
func (s *searchRequest) warnings(more bool) []string {
	var w []string
	if len(s.ignored) > 0 {
		w = append(w, `299 vitrine "These attributes are not matched here and were ignored: `+strings.Join(s.ignored, ", ")+`"`)
	}
	if more {
		w = append(w, `299 vitrine "There are more results: ask for them with limit and offset"`)
	}
	return w
}
