package review

import (
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
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
