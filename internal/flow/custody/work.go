package custody

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
)

// work is what a record says of what was done to its instance (docs/formats/object.md): what the catalogue counts of a deposit is made of it.
type work struct {
	Judged   string   `json:"judged,omitempty"`   // by what: [deid.Profile.Judged]
	Done     doneText `json:"done,omitempty"`     // none: it is held, or nothing was changed
	Findings []string `json:"findings,omitempty"` // codes of what there is to know of one that passed
	Searched int64    `json:"searched,omitempty"` // bytes that the gate has searched
}

// doneText is what [deid.Done.Encode] wrote: an object of the record's JSON, read as it stands. Instances to which the same was done share it while they wait.
type doneText string

// UnmarshalJSON keeps the object's text.
func (d *doneText) UnmarshalJSON(b []byte) error {
	*d = doneText(b)
	return nil
}

// encode writes the meta. What was done is JSON already, and the longest of it: it is put in as it is, not read once more.
func (m sealedMeta) encode() ([]byte, error) {
	done := m.Done
	m.Done = ""
	b, err := json.Marshal(&m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "describe instance", "", err)
	}
	if done == "" {
		return b, nil
	}
	return append(append(append(b[:len(b)-1], `,"done":`...), done...), '}'), nil
}

func (w *ward) work(res *deid.Result) work {
	x := work{Judged: w.judged}
	if res.Outcome != deid.Cleaned {
		return x
	}
	x.Done = doneText(res.DoneText)
	if len(res.Findings) == 0 {
		return x
	}
	codes := map[string]bool{}
	for _, f := range res.Findings {
		codes[f.Code] = true
	}
	x.Findings = slices.Sorted(maps.Keys(codes))
	return x
}

// worked is the work on an instance that arrives.
func (a *arrival) worked(res *deid.Result, head []byte) work {
	w := a.dep.ward.work(res)
	if res.Outcome == deid.Cleaned && !a.dep.ward.profile.AsDeposited {
		w.Searched = int64(len(head))
		if res.ScanBulk {
			for _, b := range res.Rendered.Bulk {
				w.Searched += b.Len
			}
		}
	}
	return w
}

// counted is what is counted of an entry that the catalogue has taken.
func (e *entry) counted(state policy.State, reasons []catalogue.Reason) proof.Object {
	a := &e.row.InstanceAttributes
	o := proof.Object{Deposit: e.row.Deposit, Collection: e.row.Collection, Subject: e.row.Subject, Way: proof.Arrived, Kind: proof.Kind(a.SOPClass), Judged: e.work.Judged,
		Bytes: e.row.HeadSize + e.row.BulkSize, Held: state == policy.Held || state == policy.Conflict, Codes: slices.Clone(e.work.Findings), Done: string(e.work.Done), Searched: e.work.Searched}
	for _, r := range reasons {
		o.Codes = append(o.Codes, r.Code)
	}
	if e.row.Unread {
		o.Readable, o.Frames = true, max(1, a.Frames)
	}
	return o
}

// counted is what is counted of an instance that was accepted.
func (a *acceptance) counted(e *entry) proof.Object {
	o := e.counted(policy.Received, nil)
	o.Way, o.Bytes, o.At, o.Readable, o.Frames = proof.ByPerson, 0, a.Decided, false, 0
	switch {
	case a.Ruling != 0:
		o.Way = proof.ByRuling
	case a.Actor == actorNode:
		o.Way = proof.ByNode
	}
	if p := a.Painted; p != nil {
		o.Reader, o.Painted, o.Frames, o.Stripped = p.Reader, len(p.Boxes) > 0, int64(p.Frames), int64(p.Stripped)
		for _, b := range p.Boxes {
			frames := int64(b.Last - b.First + 1)
			o.Boxes += frames
			o.Area += frames * int64(b.Box[2]-b.Box[0]) * int64(b.Box[3]-b.Box[1])
		}
	}
	return o
}

// actorNode is who accepts what nobody has looked at.
const actorNode = "node"
