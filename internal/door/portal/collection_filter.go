package portal

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// studyFilter narrows the studies of a collection: what was asked for, as it was written.
type studyFilter struct{ Modality, Since, Until, Subject, State string }

// studyList is the filter of a collection's studies with what it offers and finds.
type studyList struct {
	studyFilter
	Filtered   bool
	Wrong      string // what could not be read; nothing is found then
	Tally      catalogue.StudyTally
	Modalities []catalogue.ModalityTally // to choose from, counted under the other conditions; none where there are too many studies to count
	States     []standing                // to choose from; none where there is no choice
	Address    string                    // of all studies
}

// standing is where the objects of a study can stand, in the words of the page.
type standing struct{ Name, Words string }

// standings are the states that a search finds.
var standings = []standing{
	{policy.Released.String(), "published"},
	{policy.Admitted.String(), "not published yet"},
	{policy.Received.String(), "still being checked"},
}

func readStudyFilter(q url.Values) studyFilter {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	return studyFilter{strings.ToUpper(get("modality")), get("since"), get("until"), get("subject"), get("state")}
}

// query is the filter as the catalogue asks it, or what of it cannot be read.
func (f studyFilter) query(id collection.ID) (q *catalogue.Query, wrong string) {
	q = catalogue.NewQuery(catalogue.Studies)
	q.Collection = id
	var days [2]string
	for i, written := range []string{f.Since, f.Until} {
		if written == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, written)
		if err != nil {
			return nil, "A day is written as 2026-11-27."
		}
		days[i] = day.Format("20060102")
	}
	if days[0] != "" && days[1] != "" && days[0] > days[1] {
		return nil, "The last day is before the first."
	}
	if f.State != "" {
		st, ok := policy.ParseState(f.State)
		if !ok {
			return nil, "There is no such state."
		}
		q.Holding = st
	}
	conditions := map[string]string{"ModalitiesInStudy": f.Modality, "PatientID": f.Subject}
	if days != [2]string{} {
		conditions["StudyDate"] = days[0] + "-" + days[1]
	}
	for name, value := range conditions {
		if _, err := q.Match(name, value); err != nil {
			return nil, "A modality or a subject cannot be written like this."
		}
	}
	return q, ""
}

// studies finds a page of the studies of a collection, and counts all that the filter finds; more is the address of the next page.
func (d *Door) studies(r *request, id collection.ID) (list studyList, found []*catalogue.Study, more string, err error) {
	list = studyList{studyFilter: readStudyFilter(r.URL.Query()), Address: "/collections/" + string(id)}
	list.Filtered = list.studyFilter != studyFilter{}
	scopes := policy.Scopes(r.caller.Grants, policy.Search, policy.Link{})
	for _, s := range standings {
		st, _ := policy.ParseState(s.Name)
		if slices.ContainsFunc(scopes, func(s policy.Scope) bool {
			return (s.Collection == policy.AllCollections || s.Collection == string(id)) && slices.Contains(s.States, st)
		}) {
			list.States = append(list.States, s)
		}
	}
	if len(list.States) < 2 {
		list.States = nil
	}
	others := list.studyFilter
	others.Modality = ""
	q, wrong := list.query(id)
	if wrong != "" {
		list.Wrong = wrong
		return list, nil, "", nil
	}
	of, _ := others.query(id) // less of what can be read
	all, err := d.Delivery.TallyStudies(r.Context(), r.delivery(), of)
	if err != nil {
		return list, nil, "", err
	}
	list.Tally = all
	if list.Modality != "" {
		if list.Tally, err = d.Delivery.TallyStudies(r.Context(), r.delivery(), q); err != nil {
			return list, nil, "", err
		}
	}
	if !all.Cut {
		list.Modalities = all.Modalities
		if list.Modality != "" && !slices.ContainsFunc(all.Modalities, func(m catalogue.ModalityTally) bool { return m.Modality == list.Modality }) {
			list.Modalities = append(list.Modalities, catalogue.ModalityTally{Modality: list.Modality})
		}
	}
	q.Limit, q.Offset = pageOfStudies, r.offset()
	found, further, err := d.Delivery.SearchStudies(r.Context(), r.delivery(), q)
	if further {
		more = r.withOffset(q.Offset + pageOfStudies)
	}
	return list, found, more, err
}
