package custody

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// What a gateway gives has been cleaned inside its hospital. It is not given other pseudonyms and UIDs a second time; it is proven ([deid.Subject.Prove]), and what is not proven is held.
// Who a subject is nobody tells here: the link comes with the object, a keyed hash as every link is.

// Given is what a gateway says of an object that it has cleaned. It goes into the object's record (docs/formats/object.md).
type Given struct {
	Link   string `json:"link"`   // what the subject is filed by: 64 hexadecimal digits
	Secret string `json:"secret"` // whose secret the link, the pseudonym and the UIDs were made with: node, or site
	Judged string `json:"judged"` // by what it was cleaned: [deid.Profile.Judged]
	// Seen: a person at the site has looked at it, and answers for what its pixels show. Decided: they did so once for all that is alike.
	Seen    bool `json:"seen,omitempty"`
	Decided bool `json:"decided,omitempty"`
	// Reader is what read its pixels there, with its version; empty: nothing did. Painted: they were written anew, Boxes is what was painted over.
	Reader  string `json:"reader,omitempty"`
	Painted bool   `json:"painted,omitempty"`
	Boxes   int    `json:"boxes,omitempty"`
}

// The secrets.
const (
	SecretNode = "node" // the collection's own, which the node has
	SecretSite = "site" // the gateway's, which the node has never seen
)

// maxGiven bounds what a gateway says of one object.
const maxGiven = 4 << 10

// ParseGiven reads what a gateway says of an object.
func ParseGiven(b []byte) (*Given, error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "read what a gateway says", "", why) }
	if len(b) > maxGiven {
		return nil, bad("it is too long")
	}
	var g Given
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		return nil, bad("it is not the JSON object that is wanted")
	}
	if _, err := subject.ParseLink(g.Link); err != nil {
		return nil, bad("its link is none")
	}
	if g.Secret != SecretNode && g.Secret != SecretSite {
		return nil, bad("its secret is neither node nor site")
	}
	for _, s := range []string{g.Judged, g.Reader} {
		if len(s) > 512 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, bad("a text of it is too long, or not plain")
		}
	}
	if j := deid.ParseJudged(g.Judged); j.Profile == "" || j.Version == "" {
		return nil, bad("it does not say by which profile the object was cleaned")
	}
	return &g, nil
}

// Encode writes what [ParseGiven] reads.
func (g *Given) Encode() []byte {
	b, err := json.Marshal(g)
	if err != nil {
		panic(err) // plain fields
	}
	return b
}

// looked reports that people at the site answer for its pixels: they are not read once more.
func (g *Given) looked() bool { return g.Seen || g.Decided }

// answer is what the gateway has found out about the object beyond its header.
func (g *Given) answer() (by deid.Answer) {
	if g.looked() {
		by |= deid.Seen
	}
	if g.Painted {
		by |= deid.Painted
	}
	return by
}

// givenPerson is the subject that a gateway's object is of, made with a key of its own if it is new.
func (c *Custody) givenPerson(ctx context.Context, w *ward, ds *dicom.Dataset, g *Given) (*person, error) {
	const attempt = "receive instance"
	on := "collection " + string(w.row.ID)
	link, err := subject.ParseLink(g.Link)
	if err != nil {
		return nil, err
	}
	pseudonym, ok := deid.GivenPseudonym(ds)
	if !ok {
		return nil, fault.New(fault.Invalid, attempt, dicom.TagPatientID.String(), "its Patient ID is no pseudonym: a gateway gives what it has cleaned")
	}
	if g.Secret == SecretNode && w.keys.Pseudonym(link) != pseudonym {
		return nil, fault.New(fault.Invalid, attempt, dicom.TagPatientID.String(), "its pseudonym was not made with this collection's secret")
	}
	key := peopleKey{collection: w.row.ID, link: link, profile: w.profile, said: w.said, given: true}
	p, err := c.remembered(ctx, w, key, subject.Pseudonym(pseudonym), func(lex *deid.Lexicon) *deid.Subject {
		return deid.NewGiven(w.profile, w.keys, link, pseudonym, lex)
	})
	if fault.Is(err, fault.Conflict) || err == nil && string(p.pseud) != pseudonym {
		return nil, fault.New(fault.Invalid, attempt, on, "its pseudonym and its link are not of one subject")
	}
	return p, err
}

// person is the subject that the instance is of.
func (a *arrival) person(ctx context.Context) (p *person, err error) {
	c, w := a.dep.c, a.dep.ward
	if g := a.in.Given; g != nil {
		p, err = c.givenPerson(ctx, w, a.data, g)
	} else {
		p, err = c.person(ctx, w, deid.Identify(a.data))
	}
	if err != nil {
		return nil, err
	}
	row, err := c.gate.Get(ctx, p.id)
	if err == nil && row.IsClosed() && !row.IsWithdrawn() {
		err = fault.New(fault.Denied, "receive instance", "collection "+string(w.row.ID), "the subject has asked that nothing more is collected")
	}
	return p, err
}

// judge cleans the instance, or proves what was cleaned elsewhere.
func (a *arrival) judge(p *person) (*deid.Result, error) {
	if g := a.in.Given; g != nil {
		return p.clean.Prove(a.data, g.answer())
	}
	return p.clean.Clean(a.data)
}

// identify keeps who the subject is, where that is known here.
func (a *arrival) identify(ctx context.Context, p *person) error {
	if a.in.Given != nil {
		return nil
	}
	return a.dep.c.identify(ctx, a.dep.ward, p, a.data)
}

// fits refuses what comes by the wrong way: to a gateway's deposit everything is given cleaned, and to no other.
func (d *Deposit) fits(in Incoming) error {
	if d.given == (in.Given != nil) {
		return nil
	}
	text := "what a gateway deposits says by what it was cleaned"
	if in.Given != nil {
		text = "only a gateway of the collection gives what was cleaned elsewhere"
	}
	return &Refusal{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, Reason: Reason{Code: "denied", Text: text}, Err: fault.New(fault.Denied, "receive instance", "collection "+d.collection(), text)}
}
