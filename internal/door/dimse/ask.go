package dimse

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// levels are those of the two information models (PS3.4 C.6.1, C.6.2), from the top down.
var levels = []struct {
	name   string
	level  catalogue.Level
	unique dicom.Tag
}{
	{"PATIENT", catalogue.Patients, dicom.TagPatientID},
	{"STUDY", catalogue.Studies, dicom.TagStudyInstanceUID},
	{"SERIES", catalogue.Series, dicom.TagSeriesInstanceUID},
	{"IMAGE", catalogue.Instances, dicom.TagSOPInstanceUID},
}

// patientRoot are the SOP classes of the Patient Root model; the others are of the Study Root.
var patientRoot = map[string]bool{network.PatientRootFindUID: true, network.PatientRootMoveUID: true, network.PatientRootGetUID: true}

// identifier is what a peer asks for, read as far as C-FIND and C-MOVE have in common.
type identifier struct {
	data   *dicom.Dataset
	at     int                    // index into levels
	unique map[dicom.Tag][]string // the unique keys that are there, down to the level
}

// mistake is an answer to an identifier that makes no sense. It names attributes and never their values.
func mistake(code uint16, why string, at ...dicom.Tag) *network.Status {
	return &network.Status{Code: code, Comment: why, Offending: at}
}

// identifierLimits bound what an identifier is made of.
var identifierLimits = dicom.Limits{Depth: 8, Elements: 20_000}

// readIdentifier reads an identifier and checks its levels: relational queries are not negotiated, so each level above has its unique key, with one value (PS3.4
// C.4.1.2.1).
func readIdentifier(op *network.Operation) (*identifier, *network.Status) {
	ts, ok := dicom.LookupTransferSyntax(op.TransferSyntaxUID)
	if !ok {
		return nil, mistake(network.StatusCannotUnderstand, "unknown transfer syntax")
	}
	d, err := dicom.ParseDataset(op.Identifier, ts, identifierLimits)
	if err != nil {
		return nil, mistake(network.StatusCannotUnderstand, "the identifier cannot be read")
	}
	x := &identifier{data: d, at: -1, unique: map[dicom.Tag][]string{}}
	name := d.String(dicom.TagQueryRetrieveLevel)
	for i, l := range levels {
		if l.name == name {
			x.at = i
		}
	}
	switch {
	case x.at < 0:
		return nil, mistake(network.StatusClassMismatch, "the level is none of PATIENT, STUDY, SERIES, IMAGE", dicom.TagQueryRetrieveLevel)
	case x.at == 0 && !patientRoot[op.SOPClassUID]:
		return nil, mistake(network.StatusClassMismatch, "the study root has no level PATIENT", dicom.TagQueryRetrieveLevel)
	}
	top := 1
	if patientRoot[op.SOPClassUID] {
		top = 0
	}
	for i := top; i <= x.at; i++ {
		t := levels[i].unique
		if k := d.Find(t); k >= 0 {
			for _, v := range d.Strings(k) {
				if v != "" {
					x.unique[t] = append(x.unique[t], v)
				}
			}
		}
		if i < x.at && (len(x.unique[t]) != 1 || t != dicom.TagPatientID && strings.ContainsAny(x.unique[t][0], "*?")) {
			return nil, mistake(network.StatusClassMismatch, "the unique key of a level above is missing, or not a single value", t)
		}
	}
	if i := d.Duplicate(); i >= 0 {
		return nil, mistake(network.StatusClassMismatch, "an attribute is there twice")
	}
	return x, nil
}

// question is a C-FIND.
type question struct {
	*identifier
	query       *catalogue.Query
	fields      []dicom.Tag // to be returned, of those that are known here
	steps       []dicom.Tag // of the items of the Request Attributes Sequence
	unsupported bool        // a key is neither matched nor returned here
}

// control are the elements of an identifier that are no keys.
func control(t dicom.Tag) bool {
	return t.Element() == 0 || slices.Contains([]dicom.Tag{dicom.TagSpecificCharacterSet, dicom.TagQueryRetrieveLevel, dicom.TagQueryRetrieveView}, t)
}

// parseQuestion reads the keys of a C-FIND, which are matched as QIDO-RS does, by the same code.
func parseQuestion(op *network.Operation, agreed negotiated) (*question, *network.Status) {
	x, refused := readIdentifier(op)
	if refused != nil {
		return nil, refused
	}
	q := &question{identifier: x, query: catalogue.NewQuery(levels[x.at].level)}
	q.query.Fuzzy, q.query.Apart = agreed.fuzzy, !agreed.combined
	for i := range x.data.Children(dicom.Root) {
		t := x.data.At(i).Tag
		if control(t) {
			continue
		}
		var refused *network.Status
		if x.data.At(i).IsSequence() || x.data.VR(i) == dicom.VRSQ {
			refused = q.sequence(i, t)
		} else {
			refused = q.key(i, t)
		}
		if refused != nil {
			return nil, refused
		}
	}
	return q, nil
}

func (q *question) key(i int, t dicom.Tag) *network.Status {
	value := keyValue(q.data, i)
	matched, err := q.query.Match(t.Hex(), value)
	if err != nil {
		return mistake(network.StatusClassMismatch, "a key has a value that its attribute cannot be matched with", t)
	}
	known := q.known(t)
	if known {
		q.fields = append(q.fields, t)
	}
	if !known || !matched && strings.Trim(value, " *") != "" {
		q.unsupported = q.unsupported || t != dicom.TagTimezoneOffsetFromUTC
	}
	return nil
}

// keyValue is a key as matching reads it: text, or numbers as text.
func keyValue(d *dicom.Dataset, i int) string {
	if d.VR(i).IsText() {
		return strings.Trim(d.Text(i), " \x00")
	}
	var s []string
	for _, n := range d.Ints(i) {
		s = append(s, strconv.FormatInt(n, 10))
	}
	return strings.Join(s, `\`)
}

// sequence reads a key that is a sequence: one item, whose keys have to match in the same item (PS3.4 C.2.2.2.6).
func (q *question) sequence(i int, t dicom.Tag) *network.Status {
	items := slices.Collect(q.data.Children(i))
	if len(items) > 1 {
		return mistake(network.StatusClassMismatch, "a sequence to be matched has more than one item", t)
	}
	if q.known(t) {
		q.fields = append(q.fields, t)
	} else {
		q.unsupported = true
	}
	for _, item := range items {
		for k := range q.data.Children(item) {
			member := q.data.At(k).Tag
			value := ""
			if !q.data.At(k).IsSequence() {
				value = keyValue(q.data, k)
			}
			matched, err := q.query.Match(t.Hex()+"."+member.Hex(), value)
			if err != nil {
				return mistake(network.StatusClassMismatch, "a key has a value that its attribute cannot be matched with", t)
			}
			if !matched {
				q.unsupported = true
			} else if t == dicom.TagRequestAttributesSequence {
				q.steps = append(q.steps, member)
			}
		}
	}
	return nil
}

// known reports whether an attribute is returned at the level of the question.
func (q *question) known(t dicom.Tag) bool {
	if c, ok := columns[t]; ok {
		return c.level <= levels[q.at].level && (c.only == 0 || c.only == levels[q.at].level)
	}
	study, series := describes(t)
	return study && levels[q.at].level >= catalogue.Patients || series && levels[q.at].level >= catalogue.Series
}

// sorted are the fields in order, each once, with the unique keys of the level and those above.
func (q *question) sorted(root bool) []dicom.Tag {
	all := slices.Clone(q.fields)
	for i := 0; i <= q.at; i++ {
		if i > 0 || root {
			all = append(all, levels[i].unique)
		}
	}
	slices.SortFunc(all, func(a, b dicom.Tag) int { return cmp.Compare(a, b) })
	return slices.Compact(all)
}
