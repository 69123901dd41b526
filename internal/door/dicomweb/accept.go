package dicomweb

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
)

// mediaRange is one element of an Accept header (RFC 9110 12.5.1).
type mediaRange struct {
	name   string // "multipart/related", "image/*"; lower case
	params map[string]string
	q      float64
}

// transferSyntax is the transfer syntax asked for: "*" for any, empty if none is named (PS3.18 8.7.3.5.2).
func (m *mediaRange) transferSyntax() string { return m.params["transfer-syntax"] }

// inner is the media type of the parts of a multipart answer.
func (m *mediaRange) inner() string { return strings.ToLower(m.params["type"]) }

const maxRanges = 64

// accepted reads what the client takes, best first: the query parameter accept (PS3.18 8.3.3.1), else the header, else anything.
func accepted(r *http.Request) ([]mediaRange, error) {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if p := r.URL.Query()["accept"]; len(p) > 0 {
		header = strings.Join(p, ",")
	}
	if strings.TrimSpace(header) == "" {
		header = "*/*"
	}
	ranges, ok := parseAccept(header)
	if !ok {
		return nil, web.Refuse(http.StatusBadRequest, "read Accept", "it is not a list of media types", `Write for example: multipart/related; type="application/dicom"; transfer-syntax=*`)
	}
	slices.SortStableFunc(ranges, func(a, b mediaRange) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	return slices.DeleteFunc(ranges, func(m mediaRange) bool { return m.q <= 0 }), nil
}

// parseAccept splits at commas outside quotes.
func parseAccept(s string) ([]mediaRange, bool) {
	if len(s) > 8<<10 {
		return nil, false
	}
	var out []mediaRange
	p := acceptParser{s: s}
	for {
		p.space()
		if p.take(',') { // empty elements are to be ignored (RFC 9110 5.6.1.2)
			continue
		}
		if p.at == len(s) {
			return out, len(out) > 0 && len(out) <= maxRanges
		}
		m := mediaRange{params: map[string]string{}, q: 1}
		main := p.token()
		if !p.take('/') {
			return nil, false
		}
		sub := p.token()
		if main == "" || sub == "" || main == "*" && sub != "*" {
			return nil, false
		}
		m.name = strings.ToLower(main + "/" + sub)
		for {
			p.space()
			if !p.take(';') {
				break
			}
			p.space()
			name := strings.ToLower(p.token())
			if name == "" { // a lone semicolon
				continue
			}
			if !p.take('=') {
				return nil, false
			}
			value, ok := p.value()
			if !ok {
				return nil, false
			}
			if name == "q" {
				q, err := strconv.ParseFloat(value, 64)
				if err != nil || !(q >= 0 && q <= 1) {
					return nil, false
				}
				m.q = q
				continue
			}
			m.params[name] = value
		}
		p.space()
		if p.at < len(s) && !p.take(',') {
			return nil, false
		}
		if out = append(out, m); len(out) > maxRanges {
			return nil, false
		}
	}
}

type acceptParser struct {
	s  string
	at int
}

func (p *acceptParser) space() {
	for p.at < len(p.s) && (p.s[p.at] == ' ' || p.s[p.at] == '\t') {
		p.at++
	}
}

func (p *acceptParser) take(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *acceptParser) token() string {
	from := p.at
	for p.at < len(p.s) && p.s[p.at] > ' ' && p.s[p.at] < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, p.s[p.at]) < 0 {
		p.at++
	}
	return p.s[from:p.at]
}

// value is a token or a quoted string. Viewers send application/dicom and image/* without the quotes that the slash asks for.
func (p *acceptParser) value() (string, bool) {
	if !p.take('"') {
		from := p.at
		for p.at < len(p.s) && p.s[p.at] > ' ' && p.s[p.at] < 0x7f && p.s[p.at] != ';' && p.s[p.at] != ',' && p.s[p.at] != '"' {
			p.at++
		}
		return p.s[from:p.at], p.at > from
	}
	var b strings.Builder
	for p.at < len(p.s) {
		c := p.s[p.at]
		p.at++
		switch {
		case c == '"':
			return b.String(), true
		case c == '\\' && p.at < len(p.s):
			c = p.s[p.at]
			p.at++
		}
		b.WriteByte(c)
	}
	return "", false
}

func notAcceptable(attempt, reason, advice string) error {
	return web.Refuse(http.StatusNotAcceptable, attempt, reason, advice)
}

// form is how objects are answered.
type form int

const (
	formParts form = iota + 1 // multipart/related; type="application/dicom"
	formFile                  // application/dicom
	formZip                   // application/zip
)

// objectForm chooses how whole objects go out. single says that one object is asked for. plainly tells of an object, by the transfer syntax that it is kept in, whether it
// goes out as it is kept or in Explicit VR Little Endian.
//
// Without a transfer-syntax parameter PS3.18 8.7.3.5.2 expects Explicit VR Little Endian; the node gives what is kept then, says so in the Content-Type, and makes the
// plain form for those that name it.
func objectForm(r *http.Request, single bool) (f form, plainly func(*dicom.TransferSyntax) (bool, error), err error) {
	const attempt = "retrieve objects"
	ranges, err := accepted(r)
	if err != nil {
		return 0, nil, err
	}
	for i := range ranges {
		m := &ranges[i]
		switch m.name {
		case "*/*", "multipart/*":
			f = formParts
		case "multipart/related":
			switch m.inner() {
			case "", "application/dicom", "application/*", "*/*":
				f = formParts
			}
		case "application/dicom", "application/*":
			if single {
				f = formFile
			}
		case "application/zip":
			f = formZip
		}
		if f != 0 {
			return f, fitting(attempt, ranges), nil
		}
	}
	return 0, nil, notAcceptable(attempt, "none of the media types in Accept is one of these objects'", `Ask for multipart/related; type="application/dicom", for application/zip, or, of one instance, for application/dicom.`)
}

// fitting tells whether any of the ranges allows a transfer syntax, best first; true where only the plain form of it is allowed.
func fitting(attempt string, ranges []mediaRange) func(*dicom.TransferSyntax) (bool, error) {
	return func(ts *dicom.TransferSyntax) (bool, error) {
		for i := range ranges {
			switch ranges[i].transferSyntax() {
			case "", "*", ts.UID:
				return false, nil
			case dicom.ExplicitVRLittleEndianUID:
				return true, nil
			}
		}
		return false, transcoding(attempt, ts)
	}
}

func transcoding(attempt string, ts *dicom.TransferSyntax) error {
	return notAcceptable(attempt, "it is kept in another transfer syntax ("+ts.UID+"), and is transcoded to "+dicom.ExplicitVRLittleEndianUID+" alone", "Ask with transfer-syntax=*, or with one of these two.")
}

// modelForm is how data sets without their bulk values go out.
type modelForm int

const (
	modelJSON  modelForm = iota + 1 // application/dicom+json (PS3.18 F)
	modelParts                      // multipart/related; type="application/dicom+xml" (PS3.19 A.1)
	modelXML                        // application/dicom+xml: one data set
)

// modelAs chooses between JSON and XML. single says that the answer is one data set, which may go out as XML without a multipart around it.
func modelAs(r *http.Request, attempt string, single bool) (modelForm, error) {
	ranges, err := accepted(r)
	if err != nil {
		return 0, err
	}
	for i := range ranges {
		switch ranges[i].name {
		case "*/*", "application/*", "application/dicom+json", "application/json":
			return modelJSON, nil
		case "application/dicom+xml":
			if single {
				return modelXML, nil
			}
		case "multipart/related", "multipart/*":
			switch ranges[i].inner() {
			case "application/dicom+json": // some viewers send it
				return modelJSON, nil
			case "application/dicom+xml", "", "*/*", "application/*":
				return modelParts, nil
			}
		}
	}
	return 0, notAcceptable(attempt, "the answer is DICOM JSON or XML", `Ask for application/dicom+json, or for multipart/related; type="application/dicom+xml".`)
}

// pixelMedia is the media type that PS3.18 Table 8.7.3-5 gives a compressed transfer syntax; empty if it has none.
func pixelMedia(uid string) string {
	const jpeg = "1.2.840.10008.1.2.4."
	switch uid {
	case jpeg + "50", jpeg + "51", jpeg + "57", jpeg + "70":
		return "image/jpeg"
	case "1.2.840.10008.1.2.5":
		return "image/dicom-rle"
	case jpeg + "80", jpeg + "81":
		return "image/jls"
	case jpeg + "90", jpeg + "91":
		return "image/jp2"
	case jpeg + "92", jpeg + "93":
		return "image/jpx"
	case jpeg + "201", jpeg + "202", jpeg + "203":
		return "image/jphc"
	case jpeg + "110", jpeg + "111", jpeg + "112":
		return "image/jxl"
	case jpeg + "100", jpeg + "100.1", jpeg + "101", jpeg + "101.1":
		return "video/mpeg"
	case jpeg + "102", jpeg + "102.1", jpeg + "103", jpeg + "103.1", jpeg + "104", jpeg + "104.1", jpeg + "105", jpeg + "105.1", jpeg + "106", jpeg + "106.1":
		return "video/mp4"
	case jpeg + "107", jpeg + "108":
		return "video/H265"
	}
	return ""
}

const octets = "application/octet-stream"

// pixelForm is how frames or bulk values go out.
type pixelForm struct {
	multipart bool
	media     string // of each part, or of the one
	swap      bool   // stored big endian, wanted little endian
	decode    bool   // stored as code streams, wanted uncompressed
}

// syntax is the transfer syntax of the pixels that go out.
func (p pixelForm) syntax(stored *dicom.TransferSyntax) string {
	if p.swap || p.decode {
		return dicom.ExplicitVRLittleEndianUID
	}
	return stored.UID
}

// contentType is the media type of the part, with its transfer syntax where that matters.
func (p pixelForm) contentType(uid string) string {
	return p.media + "; transfer-syntax=" + uid
}

// pixelsAs chooses how the pixels of an object that is kept in ts go out. single says that one value is asked for, which may go out without a
// multipart around it; encapsulated, that they are code streams.
//
// Octets without a transfer-syntax parameter mean pixels that are not compressed (PS3.18 8.7.3.3.1); where they are, they are decoded.
func pixelsAs(r *http.Request, ts *dicom.TransferSyntax, encapsulated, single bool) (pixelForm, error) {
	const attempt = "retrieve pixels"
	ranges, err := accepted(r)
	if err != nil {
		return pixelForm{}, err
	}
	media, refused := octets, false
	if encapsulated {
		if m := pixelMedia(ts.UID); m != "" {
			media = m
		}
	}
	for i := range ranges {
		m := &ranges[i]
		inner, multi := m.name, false
		if m.name == "multipart/related" {
			inner, multi = m.inner(), true
			if inner == "" {
				inner = "*/*"
			}
		}
		if !multi && !single && inner != "*/*" {
			refused = true
			continue
		}
		multi = multi || !single
		want := m.transferSyntax()
		f := pixelForm{multipart: multi}
		switch main, _, _ := strings.Cut(media, "/"); {
		case inner == "*/*" || inner == "multipart/*":
			f.media = media
		case inner == octets || inner == "application/*":
			f.media = octets
			f.decode = encapsulated && (want == "" || want == dicom.ExplicitVRLittleEndianUID)
		case strings.EqualFold(inner, media) || encapsulated && inner == main+"/*" || media == "image/dicom-rle" && inner == "image/x-dicom-rle":
			f.media = media
		default:
			continue
		}
		switch {
		case want == "" || want == "*" || want == ts.UID:
		case want == dicom.ExplicitVRLittleEndianUID && (f.decode || !encapsulated):
			// Uncompressed octets are the same in all little endian transfer syntaxes.
		default:
			refused = true
			continue
		}
		f.swap = ts.BigEndian && want != "*" && want != ts.UID
		return f, nil
	}
	if refused {
		return pixelForm{}, transcoding(attempt, ts)
	}
	return pixelForm{}, notAcceptable(attempt, "none of the media types in Accept is one of these pixels'", `Ask for multipart/related; type="application/octet-stream"; transfer-syntax=*`)
}
