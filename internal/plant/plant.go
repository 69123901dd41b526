// Package plant measures de-identification by its outcome: it makes files in which identities are planted at known places, with an answer key, and scores
// what a tool made of them by the tool's output alone.
//
// [Generate] is a function of a seed. Its subjects have names with diacritics, particles, hyphens, two surnames, names of two letters and names that are
// words of the clinic, in Latin, Cyrillic, Greek, Arabic, Japanese, Chinese and Korean scripts; each has an object of every kind that a hospital's archive
// holds, in several transfer syntaxes. The places are those of [Sites]: each planted identity is a made-up word (or a number, a date, a UID) that stands
// at that place alone, so that what is found again says where it leaked. Nobody in it exists.
//
// The answer key says of each file what must be gone, which values must be as they were, which dates have to keep their intervals, which UIDs refer to
// which, and whose it is. [Score] reads the output as anybody could: every decoded element, and every byte in the usual encodings, compressed and
// disguised forms included. A file that is missing without a word counts as a failure, and so does one that cannot be read.
//
// The package knows nothing of Vitrine but the encoding.
package plant

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// An Item is an identity at one place of a file.
type Item struct {
	Site string // an ID of [Sites]
	Text string // what must be gone, in whatever encoding or disguise
	Word bool   // so short or so common that only a whole word of a decoded element is it
}

// A Value is one that must be as it was.
type Value struct {
	Path  string // as dicom.Dataset.Path writes it
	Want  string
	Words bool // Want's words have to be there, others may
}

// A Glyphs is text drawn into the pixels of an uncompressed image.
type Glyphs struct {
	Site string
	Ink  byte
	At   []int // offsets into the pixel data
}

// A File is one input, and the key to it.
type File struct {
	Name    string // path below the input folder; it names the patient, as exports do
	Kind    string // of [Kinds]
	Syntax  string // name of its transfer syntax; empty if it is no DICOM
	Subject int    // from 1
	Image   bool   // an image that a tool should clean rather than hold
	Bytes   []byte

	Planted []Item
	Glyphs  []Glyphs
	Kept    []Value
	Dates   []Value // dates whose intervals have to hold, by path: YYYYMMDD
	UIDs    []Value // UIDs that have to be others, the same everywhere
	Stream  [32]byte
	stream  bool // Stream is the digest of the code stream behind its headers, or of uncompressed pixels
	Exempt  string
}

// A Set is the input of a benchmark.
type Set struct {
	Seed     uint64
	Subjects int
	Files    []*File
	Absent   []string // what could not be made here, and why

	shared map[int][]Item // identities of a subject, which stand in many places
	ids    map[int][2]string
}

// Options of [Generate].
type Options struct {
	Seed     uint64
	Subjects int      // 30 unless given
	Thin     int      // of the kinds of object each subject has one in so many; all unless given
	Encoders Encoders // those at hand; see [Installed]
}

// Generate makes the files of a seed.
func Generate(o Options) (*Set, error) {
	if o.Subjects == 0 {
		o.Subjects = 30
	}
	s := &Set{Seed: o.Seed, Subjects: o.Subjects, shared: map[int][]Item{}, ids: map[int][2]string{}}
	for _, e := range o.Encoders {
		if e.Encode == nil {
			s.Absent = append(s.Absent, fmt.Sprintf("%s (%s is not installed)", e.Syntax, e.Program))
		}
	}
	names := newNamer(o.Seed)
	generic := genericSites()
	turn := 0
	for _, p := range people(o.Seed, o.Subjects, names) {
		s.shared[p.n] = p.needles()
		s.ids[p.n] = [2]string{p.mrn, p.mrnAlso}
		for k := range kinds {
			if o.Thin > 1 && (k+p.n)%o.Thin != 0 {
				continue
			}
			f, err := s.file(p, k, names, o.Encoders, func(m *maker) {
				// So many of the places that every object has, in turn: each place meets every kind sooner or later.
				for range 7 {
					g := generic[turn%len(generic)]
					turn++
					if g.fits == nil || g.fits(m) {
						g.plant(m)
					}
				}
			})
			if err != nil {
				return nil, fmt.Errorf("make %s of subject %d: %w", kinds[k].name, p.n, err)
			}
			if f != nil {
				s.Files = append(s.Files, f)
			}
		}
		s.Files = append(s.Files, foreign(p, names)...)
	}
	return s, nil
}

// file makes one file of a subject; nil where its encoder is absent.
func (s *Set) file(p *person, k int, names *namer, encoders Encoders, more func(*maker)) (*File, error) {
	kd := &kinds[k]
	m := &maker{
		set: s, p: p, kind: kd, names: names, r: rand.New(rand.NewPCG(s.Seed, uint64(p.n)<<16|uint64(k))), ts: kd.ts, encoders: encoders,
		f: &File{Kind: kd.name, Subject: p.n, Image: kd.image}, at: p.first.AddDate(0, 0, 37*(k%3)).Add(time.Duration(8*60+11*k) * time.Minute),
	}
	if m.ts == nil {
		m.ts = dicom.ExplicitVRLittleEndian
	}
	if kd.encoder != "" && encoders.of(kd.encoder) == nil {
		return nil, nil
	}
	terms := p.terms
	if m.ts != dicom.ImplicitVRLittleEndian && m.ts.BigEndian { // a relay that rewrote it wrote one set
		terms = p.terms[:1]
		if len(p.terms) > 1 {
			terms = []string{"ISO_IR 192"}
		}
	}
	var err error
	if m.charset, err = dicom.ParseCharacterSets(terms); err != nil {
		return nil, err
	}
	m.o = obj{dicom.NewBuilder(m.ts), m}
	m.o.Text(dicom.TagSpecificCharacterSet, dicom.VRCS, terms...)
	m.class = kd.class
	m.study = m.uid("study/%d/%d", p.n, k%3)
	m.series = m.uid("series/%d/%d", p.n, k)
	m.sop = m.uid("instance/%d/%d", p.n, k)
	m.frame = m.uid("frame/%d/%d", p.n, k%3)
	m.common()
	kd.build(m)
	more(m)
	return m.finish()
}

// A maker makes one file.
type maker struct {
	set      *Set
	p        *person
	kind     *kind
	f        *File
	names    *namer
	r        *rand.Rand
	ts       *dicom.TransferSyntax
	encoders Encoders
	charset  *dicom.CharacterSets
	o        obj
	at       time.Time // begin of the study

	class, study, series, sop, frame string

	preamble []byte
	meta     []func(*dicom.Builder)
	splice   func(ds []byte) []byte // last change to the encoded data set
	tail     []byte                 // behind the data set
	drawn    []func(px []byte)
	size     int // rows and columns of an image with text in it

	commented int
	err       error
}

// An obj is a data set, or an item of one, in the maker's character sets.
type obj struct {
	*dicom.Builder
	m *maker
}

// text adds an element of the dictionary, encoded by the file's character sets; what they lack is left out.
func (o obj) text(tag dicom.Tag, values ...string) {
	e, ok := dicom.LookupTag(tag)
	vr := dicom.VRLO
	if ok {
		vr = e.VR
	}
	o.textAs(tag, vr, values...)
}

func (o obj) textAs(tag dicom.Tag, vr dicom.VR, values ...string) {
	s := strings.Join(values, `\`)
	b, err := o.m.charset.Encode(s)
	if err != nil {
		b, err = o.m.charset.Encode(strings.Map(func(r rune) rune {
			if r > 0x7E {
				return -1
			}
			return r
		}, s))
		if err != nil && o.m.err == nil {
			o.m.err = err
		}
	}
	o.Raw(tag, vr, b)
}

func (o obj) items(tag dicom.Tag, fill ...func(obj)) {
	fs := make([]func(*dicom.Builder), len(fill))
	for i, f := range fill {
		fs[i] = func(b *dicom.Builder) { f(obj{b, o.m}) }
	}
	o.Sequence(tag, fs...)
}

// code adds a sequence of coded entries: value, scheme, meaning (PS3.3 8).
func (o obj) code(tag dicom.Tag, codes ...[3]string) {
	var fill []func(obj)
	for _, c := range codes {
		fill = append(fill, func(o obj) {
			o.text(dicom.TagCodeValue, c[0])
			o.text(dicom.TagCodingSchemeDesignator, c[1])
			o.text(dicom.TagCodeMeaning, c[2])
		})
	}
	o.items(tag, fill...)
}

func (o obj) reference(tag dicom.Tag, class, instance string) {
	o.items(tag, func(o obj) {
		o.String(dicom.TagReferencedSOPClassUID, class)
		o.String(dicom.TagReferencedSOPInstanceUID, instance)
	})
}

// token is a new name, planted at a site.
func (m *maker) token(site string) string {
	s := m.names.next()
	m.gone(site, s)
	return s
}

func (m *maker) gone(site string, texts ...string) {
	for _, t := range texts {
		m.f.Planted = append(m.f.Planted, Item{Site: site, Text: t})
	}
}

// keep says that the words have to be left of a text.
func (m *maker) keep(path, words string) {
	// A later site may have put something else there.
	for i, v := range m.f.Kept {
		if v.Path == path {
			m.f.Kept[i].Want = words
			return
		}
	}
	m.f.Kept = append(m.f.Kept, Value{Path: path, Want: words, Words: true})
}

// exempt says why holding or refusing the file is as good as cleaning it.
func (m *maker) exempt(why string) { m.f.Exempt = why }

// uid is a UID below 2.25 (PS3.5 B.2), or below a vendor's root with a serial number and a time in it.
func (m *maker) uid(key string, args ...any) string {
	h := sum(fmt.Sprintf("%d/", m.set.Seed) + fmt.Sprintf(key, args...))
	h[6], h[8] = h[6]&0x0F|0x50, h[8]&0x3F|0x80
	return "2.25." + new(big.Int).SetBytes(h[:16]).String()
}

func (m *maker) finish() (*File, error) {
	f := m.f
	m.o.String(dicom.TagSOPClassUID, m.class)
	m.o.String(dicom.TagSOPInstanceUID, m.sop)
	m.o.String(dicom.TagStudyInstanceUID, m.study)
	m.o.String(dicom.TagSeriesInstanceUID, m.series)
	ds, err := m.o.Dataset()
	if m.err != nil {
		err = m.err
	}
	if err != nil {
		return nil, err
	}
	f.Syntax = m.ts.Name
	meta, err := m.group2()
	if err != nil {
		return nil, err
	}
	f.readKey(ds)
	body := ds.Bytes()
	if m.splice != nil {
		body = m.splice(bytes.Clone(body))
	}
	body = append(bytes.Clone(body), m.tail...)
	if m.ts.Deflated {
		var z bytes.Buffer
		w, err := flate.NewWriter(&z, flate.DefaultCompression)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		if z.Len()%2 == 1 {
			z.WriteByte(0)
		}
		body = z.Bytes()
	}
	f.Bytes = make([]byte, 128, 132+len(meta)+len(body))
	copy(f.Bytes, m.preamble)
	f.Bytes = append(append(append(f.Bytes, "DICM"...), meta...), body...)

	// Identities of the subject stand everywhere; in this file, those that it has.
	folder := m.names.next()
	f.Name = fmt.Sprintf("%s_%s/%s/IM%04d", folder, m.p.nhs, m.at.Format("20060102"), len(m.set.Files)+1)
	m.gone("L07", folder)
	m.gone("L02", m.sop)
	m.gone("L29", m.study, m.series)
	// What a later site has overwritten is not there. An identity of the subject may stand anywhere, and does in most files.
	v := viewsOf(f.Bytes, f.Name)
	var there []Item
	for _, it := range append(f.Planted, m.set.shared[m.p.n]...) {
		if v.find(it, f) > 0 {
			there = append(there, it)
		}
	}
	f.Planted = there
	f.settle()
	return f, nil
}

func (m *maker) group2() ([]byte, error) {
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.Raw(dicom.TagFileMetaInformationVersion, dicom.VROB, []byte{0, 1})
	b.String(dicom.TagMediaStorageSOPClassUID, m.class)
	b.String(dicom.TagMediaStorageSOPInstanceUID, m.sop)
	b.String(dicom.TagTransferSyntaxUID, m.ts.UID)
	b.String(dicom.TagImplementationClassUID, "2.25.224637112906483021184095712044781953021")
	b.String(dicom.TagImplementationVersionName, "PLANTED")
	for _, f := range m.meta {
		f(b)
	}
	d, err := b.Dataset()
	if err != nil {
		return nil, err
	}
	b.Ints(dicom.TagFileMetaInformationGroupLength, len(d.Bytes()))
	if d, err = b.Dataset(); err != nil {
		return nil, err
	}
	return d.Bytes(), nil
}
