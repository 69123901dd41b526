package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Comparison is entries side by side.
type Comparison struct {
	Entries []ID
	Groups  []ComparedGroup
}

// ComparedGroup is what belongs together: "People", "Access".
type ComparedGroup struct {
	Title string
	Rows  []ComparedRow
}

// ComparedRow is one thing of every entry.
type ComparedRow struct {
	Name  string
	Cells [][]string // of each entry: its values, none where it says nothing
	Same  bool       // every entry says the same
}

// Compare puts entries side by side, with their published numbers, which may be nil. Rows of which no entry says anything are left out.
func Compare(entries []Stored, numbers []*Numbers) Comparison {
	var c Comparison
	for _, s := range entries {
		c.Entries = append(c.Entries, s.ID)
	}
	group := func(title string, rows ...ComparedRow) {
		rows = slices.DeleteFunc(rows, func(r ComparedRow) bool {
			return !slices.ContainsFunc(r.Cells, func(cell []string) bool { return len(cell) > 0 })
		})
		if len(rows) > 0 {
			c.Groups = append(c.Groups, ComparedGroup{title, rows})
		}
	}
	row := func(name string, of func(e *Entry, n *Numbers) []string) ComparedRow {
		r := ComparedRow{Name: name, Same: true}
		for i := range entries {
			cell := slices.DeleteFunc(slices.Clone(of(&entries[i].Entry, numbers[i])), func(s string) bool { return s == "" })
			r.Cells = append(r.Cells, cell)
			r.Same = r.Same && slices.Equal(cell, r.Cells[0])
		}
		return r
	}
	terms := func(name string, l *vocabulary.List, of func(e *Entry) []string) ComparedRow {
		return row(name, func(e *Entry, _ *Numbers) []string { return labels(l, of(e)) })
	}
	text := func(name string, of func(e *Entry) string) ComparedRow {
		return row(name, func(e *Entry, _ *Numbers) []string { return []string{of(e)} })
	}
	cells := func(name string, d Dimension, f Facet) ComparedRow {
		return row(name, func(_ *Entry, n *Numbers) []string {
			if !n.Tells(d) {
				return nil
			}
			var out []string
			for _, v := range grid[d] {
				if people := n.Cells[d][v]; people >= Few {
					label := FacetLabel(f, v)
					if d == ByDisease {
						label = diseaseName(v)
					}
					out = append(out, label+": "+strconv.FormatInt(people, 10))
				}
			}
			return out
		})
	}
	group("People",
		row("People", func(e *Entry, n *Numbers) []string { return []string{numberText(n, e)} }),
		cells("By sex", BySex, FacetSex), cells("By age", ByAge, FacetAge), cells("By disease", ByDisease, FacetDisease),
		terms("Sexes", vocabulary.Sex, func(e *Entry) []string { return e.Sexes }), terms("Age bands", vocabulary.AgeRange, func(e *Entry) []string { return e.AgeBands }))
	group("Images",
		cells("People by modality", ByModality, FacetModality),
		terms("Domains", vocabulary.Domain, func(e *Entry) []string { return e.Domains }), terms("Modalities", vocabulary.Modality, func(e *Entry) []string { return e.Modalities }),
		terms("Body sites", vocabulary.BodySite, func(e *Entry) []string { return e.BodySites }), terms("Stains", vocabulary.Stain, func(e *Entry) []string { return e.Stains }),
		row("Scanners", func(e *Entry, _ *Numbers) []string { return e.Scanners }),
		row("Timepoints", func(e *Entry, _ *Numbers) []string {
			var out []string
			for _, t := range e.Timepoints {
				out = append(out, t.Name)
			}
			return out
		}))
	group("Disease",
		row("Conditions", func(e *Entry, _ *Numbers) []string {
			var out []string
			for _, code := range e.Conditions {
				out = append(out, vocabulary.Label(code)+" ("+code.String()+")")
			}
			return out
		}),
		terms("Stages", vocabulary.Stage, func(e *Entry) []string { return e.Stages }))
	group("Samples and data",
		terms("Materials", vocabulary.MaterialType, func(e *Entry) []string { return e.Materials }),
		row("Associated data", func(e *Entry, _ *Numbers) []string {
			var out []string
			for _, a := range e.AssociatedData {
				out = append(out, vocabulary.AssociatedDataType.Label(a.Type)+" ("+vocabulary.AssociatedDataTimeframe.Label(a.LeadTime)+")")
			}
			return out
		}),
		terms("Follow-up", vocabulary.FollowUp, func(e *Entry) []string { return []string{e.FollowUp} }))
	group("Access",
		terms("Condition", vocabulary.AccessCondition, func(e *Entry) []string { return []string{e.Access.Condition} }),
		terms("How it is served", vocabulary.AccessService, func(e *Entry) []string { return []string{e.Access.Service} }),
		terms("Lead time", vocabulary.DeliveryLeadTime, func(e *Entry) []string { return []string{e.Access.LeadTime} }),
		text("Cost", func(e *Entry) string { return e.Access.Cost }),
		row("May be used for", func(e *Entry, _ *Numbers) []string {
			var out []string
			for _, u := range e.DataUse.Alternatives {
				var with []string
				for _, m := range u.Modifiers {
					with = append(with, vocabulary.DataUseModifier.Label(m.Code))
				}
				s := vocabulary.DataUsePermission.Label(u.Permission)
				if len(with) > 0 {
					s += ", " + strings.Join(with, ", ")
				}
				out = append(out, s)
			}
			return out
		}),
		terms("Consent restrictions", vocabulary.ConsentRestriction, func(e *Entry) []string { return e.DataUse.Restrictions }),
		terms("Legal basis", vocabulary.LegalBasis, func(e *Entry) []string { return []string{e.Access.LegalBasis} }),
		row("Jurisdiction", func(e *Entry, _ *Numbers) []string { return e.Access.Jurisdiction }))
	group("Who",
		text("Custodian", func(e *Entry) string { return e.Custodian.Name }),
		row("Funding", func(e *Entry, _ *Numbers) []string {
			var out []string
			for _, g := range e.Funding {
				out = append(out, strings.TrimSpace(g.Funder+" "+g.Number))
			}
			return out
		}),
		terms("Status", vocabulary.CollectionStatus, func(e *Entry) []string { return []string{e.Status} }),
		text("From", func(e *Entry) string { return e.Start }), text("To", func(e *Entry) string { return e.End }))
	return c
}

// numberText is the published number of people.
func numberText(n *Numbers, e *Entry) string {
	people := int64(-1)
	switch {
	case n != nil:
		people = n.People
	case e.Declared != nil && e.Declared.People > 0 && e.Holding != Here:
		people = rounded(e.Declared.People)
	}
	switch {
	case people < 0:
		return ""
	case people < Few:
		return "0–9"
	}
	return strconv.FormatInt(people, 10)
}

// diseaseName is what a value of ByDisease is called.
func diseaseName(v string) string {
	switch v {
	case DiseaseOther:
		return "Another disease"
	case DiseaseUnknown:
		return "Not recorded"
	}
	return FacetLabel(FacetDisease, CodeValue(vocabulary.Code{System: vocabulary.Group, Value: v}))
}
