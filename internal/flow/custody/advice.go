package custody

// advice says to who deposits what to do about a reason, by its code: of what is held nothing but to wait, unless they can mend it at the source.
var advice = map[string]string{
	"not-dicom":               "Choose the folder that holds the images as DICOM files. Pictures and documents are not taken here.",
	"archive":                 "Choose the folder, or an archive, that holds the images as DICOM files.",
	"archive-damaged":         "Pack it again, as zip or tar, or send the folder. What is here already does no harm when it comes again.",
	"archive-over-limit":      "Send the folder, or pack it into several archives.",
	"archive-encrypted":       "Pack it without a password: what is sent is encrypted on its way, and here.",
	"unreadable":              "Export it again from where it came from: this copy cannot be read.",
	"truncated":               "Export it again from where it came from: this copy was cut off.",
	"unknown-transfer-syntax": "Export it again, uncompressed or in a compression that DICOM names.",
	"over-limit":              "Ask the node's administrator about its limits.",
	"dicomdir":                "There is nothing to do: the files that it lists are what counts.",
	"missing-uid":             "Export it again from where it came from: without these identifiers it cannot be filed.",
	"invalid-uid":             "Export it again from where it came from: without these identifiers it cannot be filed.",
	"duplicate-element":       "Export it again from where it came from: readers would disagree about it.",
	"mismatch":                "Export it again from where it came from.",
	"study-mismatch":          "Send it with the study that it belongs to.",
	"conflict":                "A steward compares the two. If the new one is right, tell them so.",
	"burned-in-text":          "The node reads its pixels when the deposit has ended, and paints over what looks like text; what it cannot judge a steward looks at. There is nothing to do.",
	"burned-in-declared":      "The node reads its pixels when the deposit has ended, and paints over what looks like text; what it cannot judge a steward looks at. There is nothing to do.",
	"photograph":              "A steward looks at the picture, and accepts or refuses it. There is nothing to do.",
	"writing-found":           "A steward looks at the pixels, and accepts or refuses it. There is nothing to do.",
	"pixels-unsure":           "A steward looks at the pixels, and accepts or refuses it. There is nothing to do.",
	"screen-capture":          "The node reads its pixels when the deposit has ended, and paints over what looks like text; what it cannot judge a steward looks at. There is nothing to do.",
	"document":                "A steward reads it. There is nothing to do.",
	"structured-text":         "A steward reads it. There is nothing to do.",
	"gate":                    "A steward looks at where the identifier stands. There is nothing to do.",
	"echo":                    "A steward looks at where the identifier stands. There is nothing to do.",
	"face":                    "A steward decides whether the face may be kept. There is nothing to do.",
	"slide-label":             "A steward looks at the label. There is nothing to do.",
}

// Advice is what its sender may do about it; empty where there is none to give.
func (r Reason) Advice() string { return advice[r.Code] }
