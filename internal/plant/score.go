package plant

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What became of an input.
const (
	Cleaned = "cleaned"
	Held    = "held" // or refused, or failed with a word: nothing was written
	Missing = "missing"
)

// A Fate is what a tool says became of an input.
type Fate struct {
	Outcome string // Cleaned or Held; what it leaves empty is missing
	Path    string // of the output; below the output folder
	Why     []string
	Pixels  bool // held for what its pixels may show, and for nothing else
}

// An Output is what a tool left behind.
type Output struct {
	Dir   string
	Fates []Fate // one for each file of the set, in its order
	Said  []byte // what it printed, and what it reports to whoever gets the output
}

// A Rate is how many of so many.
type Rate struct {
	Of    int `json:"of"`
	Right int `json:"right"`
}

func (r *Rate) count(right bool) {
	r.Of++
	if right {
		r.Right++
	}
}

// Percent is 100 if there was nothing to get wrong.
func (r Rate) Percent() float64 {
	if r.Of == 0 {
		return 100
	}
	return 100 * float64(r.Right) / float64(r.Of)
}

func (r Rate) String() string { return fmt.Sprintf("%.2f %% of %d", r.Percent(), r.Of) }

// String is the score in a line.
func (r *Score) String() string {
	return fmt.Sprintf("%d files: %d cleaned, %d held; removal %v, %d identifying bytes; retained %v; UIDs %v, subjects %v, dates %v; images cleaned %v and %d held for their pixels; in pixels %v",
		r.Files, r.Cleaned, r.Held, r.Removal, r.Bytes, r.Retained, r.Graph, r.Subject, r.Intervals, r.Images, r.PixelHeld, r.Burned)
}

// Short is what falls short of the bars that the project has set itself. Of a tool that reads pixels, text in them has to be gone, and an image that is held for its pixels is not cleaned.
func (r *Score) Short(readsPixels bool) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, f := range r.Failures {
		if readsPixels || f.What != "pixels" {
			say("%s %s of %s %s %s", f.What, f.Site, f.File, f.Path, f.Form)
		}
	}
	if r.Removal.Right < r.Removal.Of || r.Bytes > 0 {
		say("%d planted identities of %d are left, %d bytes", r.Removal.Of-r.Removal.Right, r.Removal.Of, r.Bytes)
	}
	if r.Retained.Percent() < 99.9 || r.Graph.Percent() < 100 || r.Subject.Percent() < 100 || r.Intervals.Percent() < 100 || r.Claims.Percent() < 100 {
		say("%v retained, UIDs %v, subjects %v, dates %v, claims %v", r.Retained, r.Graph, r.Subject, r.Intervals, r.Claims)
	}
	images := r.Images
	if readsPixels {
		images.Of += r.PixelHeld
		if r.Burned.Right < r.Burned.Of || r.Burned.Of == 0 {
			say("in pixels %v", r.Burned)
		}
	}
	if images.Percent() < 97 || images.Of == 0 {
		say("of images %v were cleaned", images)
	}
	if r.Missing+r.Broken > 0 {
		say("%d files are missing without a word, %d cannot be read", r.Missing, r.Broken)
	}
	return out
}

// A Failure is one thing that went wrong; it names the place, not the value.
type Failure struct {
	What string `json:"what"` // removal, pixels, retained, uid, date, subject, claim, file
	Site string `json:"site,omitempty"`
	File string `json:"file"` // kind and subject
	Path string `json:"path,omitempty"`
	Form string `json:"form,omitempty"` // of a value, how it differs
}

// A Score is what a tool's output is worth.
type Score struct {
	Contender string `json:"contender"`
	Version   string `json:"version,omitempty"`
	Seed      uint64 `json:"seed"`
	Subjects  int    `json:"subjects"`
	Files     int    `json:"files"`
	Cleaned   int    `json:"cleaned"`
	Held      int    `json:"held"`
	Missing   int    `json:"missing"`    // without a word
	Broken    int    `json:"unreadable"` // written, but no DICOM

	Removal   Rate            `json:"removal"`           // planted identities that are gone
	Bytes     int             `json:"identifying_bytes"` // that are left, in files, names and reports
	Burned    Rate            `json:"burned_in"`         // text in pixels that is gone or whose object is held
	Retained  Rate            `json:"retained"`          // of cleaned and missing files
	Graph     Rate            `json:"uid_graph"`
	Subject   Rate            `json:"subject_map"`
	Intervals Rate            `json:"date_intervals"`
	Images    Rate            `json:"images_cleaned"` // of those not held for their pixels alone
	PixelHeld int             `json:"images_held_for_pixels"`
	Claims    Rate            `json:"claims"` // nothing untrue is said, no digest without a key is written
	Sites     map[string]Rate `json:"sites"`
	Validity  *Rate           `json:"valid,omitempty"` // files without an error of dciodvfy that the input had not
	Failures  []Failure       `json:"failures,omitempty"`
	Seconds   float64         `json:"seconds,omitempty"`
}

// Score reads an output and compares it with the key.
func (s *Set) Score(o *Output) (*Score, error) {
	if len(o.Fates) != len(s.Files) {
		return nil, fmt.Errorf("score: %d fates for %d files", len(o.Fates), len(s.Files))
	}
	r := &Score{Seed: s.Seed, Subjects: s.Subjects, Files: len(s.Files), Sites: map[string]Rate{}}
	fail := func(what, site string, f *File, path, form string) {
		r.Failures = append(r.Failures, Failure{What: what, Site: site, File: f.String(), Path: path, Form: form})
	}
	hashes := s.digests()
	g := newGraph()
	for i, f := range s.Files {
		fate := o.Fates[i]
		var out []byte
		outcome := fate.Outcome
		if outcome == Cleaned {
			b, err := os.ReadFile(filepath.Join(o.Dir, fate.Path))
			if out = b; err != nil {
				outcome = Missing
			}
		}
		var v *views
		switch outcome {
		case Cleaned:
			v = viewsOf(out, fate.Path)
			if f.Syntax != "" && v.file == nil {
				r.Broken++
				fail("file", "", f, "", "it cannot be read")
			} else {
				r.Cleaned++
			}
		case Held:
			r.Held++
		default:
			outcome = Missing
			r.Missing++
			fail("file", "", f, "", "it is missing without a word")
		}
		for _, it := range f.Planted {
			left := 0
			if v != nil {
				left = v.find(it, f)
			}
			gone := outcome == Held || v != nil && left == 0 && (v.file != nil || f.Syntax == "")
			r.Bytes += left
			r.Removal.count(gone)
			site := r.Sites[it.Site]
			site.count(gone)
			r.Sites[it.Site] = site
			if !gone {
				fail("removal", it.Site, f, v.where(it), "")
			}
		}
		for _, gl := range f.Glyphs {
			gone := outcome == Held || v != nil && v.painted(gl)
			r.Burned.count(gone)
			if !gone {
				fail("pixels", gl.Site, f, "", "")
			}
		}
		if f.Image && f.Exempt == "" {
			switch {
			case fate.Pixels && outcome == Held:
				r.PixelHeld++
			default:
				r.Images.count(outcome == Cleaned && v.file != nil)
				if outcome == Held {
					fail("held", "", f, "", strings.Join(fate.Why, ", "))
				}
			}
		}
		if outcome == Held || f.Exempt != "" {
			continue
		}
		var ds *dicom.Dataset
		if v != nil && v.file != nil {
			ds = v.file.Data
		}
		s.compare(r, f, v, ds, g, fail)
		claim := ds == nil || !(strings.Contains(string(v.raw), "113102") || ds.String(dicom.TagRecognizableVisualFeatures) == "NO")
		r.Claims.count(claim)
		if !claim {
			fail("claim", "L69", f, "", "")
		}
		if ds != nil {
			plain := true
			for _, h := range hashes {
				plain = plain && !strings.Contains(string(v.lower), h)
			}
			r.Claims.count(plain)
			if !plain {
				fail("claim", "L84", f, "", "")
			}
		}
	}
	g.score(r, fail)
	s.listen(r, o.Said)
	return r, nil
}

// listen looks for identities in what the tool said.
func (s *Set) listen(r *Score, said []byte) {
	v := &views{raw: said, lower: asciiLower(said), text: said, close: squeeze(said)}
	for _, n := range slices.Sorted(maps.Keys(s.shared)) {
		for _, it := range s.shared[n] {
			if it.Word {
				continue
			}
			left := v.find(it, nil)
			r.Claims.count(left == 0)
			r.Bytes += left
			if left > 0 {
				r.Failures = append(r.Failures, Failure{What: "claim", Site: "L85", File: fmt.Sprintf("what it said of subject %d", n)})
			}
		}
	}
	for _, f := range s.Files {
		if folder, _, ok := strings.Cut(f.Name, "_"); ok {
			left := v.find(Item{Text: folder}, nil)
			r.Claims.count(left == 0)
			if left > 0 {
				r.Failures = append(r.Failures, Failure{What: "claim", Site: "L86", File: f.String()})
			}
		}
	}
}

// digests are those that a table of all numbers would undo.
func (s *Set) digests() []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(s.ids)) {
		for _, id := range s.ids[n] {
			m, h, k := md5.Sum([]byte(id)), sha1.Sum([]byte(id)), sha256.Sum256([]byte(id))
			out = append(out, hex.EncodeToString(m[:8]), hex.EncodeToString(h[:8]), hex.EncodeToString(k[:8]))
		}
	}
	return out
}

// compare counts what had to stay.
func (s *Set) compare(r *Score, f *File, v *views, ds *dicom.Dataset, g *uidGraph, fail func(what, site string, f *File, path, form string)) {
	paths := map[string]int{}
	if ds != nil {
		for i := range ds.Len() {
			if p := ds.Path(i); p != "" {
				if _, twice := paths[p]; !twice {
					paths[p] = i
				}
			}
		}
	}
	at := func(path string) (int, bool) { i, ok := paths[path]; return i, ok }
	for _, k := range f.Kept {
		have, form := "", "absent"
		switch i, ok := at(k.Path); {
		case k.Path == csaPath:
			if i, ok := at("(0029,1010)"); ok {
				have = csaField(ds.Value(i), "B_value")
			}
		case ok && k.Words:
			have, form = ds.Text(i), "words lost"
			if missesWord(have, k.Want) {
				have = ""
			} else {
				have = k.Want
			}
		case ok:
			if have, ok = shown(ds, i); ok {
				form = "other"
				parts := strings.Split(have, `\`)
				for n := range parts {
					parts[n] = number(parts[n])
				}
				have = join(parts)
			}
		}
		r.Retained.count(have == k.Want)
		if have != k.Want {
			fail("retained", "", f, k.Path, form)
		}
	}
	if f.stream {
		right := ds != nil && v.stream() == f.Stream
		r.Retained.count(right)
		if !right {
			fail("retained", "L60", f, "(7FE0,0010)", "other pixels")
		}
	}
	for _, k := range f.UIDs {
		have := ""
		if i, ok := at(k.Path); ok {
			have = join(ds.Strings(i))
		}
		g.uid(f, k, have)
	}
	if ds != nil && v.file.Meta != nil {
		g.uid(f, Value{Path: "(0002,0003)", Want: sopOf(f)}, v.file.Meta.UID(dicom.TagMediaStorageSOPInstanceUID))
	}
	for _, k := range f.Dates {
		have := ""
		if i, ok := at(k.Path); ok {
			have = ds.Text(i)
		}
		g.date(f, k, have)
	}
	id := ""
	if ds != nil {
		id = ds.String(dicom.TagPatientID)
	}
	g.subject(f, id, s.ids[f.Subject])
}

func sopOf(f *File) string {
	for _, u := range f.UIDs {
		if u.Path == "(0008,0018)" {
			return u.Want
		}
	}
	return ""
}

func missesWord(have, want string) bool {
	for w := range strings.FieldsSeq(want) {
		if !hasWord(have, w) && !strings.Contains(" "+strings.ToLower(have)+" ", " "+strings.ToLower(w)+" ") {
			return true
		}
	}
	return false
}

// stream is the digest of the pixels.
func (v *views) stream() [32]byte {
	i := v.file.Data.PixelData()
	if i < 0 {
		return [32]byte{}
	}
	b := bulk(v.file, i)
	if ts := v.file.Syntax(); ts != nil && ts.Encapsulated {
		return sum(entropy(fragments(b)))
	}
	return sum(b)
}

// painted reports that hardly a dot of the text is left.
func (v *views) painted(g Glyphs) bool {
	if v.file == nil {
		return false
	}
	i := v.file.Data.PixelData()
	if i < 0 {
		return true
	}
	b := bulk(v.file, i)
	left := 0
	for _, at := range g.At {
		if at < len(b) && b[at] == g.Ink {
			left++
		}
	}
	return left*20 < len(g.At)
}

// where is the first element that an item is left in.
func (v *views) where(it Item) string {
	if v == nil || v.file == nil {
		return ""
	}
	p := patternsOf(it.Text)
	for _, ds := range []*dicom.Dataset{v.file.Meta, v.file.Data} {
		if ds == nil {
			continue
		}
		for i := range ds.Len() {
			el := ds.At(i)
			if el.IsItem() || el.IsSequence() {
				continue
			}
			b := ds.Value(i)
			if ds == v.file.Data && ds.IsBulk(i) {
				b = bulk(v.file, i)
			}
			if it.Word && ds.VR(i).IsText() && hasWord(ds.Text(i), it.Text) {
				return ds.Path(i)
			}
			if it.Word {
				continue
			}
			low := asciiLower(b)
			if slices.ContainsFunc(p.lower, func(x []byte) bool { return strings.Contains(string(low), string(x)) }) ||
				slices.ContainsFunc(p.exact, func(x []byte) bool { return strings.Contains(string(b), string(x)) }) ||
				ds.VR(i).IsText() && strings.Contains(strings.ToLower(strings.Map(plain, ds.Text(i))), string(p.text)) {
				return ds.Path(i)
			}
		}
	}
	return "outside of elements"
}

// A uidGraph gathers over all files what must fit together.
type uidGraph struct {
	uids     map[string]map[string]int // original to what it became, how often
	uses     []use
	shifts   map[int]map[int]int // subject to days, how often
	dates    []use
	subjects map[int]map[string]int
	ids      []use
}

type use struct {
	f    *File
	path string
	from string
	to   string
	days int
	ok   bool
}

func newGraph() *uidGraph {
	return &uidGraph{uids: map[string]map[string]int{}, shifts: map[int]map[int]int{}, subjects: map[int]map[string]int{}}
}

func tally[K comparable, V comparable](m map[K]map[V]int, k K, v V) {
	if m[k] == nil {
		m[k] = map[V]int{}
	}
	m[k][v]++
}

func (g *uidGraph) uid(f *File, k Value, have string) {
	if have != "" {
		tally(g.uids, k.Want, have)
	}
	g.uses = append(g.uses, use{f: f, path: k.Path, from: k.Want, to: have})
}

func (g *uidGraph) date(f *File, k Value, have string) {
	u := use{f: f, path: k.Path, from: k.Want, to: have}
	a, err1 := time.Parse("20060102", k.Want[:8])
	if len(have) >= 8 {
		b, err2 := time.Parse("20060102", have[:8])
		if u.ok = err1 == nil && err2 == nil; u.ok {
			u.days = int(b.Sub(a).Hours() / 24)
			tally(g.shifts, f.Subject, u.days)
		}
	}
	g.dates = append(g.dates, u)
}

func (g *uidGraph) subject(f *File, have string, were [2]string) {
	u := use{f: f, to: have, ok: have != "" && strings.TrimSpace(have) != strings.TrimSpace(were[0]) && strings.TrimSpace(have) != strings.TrimSpace(were[1])}
	if have != "" {
		tally(g.subjects, f.Subject, have)
	}
	g.ids = append(g.ids, u)
}

// mode is what was seen most, the least of equals.
func mode[V int | string](m map[V]int) V {
	var best V
	n := 0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] > n {
			best, n = k, m[k]
		}
	}
	return best
}

func (g *uidGraph) score(r *Score, fail func(what, site string, f *File, path, form string)) {
	to := map[string]string{}
	from := map[string]int{}
	for _, k := range slices.Sorted(maps.Keys(g.uids)) {
		to[k] = mode(g.uids[k])
		from[to[k]]++
	}
	for _, u := range g.uses {
		right := u.to != "" && u.to != u.from && u.to == to[u.from] && from[u.to] == 1
		r.Graph.count(right)
		if !right {
			fail("uid", "", u.f, u.path, form(u.to == "", u.to == u.from, "another than elsewhere"))
		}
	}
	for _, u := range g.dates {
		right := u.ok && u.days != 0 && u.days == mode(g.shifts[u.f.Subject])
		r.Intervals.count(right)
		if !right {
			fail("date", "", u.f, u.path, form(u.to == "", u.ok && u.days == 0, "another interval"))
		}
	}
	whose := map[string]int{}
	for _, n := range slices.Sorted(maps.Keys(g.subjects)) {
		whose[mode(g.subjects[n])]++
	}
	for _, u := range g.ids {
		m := mode(g.subjects[u.f.Subject])
		right := u.ok && u.to == m && whose[m] == 1
		r.Subject.count(right)
		if !right {
			fail("subject", "L82", u.f, "(0010,0020)", form(u.to == "", !u.ok, "not its subject's alone"))
		}
	}
}

func form(absent, same bool, else_ string) string {
	switch {
	case absent:
		return "absent"
	case same:
		return "as it was"
	}
	return else_
}
