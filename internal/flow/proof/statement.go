package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
)

// StatementFormat names the form of a statement, and is what its signature says first.
const StatementFormat = "vitrine-statement 1"

// Statement says how the objects of a collection were de-identified, as it was at one moment. docs/formats/statement.md.
type Statement struct {
	Format     string      `json:"format"`
	Collection Subject     `json:"collection"`
	Release    string      `json:"release,omitempty"` // that it was made for
	Moment     time.Time   `json:"moment"`
	Software   string      `json:"software"`
	Profiles   []Profile   `json:"profiles"` // by which objects were judged when they came
	Now        Profile     `json:"profile_now"`
	Safe       string      `json:"safe_private"` // edition of the list of private elements that are known to be safe
	Objects    Stages      `json:"objects"`
	Standing   []Standing  `json:"standing"`
	Decisions  []Decided   `json:"decisions"`
	Pixels     Pixels      `json:"pixels"`
	Detector   string      `json:"detector"` // in use at the moment; pixels.readers are those that painted
	Gate       Gate        `json:"gate"`
	Risk       *Risk       `json:"risk,omitempty"`
	Faces      *risk.Faces `json:"faces,omitempty"` // series that could show a face
	Limits     []string    `json:"limits"`
}

// Subject is what a statement is about.
type Subject struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Stages count what came, ever.
type Stages struct {
	Came             int64 `json:"came"`
	Passed           int64 `json:"passed"` // on arrival
	Held             int64 `json:"held"`   // on arrival
	Refused          int64 `json:"refused"`
	RefusedBySteward int64 `json:"refused_by_steward"`
	Duplicates       int64 `json:"duplicates"`
}

// Standing counts the objects in a state at the moment, and of how many people they are.
type Standing struct {
	State    string `json:"state"`
	Objects  int64  `json:"objects"`
	Subjects int64  `json:"subjects"`
}

// Decided counts decisions on what was held, by who took them: the node, a steward, or a standing decision of a steward.
type Decided struct {
	By      string `json:"by"`
	Outcome string `json:"outcome"` // accepted, refused
	Objects int64  `json:"objects"`
}

// Risk is how far the people of the collection are alike in what is told of them; GET /api/collections/{id}/risk has the whole of it.
type Risk struct {
	People   int      `json:"people"`
	Wanted   int      `json:"wanted"`   // people who should be alike
	Smallest int      `json:"smallest"` // class of people of whom the same is told
	Below    int      `json:"below"`    // people in classes smaller than wanted
	Alone    int      `json:"alone"`
	Fields   []string `json:"fields"`
}

// riskWanted is by how many people a statement measures.
const riskWanted = 5

// State says how the objects of a collection were de-identified, to who manages it. release may be empty.
func (d *Desk) State(ctx context.Context, who admin.Caller, id collection.ID, release string) (*Statement, error) {
	const attempt = "make a statement of de-identification"
	on := "collection " + string(id)
	if dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ManageCollection, Collection: string(id)}); !dec.Allow {
		return nil, fault.New(fault.Denied, attempt, on, strings.Join(dec.Reasons, "; "))
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := d.Collections.Cleaning(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &Statement{Format: StatementFormat, Collection: Subject{string(id), c.Title}, Release: release, Moment: time.Now().UTC().Truncate(time.Second), Software: d.Software,
		Now: Profile{Judged: deid.ParseJudged(p.Judged())}, Safe: deid.PrivateEdition, Detector: "burnin " + burnin.Version, Limits: Limits, Decisions: []Decided{}}
	work, err := d.Proof.OfCollection(ctx, id)
	if err != nil {
		return nil, err
	}
	var r Report
	for _, w := range work {
		w.Reasons, w.Done = map[string]int64{}, &deid.Done{}
	}
	r.sum(work)
	s.Profiles, s.Pixels, s.Gate.Bytes = r.Profiles, r.Pixels, r.Gate.Bytes
	for _, x := range r.Profiles {
		if x.Profile == s.Now.Profile && x.Version == s.Now.Version && x.Digest == s.Now.Digest && x.Rules == s.Now.Rules {
			s.Now.Objects = x.Objects
		}
	}
	s.Objects.Came, s.Objects.Passed, s.Objects.Held = r.Came.Objects, r.Outcomes.Passed, r.Outcomes.Held
	n, err := d.Catalogue.Intake(ctx, id)
	if err != nil {
		return nil, err
	}
	s.Objects.Duplicates = n.Duplicate
	refused, err := d.Catalogue.RefusedIn(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, x := range refused {
		if x.Decided {
			s.Objects.RefusedBySteward += x.Items
		} else {
			s.Objects.Refused += x.Items
		}
	}
	for _, a := range r.Outcomes.Accepted {
		s.Decisions = append(s.Decisions, Decided{a.By, "accepted", a.Objects})
	}
	if s.Objects.RefusedBySteward > 0 {
		s.Decisions = append(s.Decisions, Decided{roles[proof.ByPerson], "refused", s.Objects.RefusedBySteward})
	}
	if err := d.standing(ctx, id, s); err != nil {
		return nil, err
	}
	if s.Pixels.Unread, s.Pixels.UnreadFrames, err = d.Catalogue.Unread(ctx, id, 0); err != nil {
		return nil, err
	}
	if d.Risk != nil {
		m, err := d.Risk(ctx, who, id, riskWanted)
		if err != nil {
			return nil, err
		}
		s.Risk = &Risk{People: m.People, Wanted: m.Wanted, Smallest: m.Smallest, Below: m.Below, Alone: m.Alone, Fields: m.Fields}
		s.Faces = m.Faces
	}
	return s, nil
}

func (d *Desk) standing(ctx context.Context, id collection.ID, s *Statement) error {
	st, err := d.Catalogue.Standing(ctx, id)
	if err != nil {
		return err
	}
	waiting, held, people, err := d.Catalogue.WaitingOf(ctx, id, 0)
	if err != nil {
		return err
	}
	s.Standing = []Standing{{"received", st.Received.Objects, st.Received.Subjects}, {"admitted", st.Admitted.Objects, st.Admitted.Subjects}, {"released", st.Released.Objects, st.Released.Subjects},
		{"held", held, people}, {"withdrawn", st.Withdrawn.Objects, st.Withdrawn.Subjects}}
	s.Gate.Found, s.Gate.Later = waiting[deid.CodeGate], waiting[codeEcho]
	s.Gate.Echoed, s.Gate.Waiting = st.Admitted.Objects+st.Released.Objects, st.Received.Objects
	return nil
}

// Signed is a statement as it is given away: canonical JSON (RFC 8785), and the note that the node signed for it.
type Signed struct {
	Statement string `json:"statement"`
	Signature string `json:"signature"`
	PublicKey string `json:"public_key"` // that it is verified with
}

// Sign makes a statement and signs it. The audit log keeps its digest.
func (d *Desk) Sign(ctx context.Context, who admin.Caller, id collection.ID, release string) (*Signed, error) {
	s, err := d.State(ctx, who, id, release)
	if err != nil {
		return nil, err
	}
	if d.Signer == nil {
		return nil, fault.New(fault.Unavailable, "sign a statement", "collection "+string(id), "the key that signs is not at hand")
	}
	text, err := s.Canonical()
	if err != nil {
		return nil, err
	}
	note, err := d.Signer.Attest(StatementFormat, text)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "sign a statement", Object: "collection " + string(id), Collection: string(id), Outcome: "signed", Sealed: sum[:]})
	})
	return &Signed{string(text), note, d.Signer.Public()}, err
}

// Canonical writes a statement as RFC 8785 has it.
func (s *Statement) Canonical() ([]byte, error) {
	b, err := json.Marshal(s)
	if err == nil {
		b, err = jcs.Transform(b)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "write a statement", "", err)
	}
	return b, nil
}

// Verify reads a statement that was given away, if it is what the node of the public key has signed, to the byte. A fault.Corrupt says what differs.
func Verify(text []byte, signature, public string) (*Statement, error) {
	if err := audit.CheckAttested(StatementFormat, text, signature, public); err != nil {
		return nil, err
	}
	return Read(text)
}

// Read reads a statement without its signature.
func Read(text []byte) (*Statement, error) {
	bad := func(why string) error { return fault.New(fault.Corrupt, "read a statement", "", why) }
	if canonical, err := jcs.Transform(text); err != nil || !bytes.Equal(canonical, text) {
		return nil, bad("it is not canonical JSON (RFC 8785)")
	}
	s := &Statement{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil || s.Format != StatementFormat {
		return nil, bad("it is no statement of this version")
	}
	return s, nil
}

// PublicKey is what statements of this node are verified with; empty: it signs none.
func (d *Desk) PublicKey() string {
	if d.Signer == nil {
		return ""
	}
	return d.Signer.Public()
}
