package dicomweb

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
)

// Failure reasons (0008,1197) of PS3.18 Table I.2-2, and warning reasons (0008,1196). The two warnings are the node's own, in the range that PS3.7 C.4
// leaves to warnings: the instance is kept, and waits for a worker or a steward.
const (
	failProcessing  = 0x0110
	failInvalid     = 0x0117
	failDenied      = 0x0124
	failResources   = 0xA700
	failMismatch    = 0xA900
	failUnreadable  = 0xC000
	failSyntax      = 0xC122
	warningHeld     = 0xB010
	warningConflict = 0xB011
)

// failureReason maps what custody refuses to a code, the one that C-STORE answers with too (PS3.4 Table B.2-1): a data set that was read and lacks what every SOP class
// requires does not match its SOP class; one that cannot be read is not understood.
func failureReason(err error) int {
	refusal, ok := errors.AsType[*custody.Refusal](err)
	if !ok {
		if fault.Is(err, fault.Unavailable) {
			return failResources
		}
		return failProcessing
	}
	switch refusal.Reason.Code {
	case "unknown-transfer-syntax":
		return failSyntax
	case "missing-uid", "mismatch", "study-mismatch":
		return failMismatch
	case "invalid-uid":
		if refusal.Reason.Where == dicom.TagSOPInstanceUID.String() {
			return failInvalid // PS3.7 C.5.7: it breaks the rules for UIDs
		}
		return failMismatch
	}
	switch fault.KindOf(refusal) {
	case fault.Invalid:
		return failUnreadable
	case fault.TooLarge, fault.Unavailable:
		return failResources
	case fault.Denied:
		return failDenied
	}
	return failProcessing
}

// answerStore writes the Store Instances Response Module (PS3.18 I). The UIDs in it are those that the sender sent. It gives no Retrieve URL: instances
// are kept under other UIDs, and the answer must not tie the two.
func (d *Door) answerStore(w http.ResponseWriter, r *http.Request, as modelForm, results []*stored, ended error) {
	var failed, stopped int
	var kept, refused, other []*stored
	for _, s := range results {
		switch {
		case s.err == nil:
			kept = append(kept, s)
			continue
		case instanceOf(s.err) != "":
			refused = append(refused, s)
		default:
			other = append(other, s)
		}
		failed++
		if fault.Is(s.err, fault.Unavailable) {
			stopped++
		}
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
	items := func(tag dicom.Tag, of []*stored, fill func(*dicom.Builder, *stored)) {
		var fns []func(*dicom.Builder)
		for _, s := range of {
			fns = append(fns, func(item *dicom.Builder) { fill(item, s) })
		}
		if len(fns) > 0 {
			b.Sequence(tag, fns...)
		}
	}
	items(dicom.TagReferencedSOPSequence, kept, func(item *dicom.Builder, s *stored) {
		item.String(dicom.TagReferencedSOPClassUID, s.receipt.SOPClassUID)
		item.String(dicom.TagReferencedSOPInstanceUID, s.receipt.SOPInstanceUID)
		switch s.receipt.Outcome {
		case custody.Held:
			item.Ints(dicom.TagWarningReason, warningHeld)
			if r := s.receipt.Reasons; len(r) > 0 {
				comment(item, r[0].Where, r[0].Text)
			}
		case custody.Conflict:
			item.Ints(dicom.TagWarningReason, warningConflict)
			comment(item, "", "other bytes are known under this SOP Instance UID") // whatever else it would be held for
		}
	})
	items(dicom.TagFailedSOPSequence, refused, func(item *dicom.Builder, s *stored) {
		item.String(dicom.TagReferencedSOPClassUID, classOf(s.err))
		item.String(dicom.TagReferencedSOPInstanceUID, instanceOf(s.err))
		item.Ints(dicom.TagFailureReason, failureReason(s.err))
		explain(item, s.err)
	})
	if ended != nil {
		other = append(other, &stored{err: ended})
	}
	items(dicom.TagOtherFailuresSequence, other, func(item *dicom.Builder, s *stored) {
		item.Ints(dicom.TagFailureReason, failureReason(s.err))
		explain(item, s.err)
	})
	data, err := b.Dataset()
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	contentType, write := "application/dicom+json", dicom.AppendJSON
	if as != modelJSON {
		contentType, write = "application/dicom+xml", dicom.AppendXML
	}
	body, err := write(nil, data, dicom.JSONOptions{})
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	code := http.StatusOK
	switch {
	case len(kept) > 0 && (failed > 0 || ended != nil):
		code = http.StatusAccepted
	case len(kept) == 0 && ended == nil && stopped == failed:
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	case len(kept) == 0:
		code = http.StatusConflict
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "private, no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // what is kept is kept, whether the sender reads so or not
}

func refusalOf(err error) *custody.Refusal {
	r, _ := errors.AsType[*custody.Refusal](err)
	return r
}

// instanceOf is the sender's SOP Instance UID, if it could be read and is fit for an answer.
func instanceOf(err error) string {
	if r := refusalOf(err); r != nil && len(r.SOPInstanceUID) <= 64 {
		return r.SOPInstanceUID
	}
	return ""
}

func classOf(err error) string {
	if r := refusalOf(err); r != nil && len(r.SOPClassUID) <= 64 {
		return r.SOPClassUID
	}
	return ""
}

// explain says where and why an instance was refused.
func explain(item *dicom.Builder, err error) {
	if r := refusalOf(err); r != nil {
		comment(item, r.Reason.Where, r.Reason.Text)
		return
	}
	p, _ := web.ProblemOf(err)
	comment(item, "", p.Detail)
}

// comment says where and why in words. The module has no element for that (PS3.18 I.2); (0000,0902) is C-STORE's, and what other archives put there.
func comment(item *dicom.Builder, where, text string) {
	text = custody.Reason{Where: where, Text: text}.Within(64)
	line := make([]byte, 0, 64) // an LO (PS3.5 6.2)
	for _, c := range text {
		if len(line) == cap(line) {
			break
		}
		if c < ' ' || c > '~' || c == '\\' {
			c = '?'
		}
		line = append(line, byte(c))
	}
	item.String(dicom.TagErrorComment, string(line))
}
