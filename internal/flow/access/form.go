package access

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// The bounds of what is written, in characters.
const (
	MaxTitle   = 150
	MaxSummary = 1500
	MaxText    = 4000
	maxName    = 200
	maxMembers = 50
)

// Organisation is whose project it is.
type Organisation struct {
	Name string `json:"name"`
	ROR  string `json:"ror,omitempty"` // https://ror.org/...
	Kind string `json:"kind"`          // nhs, academic, charity, funder, commercial, cro
}

// OrganisationKinds are the kinds, with what people call them.
var OrganisationKinds = [][2]string{{"academic", "a university or research institute"}, {"nhs", "the NHS, or another public health service"}, {"charity", "a charity"}, {"funder", "a funder of research"},
	{"commercial", "a company"}, {"cro", "a contract research organisation"}}

// forProfit is the kind as data use knows it.
func (o Organisation) forProfit() datause.Organisation {
	switch o.Kind {
	case "commercial", "cro":
		return datause.ForProfit
	case "":
		return ""
	}
	return datause.NonProfit
}

// same reports the same organisation: by ROR where both have one, else by name.
func (o Organisation) same(name, ror string) bool {
	if o.ROR != "" && ror != "" {
		return o.ROR == ror
	}
	return o.Name != "" && strings.EqualFold(line(o.Name), line(name))
}

// Member is somebody else of the project.
type Member struct {
	Name  string `json:"name"`
	ORCID string `json:"orcid,omitempty"`
}

// Form is what an applicant writes. Title, Summary and Organisation are published in the register once there is an entitlement.
type Form struct {
	Title        string            `json:"title"`
	Summary      string            `json:"summary"` // in lay words
	Aims         string            `json:"aims,omitempty"`
	Benefit      string            `json:"benefit,omitempty"` // to the public
	Funding      string            `json:"funding,omitempty"`
	Outputs      string            `json:"outputs,omitempty"`
	Organisation Organisation      `json:"organisation"`
	Members      []Member          `json:"members,omitempty"`
	Purpose      map[string]string `json:"purpose,omitempty"` // the parameters of GET /api/directory/{entry}/use but organisation
	Place        string            `json:"place,omitempty"`   // where the data will be
	Evidence     string            `json:"evidence,omitempty"`
	Named        bool              `json:"named,omitempty"` // the register may name the applicant
}

func line(s string) string { return strings.Join(strings.Fields(s), " ") }

func text(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

func bad(why string) error { return fault.New(fault.Invalid, "write request", "", why) }

// written checks what somebody wrote.
func written(what, s string, most int) error {
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		return bad(what + " holds characters that are no text")
	case utf8.RuneCountInString(s) > most:
		return fault.New(fault.TooLarge, "write request", "", what+" is longer than "+strconv.Itoa(most)+" characters")
	case deid.HasNHSNumber(s):
		return bad(what + " holds what looks like an NHS number; take it out")
	}
	return nil
}

// tidy brings a form into order and checks what is there: a draft may lack anything.
func (f Form) tidy() (Form, error) {
	f.Title, f.Summary, f.Aims, f.Benefit, f.Funding, f.Outputs, f.Place, f.Evidence = line(f.Title), text(f.Summary), text(f.Aims), text(f.Benefit), text(f.Funding), text(f.Outputs), text(f.Place), text(f.Evidence)
	f.Organisation.Name, f.Organisation.ROR = line(f.Organisation.Name), strings.TrimSpace(f.Organisation.ROR)
	for _, c := range []struct {
		what, text string
		most       int
	}{{"the title", f.Title, MaxTitle}, {"the lay summary", f.Summary, MaxSummary}, {"what you want to find out", f.Aims, MaxText}, {"the benefit", f.Benefit, MaxText}, {"the funding", f.Funding, MaxText}, {"what comes of it", f.Outputs, MaxText},
		{"where the data will be", f.Place, MaxText}, {"the evidence", f.Evidence, MaxText}, {"the organisation", f.Organisation.Name, maxName}} {
		if err := written(c.what, c.text, c.most); err != nil {
			return f, err
		}
	}
	if f.Organisation.Kind != "" && !slices.ContainsFunc(OrganisationKinds, func(k [2]string) bool { return k[0] == f.Organisation.Kind }) {
		return f, bad("the kind of organisation is one of nhs, academic, charity, funder, commercial, cro")
	}
	if f.Organisation.ROR != "" {
		var ok bool
		if f.Organisation.ROR, ok = parseROR(f.Organisation.ROR); !ok {
			return f, bad("that is no ROR identifier: look the organisation up on ror.org, or leave it empty")
		}
	}
	if len(f.Members) > maxMembers {
		return f, fault.New(fault.TooLarge, "write request", "", "a request names 50 members at most")
	}
	var members []Member
	for _, m := range f.Members {
		m.Name, m.ORCID = line(m.Name), strings.TrimPrefix(strings.TrimSpace(m.ORCID), "https://orcid.org/")
		if m.Name == "" {
			continue
		}
		if err := written("the name of a member", m.Name, maxName); err != nil {
			return f, err
		}
		if m.ORCID != "" && !validORCID(m.ORCID) {
			return f, bad("an ORCID iD is sixteen digits as 0000-0002-1825-0097; one of those given is not")
		}
		members = append(members, m)
	}
	f.Members = members
	purpose := map[string]string{}
	for k, v := range f.Purpose {
		if v = line(v); v != "" {
			purpose[k] = v
		}
	}
	f.Purpose = purpose
	_, err := f.purpose()
	return f, err
}

// complete says what a form lacks that is to be handed in.
func (f Form) complete() error {
	for _, c := range [][2]string{{f.Title, "a title"}, {f.Summary, "a summary in plain words"}, {f.Aims, "what you want to find out"}, {f.Benefit, "what good it does"}, {f.Organisation.Name, "your organisation"},
		{f.Organisation.Kind, "what kind of organisation that is"}, {f.Purpose["for"], "what it is for"}, {f.Purpose["country"], "the countries where you and the data will be"}, {f.Place, "where the data will be"}} {
		if c[0] == "" {
			return bad("it lacks " + c[1])
		}
	}
	return nil
}

// purpose is what the form wants, as data use knows it.
func (f Form) purpose() (datause.Purpose, error) {
	q := url.Values{}
	for k, v := range f.Purpose {
		if k == "organisation" {
			return datause.Purpose{}, bad("the purpose has no kind of organisation of its own: it follows from the organisation's")
		}
		q.Set(k, v)
	}
	p, err := directoryflow.ReadPurpose(q)
	p.Organisation = f.Organisation.forProfit()
	return p, err
}

// commercial reports a use that an agreement has to cover as one for profit.
func commercial(p datause.Purpose) bool { return p.Commercial || p.Organisation == datause.ForProfit }

// parseROR reads https://ror.org/05a28rw58: a zero, six characters of Crockford's base 32, and two digits that check them (ISO/IEC 7064, MOD 97-10).
func parseROR(s string) (string, bool) {
	id := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://"), "ror.org/"), "/"))
	if len(id) != 9 || id[0] != '0' {
		return "", false
	}
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	n := 0
	for _, c := range id[:7] {
		v := strings.IndexRune(alphabet, c)
		if v < 0 {
			return "", false
		}
		n = n*32 + v
	}
	check, err := strconv.Atoi(id[7:])
	return "https://ror.org/" + id, err == nil && check == 98-n*100%97
}

// validORCID checks the last character (ISO/IEC 7064, MOD 11-2).
func validORCID(s string) bool {
	if len(s) != 19 || s[4] != '-' || s[9] != '-' || s[14] != '-' {
		return false
	}
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 16 {
		return false
	}
	total := 0
	for _, c := range digits[:15] {
		if c < '0' || c > '9' {
			return false
		}
		total = (total + int(c-'0')) * 2
	}
	check := (12 - total%11) % 11
	return digits[15] == "0123456789X"[check]
}

// Target is what can be asked for.
type Target struct {
	Collection collection.ID
	Title      string
	Entry      directory.ID // of the directory; empty: none is published
	DataUse    directory.DataUse
	Closed     string // why nothing can be asked for; empty: it can
	Orphan     bool   // nobody is its custodian: an administrator has to name one before anything is decided
}

// Target finds what a request would be for.
func (d *Desk) Target(ctx context.Context, c collection.ID) (Target, error) {
	x, err := d.Collections.Get(ctx, c)
	if err != nil {
		return Target{}, err
	}
	t := Target{Collection: c, Title: x.Title}
	if t.Title == "" {
		t.Title = string(c)
	}
	e, err := d.Entries.OfCollection(ctx, c)
	if err == nil {
		e, err = d.Entries.Seen(ctx, e.ID)
	}
	switch {
	case err == nil:
		t.Entry, t.DataUse = e.ID, e.Entry.DataUse
		if a := e.Entry.Access.Condition; a == "closed" || a == "restricted" {
			t.Closed = "its custodian takes no requests"
		}
	case !fault.Is(err, fault.NotFound):
		return t, err
	}
	all, err := d.Identity.Accounts(ctx)
	if err != nil {
		return t, err
	}
	t.Orphan = !slices.ContainsFunc(all, func(a identity.Account) bool {
		return a.Disabled.IsZero() && policy.Decide(policy.Facts{Grants: a.Grants, Action: policy.DecideRequest, Collection: string(c), Person: true}).Allow
	})
	return t, nil
}

// Match compares a form, complete or not, with what a collection's data may be used for. Nothing is kept of it.
func (d *Desk) Match(ctx context.Context, who admin.Caller, c collection.ID, f Form) (datause.Answer, error) {
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", false, "a request"); err != nil {
		return datause.Answer{}, err
	}
	f, err := f.tidy()
	if err != nil {
		return datause.Answer{}, err
	}
	return d.match(ctx, c, f)
}

func (d *Desk) match(ctx context.Context, c collection.ID, f Form) (datause.Answer, error) {
	p, err := f.purpose()
	if err != nil {
		return datause.Answer{}, err
	}
	t, err := d.Target(ctx, c)
	if err != nil {
		return datause.Answer{}, err
	}
	return t.DataUse.Match(p), nil
}
