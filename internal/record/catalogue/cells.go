package catalogue

import (
	"context"
	"database/sql"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Person is a subject as far as it is counted: its studies with something admitted or released. What is received, held, in conflict or withdrawn is nobody's
// business but the stewards', and counts nowhere.
type Person struct {
	Subject subject.ID
	Sex     string // Patient's Sex of the first study that has one: M, F, O
	Studies []PersonStudy
}

// PersonStudy is one of a person's studies.
type PersonStudy struct {
	Date       string // YYYYMMDD, shifted; may be empty
	Age        string // Patient's Age (PS3.5 AS), 057Y; may be empty
	Ethnic     string // Ethnic Group, as it is kept; may be empty
	Modalities []string
	Instances  int64 // admitted or released
	Released   bool  // some of them are released
}

// EachPerson gives the people of a collection who count, each once, with their studies in order of date: one pass over the collection's studies.
// The Person is valid until do returns.
func (r *Record) EachPerson(ctx context.Context, c collection.ID, do func(*Person) error) error {
	var p Person
	var last StudyID
	flush := func() error {
		if len(p.Studies) == 0 {
			return nil
		}
		return do(&p)
	}
	err := forRows(r.reader(ctx), `SELECT s.subject, s.id, s.sex, s.study_date, s.attributes, s.admitted, s.released, COALESCE(p.value, '')
		FROM study s LEFT JOIN study_part p ON p.study = s.id AND p.what = ? AND p.admitted + p.released > 0
		WHERE s.collection = ? AND s.admitted + s.released > 0 ORDER BY s.subject, s.study_date, s.id`, []any{int64(partModality), string(c)}, func(rows *sql.Rows) error {
		var id subject.ID
		var study StudyID
		var sex, date, attributes, modality string
		var admitted, released int64
		if err := rows.Scan(&id, &study, &sex, &date, &attributes, &admitted, &released, &modality); err != nil {
			return err
		}
		if id != p.Subject {
			if err := flush(); err != nil {
				return err
			}
			p = Person{Subject: id, Studies: p.Studies[:0]}
			last = 0
		}
		if study != last {
			last = study
			p.Studies = append(p.Studies, PersonStudy{Date: date, Age: ageIn(attributes), Ethnic: textIn(attributes, "00102160"), Instances: admitted + released, Released: released > 0})
		}
		if p.Sex == "" {
			p.Sex = sex
		}
		if modality != "" {
			s := &p.Studies[len(p.Studies)-1]
			s.Modalities = append(s.Modalities, modality)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// ageIn is Patient's Age (0010,1010) out of a study's further attributes, without decoding the others: a million studies are read for a count.
func ageIn(attributes string) string {
	age := textIn(attributes, "00101010")
	if len(age) != 4 {
		return ""
	}
	return age
}

// textIn is the first value of an attribute out of a DICOM JSON object, as it is written there.
func textIn(attributes, tag string) string {
	_, rest, ok := strings.Cut(attributes, `"`+tag+`":`)
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "}")
	_, rest, _ = strings.Cut(rest, `["`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// EachDevice gives the maker and model of every device that made something of a person who counts, as "maker, model": each of a person's devices once or more often.
func (r *Record) EachDevice(ctx context.Context, c collection.ID, do func(who subject.ID, device string) error) error {
	return forRows(r.reader(ctx), `SELECT s.subject, e.attributes FROM series e JOIN study s ON s.id = e.study
		WHERE s.collection = ? AND e.admitted + e.released > 0 ORDER BY s.subject, e.id`, []any{string(c)}, func(rows *sql.Rows) error {
		var id subject.ID
		var attributes string
		if err := rows.Scan(&id, &attributes); err != nil {
			return err
		}
		maker, model := textIn(attributes, "00080070"), textIn(attributes, "00081090")
		if maker == "" && model == "" {
			return nil
		}
		return do(id, maker+", "+model)
	})
}
