package directory

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// A Use is whether what somebody wants to do with a collection's data is what they may be used for.
type Use struct {
	ID    directory.ID `json:"id"`
	Title string       `json:"title"`
	datause.Answer
}

// MayUse answers for a published entry. Nothing is kept of what was asked, and nothing is granted by it.
func (d *Desk) MayUse(ctx context.Context, who admin.Caller, id directory.ID, p datause.Purpose) (Use, error) {
	v, err := d.Entry(ctx, who, id)
	if err != nil {
		return Use{}, err
	}
	e := &v.Stored.Entry
	return Use{id, e.Title, e.DataUse.Match(p)}, nil
}

// purposeFlags are what a purpose says yes to, by their names in forms, queries and commands.
var purposeFlags = []struct {
	name string
	of   func(*datause.Purpose) *bool
}{
	{"methods", func(p *datause.Purpose) *bool { return &p.Methods }},
	{"training", func(p *datause.Purpose) *bool { return &p.Training }},
	{"generative", func(p *datause.Purpose) *bool { return &p.Generative }},
	{"genetic", func(p *datause.Purpose) *bool { return &p.Genetic }},
	{"animals", func(p *datause.Purpose) *bool { return &p.Animals }},
	{"commercial", func(p *datause.Purpose) *bool { return &p.Commercial }},
	{"publish", func(p *datause.Purpose) *bool { return &p.Publish }},
	{"give-back", func(p *datause.Purpose) *bool { return &p.GiveBack }},
	{"download", func(p *datause.Purpose) *bool { return &p.Download }},
	{"relink", func(p *datause.Purpose) *bool { return &p.Relink }},
	{"reidentify", func(p *datause.Purpose) *bool { return &p.Reidentify }},
	{"onward", func(p *datause.Purpose) *bool { return &p.Onward }},
}

// purposeClaims are what a purpose says of itself that a person would have to have seen.
var purposeClaims = []struct {
	name string
	of   func(*datause.Purpose) *datause.Standing
}{
	{"ethics", func(p *datause.Purpose) *datause.Standing { return &p.Ethics }},
	{"collaboration", func(p *datause.Purpose) *datause.Standing { return &p.Collaboration }},
	{"approved", func(p *datause.Purpose) *datause.Standing { return &p.Approved }},
}

// PurposeParameters are the names that ReadPurpose knows.
func PurposeParameters() []string {
	all := []string{"for", "disease", "organisation", "country", "months"}
	for _, f := range purposeFlags {
		all = append(all, f.name)
	}
	for _, c := range purposeClaims {
		all = append(all, c.name)
	}
	return all
}

const (
	maxDiseases  = 30
	maxCountries = 60
	maxMonths    = 1200
)

// ReadPurpose reads what somebody wants to do from a form or a query: for (a kind of package datause), disease (a code, or plain words; may be repeated), organisation, country (ISO 3166-1
// alpha-2; repeated or with commas), months, and yes to each of the rest. What they say of approvals is a claim. Whatever it does not know is an error: a mistyped word must not be taken for no.
func ReadPurpose(q url.Values) (p datause.Purpose, err error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "read purpose", "", why) }
	known := PurposeParameters()
	for name, values := range q {
		if !slices.Contains(known, name) {
			return p, bad("nothing is known of one of its parameters")
		}
		if len(values) > 1 && name != "disease" && name != "country" {
			return p, bad("it says " + name + " more than once")
		}
	}
	if p.Kind = datause.Kind(q.Get("for")); p.Kind != "" && !slices.Contains(datause.Kinds(), p.Kind) {
		return p, bad("what it is for is one of disease, health, general, ancestry, care")
	}
	switch p.Organisation = datause.Organisation(q.Get("organisation")); p.Organisation {
	case "", datause.NonProfit, datause.ForProfit:
	default:
		return p, bad("an organisation is non-profit or for-profit")
	}
	for _, text := range q["disease"] {
		for one := range strings.SplitSeq(text, ";") {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			code, ok := disease(one)
			if !ok {
				return p, bad("a disease is not known here: give a code of ICD-10, ICD-O-3 or SNOMED CT, or the usual words for a kind of cancer")
			}
			if c := code.String(); !slices.Contains(p.Diseases, c) {
				p.Diseases = append(p.Diseases, c)
			}
			if len(p.Diseases) > maxDiseases {
				return p, bad("it names more than 30 diseases")
			}
		}
	}
	for _, text := range q["country"] {
		for c := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
			if c = strings.ToUpper(c); len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
				return p, bad("a country is two letters, such as GB (ISO 3166-1)")
			}
			if !slices.Contains(p.Countries, c) {
				p.Countries = append(p.Countries, c)
			}
			if len(p.Countries) > maxCountries {
				return p, bad("it names more than 60 countries")
			}
		}
	}
	if v := q.Get("months"); v != "" {
		if p.Months, err = strconv.Atoi(v); err != nil || p.Months < 1 || p.Months > maxMonths {
			return p, bad("for how long is a number of months from 1 to 1,200")
		}
	}
	for _, f := range purposeFlags {
		switch q.Get(f.name) {
		case "":
		case "yes", "true":
			*f.of(&p) = true
		case "no", "false":
		default:
			return p, bad("it says neither yes nor no to " + f.name)
		}
	}
	for _, c := range purposeClaims {
		switch q.Get(c.name) {
		case "", "no", "false":
		case "yes", "true", string(datause.Claimed):
			*c.of(&p) = datause.Claimed
		default:
			return p, bad("it says neither yes nor no to " + c.name)
		}
	}
	p.Training = p.Training || p.Generative // who trains a model that makes images trains a model
	return p, nil
}

// disease finds what a code or plain words mean.
func disease(text string) (vocabulary.Code, bool) {
	if system, value, ok := strings.Cut(text, " "); ok {
		if slices.Contains(vocabulary.Systems, vocabulary.System(system)) {
			c, err := vocabulary.ParseCode(vocabulary.System(system), value)
			return c, err == nil
		}
		if c := (vocabulary.Code{System: vocabulary.System(system), Value: value}); c.System == vocabulary.Group {
			return c, vocabulary.Known(c)
		}
	}
	for _, c := range vocabulary.Exact(text) {
		if c.System == vocabulary.Group || slices.Contains(vocabulary.Systems, c.System) {
			return c, true
		}
	}
	for _, s := range vocabulary.Systems {
		if c, err := vocabulary.ParseCode(s, text); err == nil && vocabulary.Known(c) {
			return c, true
		}
	}
	c, err := vocabulary.ParseCode(vocabulary.ICD10, text)
	return c, err == nil
}
