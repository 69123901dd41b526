package review

import (
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

// ItemView is an item as the management API and commands show it.
type ItemView struct {
	ID         string             `json:"id"`
	State      string             `json:"state,omitempty"`
	Reasons    []catalogue.Reason `json:"reasons,omitempty"`
	Acceptable bool               `json:"acceptable"`
	// Restrictable says that it can be kept for stewards alone, as far as its reasons say.
	Restrictable bool       `json:"restrictable,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	Kind         string     `json:"kind,omitempty"`
	Modality     string     `json:"modality,omitempty"`
	Frames       int64      `json:"frames,omitempty"`
	Bytes        int64      `json:"bytes,omitempty"`
	Deposit      string     `json:"deposit,omitempty"`
	Item         int64      `json:"item,omitempty"`
	Actor        string     `json:"actor,omitempty"`
	Received     *time.Time `json:"received,omitempty"`
}

// View shows an item.
func (i *Item) View() ItemView {
	v := ItemView{ID: i.ID.String(), Reasons: i.Reasons, Acceptable: i.Acceptable, Restrictable: i.Restrictable, Subject: string(i.Subject), Kind: i.Kind, Modality: i.Modality, Frames: i.Frames, Bytes: i.Bytes, Item: i.Ordinal,
		Actor: i.Actor}
	if i.Deposit != 0 {
		v.State, v.Deposit, v.Received = i.State.String(), i.Deposit.String(), &i.Received
	}
	return v
}

// DecidedView is what became of an item.
type DecidedView struct {
	ItemView
	Outcome Outcome            `json:"outcome"`
	Left    []catalogue.Reason `json:"left,omitempty"` // of what stays held: for what
}

// View shows what became of an item.
func (d *Decided) View() DecidedView {
	return DecidedView{ItemView: d.Item.View(), Outcome: d.Outcome, Left: d.Why}
}

// FoundAtView is a region of a pool's pictures in which text was found.
type FoundAtView struct {
	Box   [4]int `json:"box"` // first column, first row, and column and row after the last, from 0
	Items int    `json:"items"`
}

// PoolView is what is held and alike, as the management API and commands show it.
type PoolView struct {
	Layout     string             `json:"layout"` // its address
	Kind       string             `json:"kind"`   // that of all its kind
	Items      int64              `json:"items"`
	Subjects   int64              `json:"subjects"`
	Oldest     time.Time          `json:"oldest"`
	Class      string             `json:"class,omitempty"`
	Device     string             `json:"device,omitempty"`
	Rows       int64              `json:"rows,omitempty"`
	Columns    int64              `json:"columns,omitempty"`
	Frames     int64              `json:"frames,omitempty"` // of its first item
	Reasons    []catalogue.Reason `json:"reasons"`
	Actions    []ruling.Action    `json:"actions"`     // that may be decided once for all
	NeedsBoxes bool               `json:"needs_boxes"` // an acceptance has to say where what looks like text is nobody's
	First      string             `json:"first"`       // its first item
	Last       string             `json:"last"`
	OfKind     int64              `json:"of_kind,omitempty"` // of one pool alone, as what follows
	Forms      int                `json:"forms,omitempty"`
	Looked     int                `json:"looked,omitempty"`
	Read       int                `json:"read,omitempty"`
	Found      []FoundAtView      `json:"found,omitempty"`
}

// View shows a pool.
func (p *Pool) View() PoolView {
	v := PoolView{Layout: p.Layout, Kind: p.Kind, Items: p.Items, Subjects: p.Subjects, Oldest: p.Oldest, Class: p.About.Class, Device: p.About.Device, Rows: p.About.Rows, Columns: p.About.Columns,
		Frames: p.Frames, Actions: p.Allowed, NeedsBoxes: p.Text, First: p.First.String(), Last: p.Last.String(), OfKind: p.OfKind, Forms: p.Forms, Looked: p.Looked, Read: p.Read,
		Reasons: make([]catalogue.Reason, len(p.Reasons))}
	for i, r := range p.Reasons {
		v.Reasons[i] = r.Reason
	}
	for _, f := range p.Found {
		v.Found = append(v.Found, FoundAtView(f))
	}
	return v
}

// RulingView is a standing decision, as the management API and commands show it. What identifies is not in it.
type RulingView struct {
	Number  ruling.Number        `json:"number"`
	Subject ruling.Subject       `json:"subject"`
	Action  ruling.Action        `json:"action,omitempty"`
	Class   string               `json:"class,omitempty"`
	Codes   []string             `json:"codes,omitempty"`
	Rows    int64                `json:"rows,omitempty"`
	Columns int64                `json:"columns,omitempty"`
	Device  string               `json:"device,omitempty"`
	Boxes   []catalogue.FoundBox `json:"boxes,omitempty"`
	Note    string               `json:"note,omitempty"`
	Actor   string               `json:"actor"`
	Made    time.Time            `json:"made"`
	InForce bool                 `json:"in_force"`
	EndedBy string               `json:"ended_by,omitempty"`
	Ended   *time.Time           `json:"ended,omitempty"`
	EndNote string               `json:"end_note,omitempty"`
	InSight int64                `json:"in_sight"` // objects that it accepted and that can be seen
}

// ViewRuling shows a standing decision, of which so many objects can be seen.
func ViewRuling(x *ruling.Ruling, inSight int64) RulingView {
	v := RulingView{Number: x.Number, Subject: x.Subject, Action: x.Action, Class: x.About.Class, Codes: x.About.Codes, Rows: x.About.Rows, Columns: x.About.Columns, Device: x.About.Device, Boxes: x.Boxes,
		Note: x.Note, Actor: x.Actor, Made: x.Made, InForce: x.InForce(), EndedBy: x.EndedBy, EndNote: x.EndNote, InSight: inSight}
	if !v.InForce {
		v.Ended = &x.Ended
	}
	return v
}
