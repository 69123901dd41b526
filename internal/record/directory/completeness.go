package directory

import (
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Gap is something that an entry does not say, and why somebody misses it.
type Gap struct {
	Path   string `json:"path"`   // the field to fill in
	What   string `json:"what"`   // "who answers questions"
	Why    string `json:"why"`    // in plain words, for the person who keeps the collection
	Weight int    `json:"weight"` // of Total
	Needed bool   `json:"needed"` // it cannot be published without
}

// Completeness is how much of what people look for an entry says.
type Completeness struct {
	Score int   `json:"score"` // 0 to 100; 100: nothing is missing
	Gaps  []Gap `json:"gaps"`  // the needed first, then the heaviest
}

// ask is one thing that an entry may say.
type ask struct {
	Gap
	says func(e *Entry) bool
	of   func(e *Entry) bool // of which entries it is asked; nil: of all
}

// Completeness weighs what is said against what could be. What does not apply (diseases of a phantom, a count of what is counted here anyway) is not asked.
func (e *Entry) Completeness() Completeness {
	var c Completeness
	total, have := 0, 0
	for _, a := range asks {
		if a.of != nil && !a.of(e) {
			continue
		}
		total += a.Weight
		if a.says(e) {
			have += a.Weight
		} else {
			c.Gaps = append(c.Gaps, a.Gap)
		}
	}
	slices.SortStableFunc(c.Gaps, func(a, b Gap) int {
		switch {
		case a.Needed && !b.Needed:
			return -1
		case b.Needed && !a.Needed:
			return 1
		}
		return b.Weight - a.Weight
	})
	c.Score = have * 100 / total
	return c
}

// Missing are the gaps that keep an entry from being published.
func (e *Entry) Missing() []Problem {
	var ps []Problem
	for _, g := range e.Completeness().Gaps {
		if g.Needed {
			ps = append(ps, Problem{g.Path, "to be published, it must say " + g.What + ": " + g.Why})
		}
	}
	return ps
}

// people are all entries but those of phantoms and test objects.
func people(e *Entry) bool { return !slices.Contains(e.Types, "quality-control") || len(e.Types) > 1 }

func elsewhere(e *Entry) bool { return e.Holding != Here }

func slides(e *Entry) bool { return slices.Contains(e.Domains, "pathology") }

func asked(weight int, needed bool, path, what, why string, of, says func(e *Entry) bool) ask {
	return ask{Gap{path, what, why, weight, needed}, says, of}
}

var asks = []ask{
	asked(6, true, "title", "what it is called", "a list shows the title first, and people cite it.", nil, func(e *Entry) bool { return e.Title != "" }),
	asked(6, true, "abstract", "in a sentence or two what it is", "people decide by these lines whether to read on.", nil,
		func(e *Entry) bool { return e.Abstract != "" }),
	asked(5, true, "custodian.name", "which organisation keeps it", "a request goes to an organisation, and an agreement is made with one.", nil,
		func(e *Entry) bool { return e.Custodian.Name != "" }),
	asked(5, true, "contact", "who answers questions", "without an address or a form nobody can ask.", nil,
		func(e *Entry) bool { return e.Contact.Email != "" || e.Contact.URL != "" }),
	asked(3, true, "status", "whether it still grows", "somebody who plans a study needs to know if more people will come.", nil,
		func(e *Entry) bool { return e.Status != "" }),
	asked(3, true, "types", "what kind of collection it is", "a trial, a screening programme and routine care answer different questions.", nil,
		func(e *Entry) bool { return len(e.Types) > 0 }),
	asked(3, true, "domains", "whether it holds scans, slides or microscopy", "it decides who will find it at all.", nil,
		func(e *Entry) bool { return len(e.Domains) > 0 }),
	asked(5, true, "modalities", "by what kind of machine the images were made", "most people search by CT, MRI or slide first.", nil,
		func(e *Entry) bool { return len(e.Modalities) > 0 }),
	asked(4, true, "bodySites", "which part of the body is seen", "a model for lungs learns nothing from knees.", people,
		func(e *Entry) bool { return len(e.BodySites) > 0 }),
	asked(6, true, "conditions", "which diseases the people have", "disease is what nearly every search begins with.", people,
		func(e *Entry) bool { return len(e.Conditions) > 0 }),
	asked(3, true, "sexes", "of which sex the people are", "results from one sex may not hold for another, and many diseases are of one only.", people,
		func(e *Entry) bool { return len(e.Sexes) > 0 }),
	asked(5, true, "access.condition", "whether researchers may apply", "otherwise people ask in vain, or do not ask.", nil,
		func(e *Entry) bool { return e.Access.Condition != "" }),
	asked(4, true, "access.service", "how an allowed researcher gets at it",
		"downloading and working in a secure environment need different plans and money.", nil,
		func(e *Entry) bool { return e.Access.Service != "" }),
	asked(3, true, "access.jurisdiction", "under which country's law it is", "it decides from where the data may be used.", nil,
		func(e *Entry) bool { return len(e.Access.Jurisdiction) > 0 }),
	asked(3, true, "access.controller", "who is the data's controller", "the law asks for it, and the agreement names it.", nil,
		func(e *Entry) bool { return e.Access.Controller != "" }),
	asked(3, true, "access.legalBasis", "on what basis it may be used for research",
		"consent, an approval without it and anonymous data allow different things.", nil,
		func(e *Entry) bool { return e.Access.LegalBasis != "" }),
	asked(6, true, "dataUse.alternatives", "what it may be used for",
		"a use can be matched with a request in a second; otherwise a committee does it by hand.", nil,
		func(e *Entry) bool { return len(e.DataUse.Alternatives) > 0 }),

	asked(1, true, "collection", "which collection here it describes", "the images and the counts come from there.",
		func(e *Entry) bool { return e.Holding == Here },
		func(e *Entry) bool { return e.Collection != "" }),
	asked(1, true, "peer", "which peer told of it", "a reader must know whose word it is.", func(e *Entry) bool { return e.Holding == Peer },
		func(e *Entry) bool { return e.Peer != "" }),

	asked(4, false, "description", "at length what it holds and how it came about",
		"the questions answered here are those that nobody has to write to you about.", nil,
		func(e *Entry) bool { return len(e.Description) >= 200 }),
	asked(4, false, "ageBands", "how old the people are", "children and older people differ; many studies take one group only.", people,
		func(e *Entry) bool { return len(e.AgeBands) > 0 || e.AgeMin != nil || e.AgeMax != nil }),
	asked(4, false, "declared.people", "how many people it has", "a study needs enough of them; without a number it is passed over.", elsewhere,
		func(e *Entry) bool { return e.Declared != nil && e.Declared.People > 0 || len(e.SampleSets) > 0 }),
	asked(3, false, "associatedData", "what other data there is about the same people", "images with outcomes and treatment answer far more questions.", people,
		func(e *Entry) bool { return len(e.AssociatedData) > 0 }),
	asked(2, false, "associatedData.leadTime", "how long the other data takes", "three months of waiting belong in a plan.",
		func(e *Entry) bool { return len(e.AssociatedData) > 0 },
		func(e *Entry) bool {
			return !slices.ContainsFunc(e.AssociatedData, func(a AssociatedData) bool { return a.LeadTime == "" })
		}),
	asked(3, false, "access.leadTime", "how long a request takes", "people plan with it, and grants end.", nil,
		func(e *Entry) bool { return e.Access.LeadTime != "" }),
	asked(2, false, "access.cost", "what it costs", "it has to stand in the application for money.", nil, func(e *Entry) bool { return e.Access.Cost != "" }),
	asked(2, false, "access.how", "how to ask", "a clear path brings better requests.", nil,
		func(e *Entry) bool { return e.Access.How != "" || e.Access.Rights != "" }),
	asked(3, false, "ethics", "by which approval it exists", "a researcher's own committee will ask for the reference.", people,
		func(e *Entry) bool { return len(e.Ethics) > 0 }),
	asked(3, false, "funding", "who paid for it", "funders look for what their grants brought, and count it as yours.", nil,
		func(e *Entry) bool { return len(e.Funding) > 0 }),
	asked(2, false, "funding.number", "the numbers of the grants", "without a number a funder cannot match the collection with the grant.",
		func(e *Entry) bool { return len(e.Funding) > 0 },
		func(e *Entry) bool {
			return !slices.ContainsFunc(e.Funding, func(g Grant) bool { return g.Number == "" })
		}),
	asked(3, false, "start", "from when the images are", "scanners and treatments change; old images and new ones are not alike.", nil,
		func(e *Entry) bool { return e.Start != "" }),
	asked(2, false, "timepoints", "when in the course a person is imaged", "who studies a change needs a before and an after.", people,
		func(e *Entry) bool { return len(e.Timepoints) > 0 }),
	asked(2, false, "stages", "at which stage the disease was found", "early and late disease look different.", cancerous,
		func(e *Entry) bool { return len(e.Stages) > 0 }),
	asked(2, false, "stains", "how the slides are stained", "a model for H&E cannot read anything else.", slides,
		func(e *Entry) bool { return len(e.Stains) > 0 }),
	asked(1, false, "magnifications", "at what power the slides were scanned", "detail that was not scanned cannot be had later.", slides,
		func(e *Entry) bool { return len(e.Magnifications) > 0 }),
	asked(2, false, "spatial", "where the people were recruited", "populations differ, and results do not always travel.", people,
		func(e *Entry) bool { return len(e.Spatial) > 0 }),
	asked(2, false, "publications", "what was published about it", "a paper is the surest sign of what a collection is good for.", nil,
		func(e *Entry) bool { return len(e.Publications) > 0 }),
	asked(2, false, "doi", "its DOI", "a DOI can be cited and counted; an address changes.", nil, func(e *Entry) bool { return e.DOI != "" }),
	asked(2, false, "keywords", "other words for it", "people search in words that you did not think of.", nil,
		func(e *Entry) bool { return len(e.Keywords) > 0 }),
	asked(2, false, "custodian.ror", "the custodian's ROR identifier", "machines know the organisation by it, in each directory alike.", nil,
		func(e *Entry) bool { return e.Custodian.ROR != "" }),
	asked(2, false, "credit", "how to cite it", "people cite what they are told how to cite.", nil, func(e *Entry) bool { return e.Credit != "" }),
	asked(1, false, "lead", "who leads it", "scientific questions go to a person.", nil, func(e *Entry) bool { return e.Lead.Name != "" }),
	asked(1, false, "frequency", "how often it is updated", "who comes back should know when.", nil, func(e *Entry) bool { return e.Frequency != "" }),
	asked(1, false, "scanners", "with which machines", "images of one maker differ from another's.", nil, func(e *Entry) bool { return len(e.Scanners) > 0 }),
}

// cancerous are entries with a disease that has stages.
func cancerous(e *Entry) bool {
	return slices.ContainsFunc(e.Conditions, func(c vocabulary.Code) bool {
		return vocabulary.Is(c, vocabulary.Code{System: vocabulary.Group, Value: "cancer"})
	})
}
