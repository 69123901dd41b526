package review

import (
	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Explained is a reason in words for who decides.
type Explained struct {
	catalogue.Reason
	Title      string // what it is called in a list
	Question   string // what a person has to look for, or why looking does not help
	Answerable bool   // a person's word can set it aside
}

type words struct{ title, question string }

var wordsOf = map[string]words{
	deid.CodePixels:     {"Writing in the picture", "Look at every frame: is there a name, a number, a date or a face that tells who this is?"},
	deid.CodeDeclared:   {"Said to have writing in it", "The object says of itself that identifying text is in its pixels. Look at every frame whether it is right."},
	deid.CodeCapture:    {"A picture of a screen or a film", "Screens and films carry names and numbers at their edges. Is there any?"},
	deid.CodePhotograph: {"A photograph", "Does it show the person, or something that tells who this is: a face, a tattoo, a name on a wristband?"},
	deid.CodeWriting:    {"Writing was found in the picture", "Something that looks like writing was found. Does it tell who this is? The boxes show where."},
	deid.CodeUnsure:     {"It could not be told what the picture shows", "The machine could not tell whether there is writing, or could not paint it over. Look at every frame."},
	deid.CodeUnread:     {"Its pixels were not read", "This node was started without what reads pixels, so nobody has looked for writing or a face in it. Look at every frame; or have the node started as before, and it reads them."},
	deid.CodeLabel:      {"A slide's label", "Is what is written on the label, or the slide's edge, a number or name of the patient or the specimen?"},
	deid.CodeFace:       {"A face could be shown", "Could the person be recognised by what the volume shows?"},
	deid.CodeFaceFound:  {"A face can be rendered from the slices", "Its slices together show a head, or what cannot be told from one. Could the person be recognised by a picture of its skin?"},
	deid.CodeText:       {"Text that has to be read", "Its text is cleaned by the vocabulary: what is not an ordinary word goes. Is what is left nobody's?"},
	deid.CodeWaveform:   {"Notes on a waveform", "The notes are cleaned by the vocabulary: what is not an ordinary word goes. Is what is left nobody's?"},
	deid.CodeSOPClass:   {"A kind that the standard does not list", "It is cleaned by the same rules as every object. Is it an image of the kind that this collection keeps?"},
	deid.CodeVideo:      {"A video", "Watch it whole: is there a name, a number, a date, a face or a voice that tells who this is?"},
	deid.CodeDocument:   {"A document", "Of a document the rules leave nothing, so it cannot be accepted. Keep it restricted, for stewards alone, or refuse it."},
	deid.CodeOverlay:    {"A layer within the pixels", "It lies in bits that no picture shows, so looking cannot answer it. Ask its depositor for the image without it."},
	deid.CodeNested:     {"A picture within the header", "It is not shown with the image, so looking cannot answer it. Ask its depositor for the image without it."},
	deid.CodeOpaque:     {"Data that no rule can read", "There is nothing to look at, so it cannot be accepted. Keep it restricted, for stewards alone, or refuse it."},
	deid.CodeBulk:       {"A large value beside the pixels", "No rule can read it, so it cannot be accepted. Ask its depositor for the image without it."},
	deid.CodeGate:       {"Something known of the patient", "What is known of the patient was found where it would have stayed. Accepted, it is taken out, if that can be done; the rest is cleaned as ever."},
	deid.CodeLexicon:    {"Too many identifiers", "One subject's names and numbers are more than are searched for. Its depositor has to look whether this is one patient."},
	deid.CodeOrder:      {"Elements out of order", "Readers disagree about what such an object says. Its depositor has to mend it."},
	deid.CodeDuplicate:  {"An element that is there twice", "Readers disagree about what such an object says. Its depositor has to mend it."},
	deid.CodeNoUID:      {"A UID is missing", "It does not say what it belongs to. Its depositor has to mend it."},
	custody.CodeEcho:    {"Something that was learned later", "What is known by now to identify is in it: a later image revealed it, or somebody has said so. Accepted, it is taken out, if that can be done."},
	CodeRulingEnded:     {"A standing decision was ended", "It had been accepted by a standing decision that holds no more. Does it show or say who this is?"},
	"uncatalogued":      {"Not fit for the catalogue", "What describes it breaks the catalogue's rules. A later version may take it."},

	deid.CodeUnreadable:          {"It could not be cleaned", "The cleaned object could not be written. A later version may do it."},
	catalogue.CodeConflict:       {"Other bytes under a known UID", "Another object has its SOP Instance UID. Accepted, it stands beside that one under a UID of its own."},
	catalogue.CodeAnotherSubject: {"In another patient's study", "Its study is known as another subject's. Whose it is, its depositor has to say."},
	"kept-as-deposited":          {"Its UID is taken", "The collection keeps UIDs as they come, so it cannot stand beside the object that has this one."},
}

// Explain gives a reason words for who decides.
func Explain(r catalogue.Reason) Explained {
	e := Explained{Reason: r, Answerable: answerable(r)}
	w, ok := wordsOf[r.Code]
	if !ok {
		w = words{"It waits for a person", r.Text}
	}
	e.Title, e.Question = w.title, w.question
	switch {
	case r.Code == deid.CodeVideo && r.Where == dicom.TagSOPClassUID.String():
		e.Question = "Nobody can be shown to have watched it whole, so an object of this class cannot be accepted. Keep it restricted, for stewards alone, or refuse it."
	case r.Code == deid.CodeVideo && !e.Answerable:
		e.Title, e.Question = "Pixels that lie elsewhere", "The object points to pixels that did not come with it. Ask its depositor for the image itself."
	case r.Code == deid.CodeBulk && e.Answerable:
		e.Question = "It had to be taken out while it came, which is not possible on the way. Accepted, it is taken out."
	}
	return e
}
