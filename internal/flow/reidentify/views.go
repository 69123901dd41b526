package reidentify

import (
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
)

// Question is a request to be made, as it goes over the API.
type Question struct {
	Collection string `json:"collection"`
	Subject    string `json:"subject"` // its pseudonym
	Reason     string `json:"reason"`
}

// Verdict is what somebody decides on a request.
type Verdict struct {
	Consent bool `json:"consent"`
}

// View is a request as the API and the command line show it.
type View struct {
	ID         string     `json:"id"`
	Collection string     `json:"collection"`
	Subject    string     `json:"subject"`
	State      string     `json:"state"` // asked, consented, declined, seen
	AskedBy    string     `json:"asked_by"`
	Asked      *time.Time `json:"asked"`
	Ends       *time.Time `json:"ends,omitempty"` // until when it may be decided on, or seen
	Reason     string     `json:"reason,omitempty"`
	DecidedBy  string     `json:"decided_by,omitempty"`
	Decided    *time.Time `json:"decided,omitempty"`
	Own        bool       `json:"own"`
	MayDecide  bool       `json:"may_decide"`
	MaySee     bool       `json:"may_see"`

	// Identities are in the one answer that tells who the subject is.
	Identities []reidentification.Identity `json:"identities,omitempty"`
}

var stateNames = map[reidentification.State]string{reidentification.Asked: "asked", reidentification.Consented: "consented", reidentification.Declined: "declined", reidentification.Seen: "seen"}

// ViewItem shows a request.
func ViewItem(i Item) View {
	v := View{ID: strconv.FormatInt(i.ID, 10), Collection: string(i.Collection), Subject: string(i.Pseudonym), State: stateNames[i.State], AskedBy: i.AskedBy, Asked: admin.When(i.Asked),
		Reason: i.Reason, DecidedBy: i.DecidedBy, Decided: admin.When(i.Decided), Own: i.Own, MayDecide: i.MayDecide, MaySee: i.MaySee}
	if i.MayDecide || i.MaySee || i.Own {
		v.Ends = admin.When(i.Ends())
	}
	return v
}
