package plant

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// views are the ways in which a file is read.
type views struct {
	file  *dicom.File // nil if it is no DICOM
	raw   []byte      // all bytes, with what is compressed within them inflated behind
	lower []byte      // the same with ASCII in lower case
	text  []byte      // every decoded element, a line each: lower case, without characters of no width, digits of full width as digits
	close []byte      // the same without what people put between digits
	words []element   // elements for whole words
}

type element struct{ path, text string }

// most is how much is taken of what is compressed within a file.
const most = 4 << 20

func viewsOf(b []byte, name string) *views {
	v := &views{raw: append([]byte(name+"\n"), b...)}
	if f, err := dicom.Parse(b, dicom.DefaultLimits); err == nil {
		v.file = f
		if f.Syntax() != nil && f.Syntax().Deflated {
			v.raw = append(v.raw, f.Data.Bytes()...)
			if i := f.Data.PixelData(); i >= 0 {
				v.raw = append(v.raw, bulk(f, i)...)
			}
		}
		var text strings.Builder
		for _, ds := range []*dicom.Dataset{f.Meta, f.Data} {
			v.decode(ds, &text)
		}
		text.WriteString(name)
		v.text = []byte(strings.ToLower(strings.Map(plain, text.String())))
		v.close = squeeze(v.text)
	}
	v.inflate(b)
	v.lower = asciiLower(v.raw)
	return v
}

func (v *views) decode(ds *dicom.Dataset, text *strings.Builder) {
	if ds == nil {
		return
	}
	for i := range ds.Len() {
		el := ds.At(i)
		if el.IsItem() || el.IsSequence() || ds.IsBulk(i) {
			continue
		}
		vr := ds.VR(i)
		var s string
		switch {
		case vr.IsText():
			s = ds.Text(i)
		case vr == dicom.VRUN || vr == dicom.VROB:
			s = string(bytes.ToValidUTF8(ds.Value(i), []byte{' '}))
		default:
			continue
		}
		text.WriteString(s)
		text.WriteByte('\n')
		switch vr {
		case dicom.VRPN, dicom.VRLO, dicom.VRLT, dicom.VRST, dicom.VRSH, dicom.VRUT, dicom.VRUC, dicom.VRUN:
			v.words = append(v.words, element{ds.Path(i), s})
		}
	}
}

// plain leaves out characters that nobody sees, and makes digits of full width plain.
func plain(r rune) rune {
	switch {
	case r == '\u200b' || r == '\u200c' || r == '\u200d' || r == '\ufeff' || r == '\u00ad':
		return -1
	case r >= '０' && r <= '９':
		return r - '０' + '0'
	}
	return r
}

// squeeze takes out what stands between two digits: a space, a stop, a stroke.
func squeeze(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i, c := range b {
		if (c == ' ' || c == '.' || c == '-' || c == '/') && i > 0 && i+1 < len(b) && isDigit(b[i-1]) && isDigit(b[i+1]) {
			continue
		}
		out = append(out, c)
	}
	return out
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// inflate looks for streams of gzip and zlib at every offset.
func (v *views) inflate(b []byte) {
	for i := 0; i+4 < len(b); i++ {
		var r io.Reader
		var err error
		switch {
		case b[i] == 0x1F && b[i+1] == 0x8B && b[i+2] == 8:
			r, err = gzip.NewReader(bytes.NewReader(b[i:]))
		case b[i] == 0x78 && (b[i+1] == 0x01 || b[i+1] == 0x5E || b[i+1] == 0x9C || b[i+1] == 0xDA):
			r, err = zlib.NewReader(bytes.NewReader(b[i:]))
		default:
			continue
		}
		if err != nil {
			continue
		}
		out, _ := io.ReadAll(io.LimitReader(r, most)) // as far as it goes
		if len(out) >= 8 {
			v.raw = append(append(v.raw, '\n'), out...)
		}
	}
}

func asciiLower(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return out
}

// find is how many bytes of the file are the item, in whatever form it stands there.
func (v *views) find(it Item, f *File) int {
	n := 0
	if it.Word {
		for _, e := range v.words {
			// Where a word of the clinic has to stay, it may be the subject's name too.
			if f != nil && slices.ContainsFunc(f.Kept, func(k Value) bool { return k.Words && k.Path == e.path && hasWord(k.Want, it.Text) }) {
				continue
			}
			if hasWord(e.text, it.Text) {
				n += len(it.Text)
			}
		}
		return n
	}
	p := patternsOf(it.Text)
	for _, x := range p.lower {
		n += len(x) * bytes.Count(v.lower, x)
	}
	for _, x := range p.exact {
		n += len(x) * bytes.Count(v.raw, x)
	}
	if n == 0 {
		n += len(p.text) * bytes.Count(v.text, p.text)
	}
	if n == 0 && p.digits {
		n += len(p.close) * bytes.Count(v.close, p.close)
	}
	return n
}

// hasWord looks for a whole word, in any case.
func hasWord(s, word string) bool {
	s, word = strings.ToLower(s), strings.ToLower(word)
	for at := 0; ; {
		i := strings.Index(s[at:], word)
		if i < 0 {
			return false
		}
		i += at
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+len(word):])
		if !unicode.IsLetter(before) && !unicode.IsLetter(after) {
			return true
		}
		at = i + len(word)
	}
}

// patterns are the forms that a text can have in bytes.
type patterns struct {
	lower  [][]byte // to be looked for in ASCII lower case
	exact  [][]byte
	text   []byte
	close  []byte
	digits bool // six digits or more, and little else
}

var (
	patternsMu sync.Mutex
	known      = map[string]*patterns{}
)

var charsets = []encoding.Encoding{
	charmap.ISO8859_1, charmap.ISO8859_2, charmap.ISO8859_5, charmap.ISO8859_6, charmap.ISO8859_7, charmap.ISO8859_9, japanese.ISO2022JP, japanese.EUCJP, japanese.ShiftJIS,
	korean.EUCKR, simplifiedchinese.GB18030,
}

func patternsOf(s string) *patterns {
	patternsMu.Lock()
	defer patternsMu.Unlock()
	if p := known[s]; p != nil {
		return p
	}
	low := strings.ToLower(s)
	p := &patterns{text: []byte(strings.ToLower(strings.Map(plain, s)))}
	add := func(b []byte) {
		b = asciiLower(b)
		// Fewer bytes are found in noise.
		if len(b) >= 5 && !slices.ContainsFunc(p.lower, func(x []byte) bool { return bytes.Equal(x, b) }) {
			p.lower = append(p.lower, b)
		}
	}
	for _, v := range []string{s, low, strings.ToUpper(s)} {
		add([]byte(v))
		for _, e := range charsets {
			if b, err := e.NewEncoder().Bytes([]byte(v)); err == nil {
				add(b)
			}
		}
		add(wide(v, false))
		add(wide(v, true))
		add([]byte(hex.EncodeToString([]byte(v))))
	}
	if utf8.RuneCountInString(s) >= 6 {
		add([]byte(reversed(s)))
		for _, v := range []string{s, low, strings.ToUpper(s)} {
			for shift := range 3 {
				// What of the base64 does not depend on what stands before and behind.
				enc := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), v...))
				enc = enc[(shift*8+5)/6 : (shift+len(v))*8/6]
				if len(enc) >= 7 {
					p.exact = append(p.exact, []byte(enc))
				}
			}
		}
	}
	d := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if p.digits = len(d) >= 8 && len(d) >= len(s)-3; p.digits {
		p.close = []byte(d)
	}
	known[s] = p
	return p
}

func bulk(f *dicom.File, i int) []byte {
	if !f.Data.IsBulk(i) {
		return f.Data.Value(i)
	}
	b, err := io.ReadAll(f.Bulk(i))
	if err != nil {
		return nil
	}
	return b
}
