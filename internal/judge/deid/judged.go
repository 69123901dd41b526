package deid

import "strings"

// Coded is a code of PS3.16 CID 7050 with its meaning.
type Coded struct {
	Code    string `json:"code"`
	Meaning string `json:"meaning"`
}

// Judged is by what an object was judged, as its record says it.
type Judged struct {
	Profile string  `json:"profile"`
	Version string  `json:"version"`
	Digest  string  `json:"digest,omitempty"` // SHA-256 of the file of the collection's own rules
	Base    string  `json:"base"`             // the named profile that it stands on
	Rules   string  `json:"rules"`            // version of the named profiles, and of everything that cleans
	Options []Coded `json:"options"`          // the Basic Profile and the options of PS3.15 E.3 that objects name
	Table   string  `json:"table,omitempty"`  // edition of PS3.15 Table E.1-1
}

// Judged is what records of objects say of the profile: [Profile.Describe], the profile that it stands on, the codes that cleaned objects name, and the edition of the
// table; joined by semicolons. [ParseJudged] reads it.
func (p *Profile) Judged() string {
	base, _, _ := strings.Cut(p.Base(), "+")
	parts := []string{p.Describe(), base + " " + Version}
	if !p.AsDeposited {
		var codes []string
		for _, c := range methodCodes {
			if p.claims(c.option) {
				codes = append(codes, c.code)
			}
		}
		parts = append(parts, strings.Join(codes, " "), editionText)
	}
	return strings.Join(parts, "; ")
}

// ParseJudged reads what [Profile.Judged] wrote, also by an earlier version: what it does not know it leaves out.
func ParseJudged(s string) Judged {
	parts := strings.Split(s, "; ")
	words := strings.Fields(parts[0])
	var j Judged
	for i, w := range words {
		switch digest, ok := strings.CutPrefix(w, "sha256:"); {
		case ok:
			j.Digest = digest
		case i == 0:
			j.Profile = w
		case i == 1:
			j.Version = w
		}
	}
	j.Options = []Coded{}
	if len(parts) > 1 {
		j.Base, j.Rules, _ = strings.Cut(parts[1], " ")
	}
	if len(parts) > 2 {
		for code := range strings.FieldsSeq(parts[2]) {
			for _, c := range methodCodes {
				if c.code == code {
					j.Options = append(j.Options, Coded{c.code, c.meaning})
				}
			}
		}
	}
	if len(parts) > 3 {
		j.Table = parts[3]
	}
	return j
}
