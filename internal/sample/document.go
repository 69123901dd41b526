package sample

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const encapsulatedPDFStorage = "1.2.840.10008.5.1.4.1.1.104.1"

// report is a letter about the third person, as encapsulated PDF: a document, which is held until somebody cleans it.
func report(p *Person, tp int) *Study {
	x := newExam(p, tp, "DOC", 16, 20, wharfePT)
	x.desc = "Report FDG PET/CT"
	s := x.newStudy()
	s.make = append(s.make, x.letter)
	return s
}

func (x *exam) letter() (*Instance, error) {
	ts := dicom.ExplicitVRLittleEndian
	o := x.begin(ts)
	p := x.p
	series := x.series(o, 1, "DOC", "Report", x.at)
	doc := pdf("Report on "+p.written(), []string{
		x.site.name,
		"To " + physicianWritten(p.Physician),
		"",
		fmt.Sprintf("%s, born %s, NHS %s, hospital number %s", p.written(), p.Born.Format("2 January 2006"), p.NHS, p.MRN),
		p.Address,
		"",
		fmt.Sprintf("FDG PET/CT of %s. Uptake of all six lesions has fallen further;", x.at.Format("2 January 2006")),
		"good partial metabolic response. Reported by " + physicianWritten(x.site.reader) + ".",
	})
	o.String(dicom.TagAcquisitionDateTime, dt(x.at))
	o.String(dicom.TagBurnedInAnnotation, "YES")
	o.String(dicom.TagConversionType, "WSD")
	o.text(dicom.TagDocumentTitle, "Report on "+p.written())
	o.code(dicom.TagConceptNameCodeSequence, code{"18748-4", "LN", "Diagnostic imaging study"})
	o.String(dicom.TagMIMETypeOfEncapsulatedDocument, "application/pdf")
	o.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, doc)
	o.Ints(dicom.TagEncapsulatedDocumentLength, len(doc))
	return x.finish(o, ts, encapsulatedPDFStorage, "DOC", series, 1, 1, x.at)
}

// pdf is a document of one page in PDF 1.4. Its text is ASCII.
func pdf(title string, lines []string) []byte {
	quote := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`)
	var page strings.Builder
	page.WriteString("BT /F1 11 Tf 16 TL 60 770 Td\n")
	for _, l := range lines {
		fmt.Fprintf(&page, "(%s) Tj T*\n", quote.Replace(l))
	}
	page.WriteString("ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		fmt.Sprintf("<< /Title (%s) /Producer (Sample) >>", quote.Replace(title)),
	}
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, body := range objects {
		offsets[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	at := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, off := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", off)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, len(objects), at)
	return out.Bytes()
}
