package catalogue

import (
	"encoding/json"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Absent stands for an Instance Number or Series Number that is not there; it sorts after all that are.
const Absent = int64(1) << 40

// StudyAttributes are the attributes of patient and study that searches match and return (PS3.18 Tables 10.6.1-5 and 10.6.3-3), as text without
// padding, of the cleaned object.
type StudyAttributes struct {
	PatientName, PatientID, BirthDate, Sex string
	StudyDate, StudyTime                   string
	AccessionNumber, StudyID, Description  string
	ReferringPhysicianName, Timezone       string
	JSON                                   string // the other attributes of that level as a DICOM JSON object (PS3.18 F.2), or nothing
}

func (a *StudyAttributes) fields() []*string {
	return []*string{&a.PatientName, &a.PatientID, &a.BirthDate, &a.Sex, &a.StudyDate, &a.StudyTime, &a.AccessionNumber, &a.StudyID, &a.Description,
		&a.ReferringPhysicianName, &a.Timezone}
}

// Request is an item of the Request Attributes Sequence (PS3.3 C.7.3.1).
type Request struct{ ScheduledStepID, RequestedProcedureID string }

// SeriesAttributes are those of a series (PS3.18 Table 10.6.3-4).
type SeriesAttributes struct {
	Modality, Description, BodyPart string
	StepDate, StepTime              string // Performed Procedure Step Start
	Number                          int64  // Absent where there is none
	Requests                        []Request
	JSON                            string
}

func (a *SeriesAttributes) fields() []*string {
	return []*string{&a.Modality, &a.Description, &a.BodyPart, &a.StepDate, &a.StepTime}
}

// fill takes what this side lacks from the other and reports whether it took anything. The first object of a study decides, later ones complete.
func fill(mine, theirs []*string) bool {
	changed := false
	for i, f := range mine {
		if *f == "" && *theirs[i] != "" {
			*f, changed = *theirs[i], true
		}
	}
	return changed
}

// InstanceAttributes are those of an instance (PS3.18 Table 10.6.3-5).
type InstanceAttributes struct {
	SOPClass, TransferSyntax             string
	Number                               int64 // Absent where there is none
	Rows, Columns, BitsAllocated, Frames int64 // 0 where there is none
}

// Entry is one object that lies durably in a pack.
type Entry struct {
	Collection collection.ID
	Subject    subject.ID
	Study      StudyUID
	Series     SeriesUID
	SOP        SOPUID

	StudyAttributes    StudyAttributes  // ignored while the object is held
	SeriesAttributes   SeriesAttributes // ignored while the object is held
	InstanceAttributes InstanceAttributes

	Ref      Ref
	HeadSize int64
	BulkSize int64
	Digest   [32]byte // keyed, of the content: equal means the same bytes again
	State    State    // policy.Received or policy.Held; policy.Restricted of one whose held record is lost
	Reasons  []Reason // why it is held
	Deposit  DepositID
	Ordinal  int64 // of the object in its deposit, from 1
	Lexicon  int64 // version of the subject's lexicon that the gate searched for
	Unread   bool  `json:",omitempty"` // its pixels are to be read before it is admitted
}

// maxJSON bounds the attributes that are kept as text for includefield.
const maxJSON = 32 << 10

// prepare checks an entry and makes its text fit for storage.
func (e *Entry) prepare() error {
	const attempt = "add to catalogue"
	on := "item " + DepositID(e.Ordinal).String() + " of deposit " + e.Deposit.String()
	if _, err := collection.ParseID(string(e.Collection)); err != nil {
		return err
	}
	for _, err := range []error{valid[StudyUID](string(e.Study)), valid[SeriesUID](string(e.Series)), valid[SOPUID](string(e.SOP))} {
		if err != nil {
			return fault.Wrap(fault.Invalid, attempt, on, err)
		}
	}
	switch {
	case e.State != received && e.State != held && e.State != restricted:
		return fault.New(fault.Internal, attempt, on, "an object is added as received, as held or as restricted")
	case e.State != received && len(e.Reasons) == 0:
		return fault.New(fault.Internal, attempt, on, "an object is held without a reason")
	case e.Deposit <= 0 || e.Ref.Offset < 0 || e.HeadSize < 0 || e.BulkSize < 0:
		return fault.New(fault.Internal, attempt, on, "its deposit, place or size is missing")
	}
	for _, f := range e.StudyAttributes.fields() {
		*f = clean(*f)
	}
	for _, f := range e.SeriesAttributes.fields() {
		*f = clean(*f)
	}
	for i := range e.SeriesAttributes.Requests {
		r := &e.SeriesAttributes.Requests[i]
		r.ScheduledStepID, r.RequestedProcedureID = clean(r.ScheduledStepID), clean(r.RequestedProcedureID)
	}
	a := &e.InstanceAttributes
	a.SOPClass, a.TransferSyntax = clean(a.SOPClass), clean(a.TransferSyntax)
	for _, j := range []*string{&e.StudyAttributes.JSON, &e.SeriesAttributes.JSON} {
		if *j == "" {
			continue
		}
		// An escaped NUL would be valid JSON and unfit for PostgreSQL's own JSON functions; nothing needs it. It comes from a sender, and what is
		// acknowledged has to be catalogued: so it is left out, and no error.
		if strings.Contains(*j, `\u0000`) {
			*j = ""
			continue
		}
		if len(*j) > maxJSON || !json.Valid([]byte(*j)) || (*j)[0] != '{' {
			return fault.New(fault.Invalid, attempt, on, "its attributes are not a DICOM JSON object of at most 32 KiB")
		}
	}
	return nil
}

func valid[U StudyUID | SeriesUID | SOPUID](s string) error {
	u, err := ParseUID[U](s)
	if err == nil && string(u) != s {
		err = fault.New(fault.Invalid, "read UID", "", "it is padded")
	}
	return err
}

func reasonsText(r []Reason) (string, error) {
	if len(r) == 0 {
		return "", nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "write reasons", "", err)
	}
	return string(b), nil
}

func parseReasons(s string) ([]Reason, error) {
	if s == "" {
		return nil, nil
	}
	var r []Reason
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return nil, fault.New(fault.Corrupt, "read reasons", "", "they are not JSON")
	}
	return r, nil
}
