package deid

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Bounds of a profile's file.
const (
	MaxProfileSize = 256 << 10
	maxOwnRules    = 200
	maxOwnWords    = 2000
	maxOwnCases    = 200
	maxOwnElements = 500 // of one test
	maxFileNodes   = 50_000
	maxFileDepth   = 24
	maxProblems    = 20
)

// ParseProfile reads a collection's own profile: YAML with name, version, base, options, vocabulary, rules and tests (docs/guides/profiles.md). A fault
// Invalid says by line what is wrong with it: nothing that is misspelt is passed over. Its tests are run by [Profile.Test], not here.
func ParseProfile(b []byte) (*Profile, error) {
	r := &fileReader{}
	p := r.profile(b)
	if len(r.problems) > 0 {
		return nil, fault.New(fault.Invalid, "read profile", "", strings.Join(r.problems, "\n"))
	}
	return p, nil
}

// fileReader reads a file and collects what is wrong with it.
type fileReader struct {
	problems []string
	nodes    int
}

func (r *fileReader) fail(n *yaml.Node, format string, args ...any) {
	switch {
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, fmt.Sprintf("line %d: ", n.Line)+fmt.Sprintf(format, args...))
	case len(r.problems) == maxProblems:
		r.problems = append(r.problems, "and more")
	}
}

// shown is a word of the file, short enough to be said again.
func shown(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return strconv.Quote(s)
}

func (r *fileReader) profile(b []byte) *Profile {
	file := &yaml.Node{Line: 1}
	if len(b) > MaxProfileSize {
		r.fail(file, "a profile's file is at most %d KiB", MaxProfileSize>>10)
		return nil
	}
	if !utf8.Valid(b) {
		r.fail(file, "the file is not UTF-8")
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(file); err != nil {
		r.problems = append(r.problems, "it is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if err := d.Decode(&yaml.Node{}); err == nil {
		r.fail(file, "a file holds one profile")
		return nil
	}
	if !r.plain(file, 0) {
		return nil
	}
	if file.Kind != yaml.DocumentNode || len(file.Content) != 1 {
		r.fail(file, "the file holds no profile")
		return nil
	}
	root := file.Content[0]
	p := &Profile{own: &ownRules{digest: sha256.Sum256(b)}}
	base, add, remove := "research", Option(0), Option(0)
	var rules, cases, options *yaml.Node
	at := root
	r.mapping(root, "the profile", map[string]func(*yaml.Node){
		"name": func(n *yaml.Node) {
			p.Name = r.text(n)
			if !profileName(p.Name) {
				r.fail(n, "a name is 2 to 32 lower-case letters, digits and hyphens, and none of a profile that there is")
			}
		},
		"version": func(n *yaml.Node) {
			p.Version = r.text(n)
			if !profileVersion(p.Version) {
				r.fail(n, "a version is 1 to 16 digits, letters and points")
			}
		},
		"title": func(n *yaml.Node) { p.Title = r.sentence(n) },
		"base": func(n *yaml.Node) {
			base, at = r.text(n), n
		},
		"options": func(n *yaml.Node) {
			options = n
			r.mapping(n, "options", map[string]func(*yaml.Node){
				"add":    func(n *yaml.Node) { add = r.options(n) },
				"remove": func(n *yaml.Node) { remove = r.options(n) },
			})
		},
		"vocabulary": func(n *yaml.Node) { p.own.words, p.own.wordList = r.words(n) },
		"rules":      func(n *yaml.Node) { rules = n },
		"tests":      func(n *yaml.Node) { cases = n },
	}, "name", "version")
	named, err := Lookup(base)
	switch {
	case err != nil:
		r.fail(at, "there is no profile %s to stand on", shown(base))
		return nil
	case named.AsDeposited:
		r.fail(at, "as-deposited changes nothing: no rules stand on it")
		return nil
	}
	if options != nil {
		at = options
	}
	both, why := named.combine(add, remove)
	if why != "" {
		r.fail(at, "%s", why)
		return nil
	}
	p.Options, p.Generalise, p.HoldFaces = both.Options, both.Generalise, both.HoldFaces
	p.base, p.changed = named, both.changed
	if named.base != nil {
		p.base, p.changed = named.base, named.changed
		if both != named {
			p.changed = slices.Concat(named.changed, both.changed)
		}
	}
	if p.Title == "" {
		p.Title = "Own profile on " + base
	}
	if rules != nil {
		r.rules(p, rules)
	}
	for k := range p.own.rules {
		o := &p.own.rules[k]
		p.own.dependOn = p.own.dependOn || o.dependsOnObject()
		p.own.holds = p.own.holds || o.action == doHold
		p.own.shifts = p.own.shifts || o.action == doShift
		p.own.days = p.own.days || o.date != ""
		p.own.coarse = p.own.coarse || o.date != "" || o.time != ""
	}
	for k := range p.own.rules {
		if o := &p.own.rules[k]; o.action == doShift && p.has(RetainFullDates) {
			r.fail(&yaml.Node{Line: o.line}, "the rule %s shifts, and the profile retains full dates: a true date beside a shifted one tells by how much", o.ID)
		}
	}
	// What an action means depends on the profile as a whole: so only now.
	for k := range p.own.rules {
		r.possible(p, k)
	}
	if cases != nil {
		r.cases(p, cases)
	}
	return p
}

func profileName(s string) bool {
	return len(s) >= 2 && plainID(s) && !slices.Contains(Profiles(), s)
}

func plainID(s string) bool {
	if len(s) < 1 || len(s) > 32 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || digit(c) || c == '-') {
			return false
		}
	}
	return true
}

func profileVersion(s string) bool {
	for i := range len(s) {
		if !alnum(s[i]) && s[i] != '.' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 16
}

// plain refuses what makes a file say more than it shows: anchors, aliases, merges, tags; and what is too large or too deep.
func (r *fileReader) plain(n *yaml.Node, depth int) bool {
	if r.nodes++; r.nodes > maxFileNodes || depth > maxFileDepth {
		r.fail(n, "the file is too large or too deep")
		return false
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.fail(n, "anchors and aliases are not taken: write it out")
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!merge" {
		r.fail(n, "tags and merges are not taken")
		return false
	}
	for _, c := range n.Content {
		if !r.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// mapping gives each key's value to what reads it. Unknown, double and missing keys are wrong.
func (r *fileReader) mapping(n *yaml.Node, what string, known map[string]func(*yaml.Node), needed ...string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s is written as keys with values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		read, ok := known[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode || !ok:
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.fail(k, "%s has no %s; it has %s", what, shown(k.Value), strings.Join(names, ", "))
			continue
		case seen[k.Value]:
			r.fail(k, "%s is there twice", shown(k.Value))
			continue
		}
		seen[k.Value] = true
		read(v)
	}
	for _, k := range needed {
		if !seen[k] {
			r.fail(n, "%s needs %s", what, k)
		}
	}
}

// text is a scalar as it is written.
func (r *fileReader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fail(n, "one value is wanted here")
		return ""
	}
	return n.Value
}

// sentence is a text for people to read.
func (r *fileReader) sentence(n *yaml.Node) string {
	s := strings.Join(strings.Fields(r.text(n)), " ")
	if len(s) > 300 || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7F }) {
		r.fail(n, "at most 300 characters, on one line")
		return ""
	}
	return s
}

// list is one value, or several.
func (r *fileReader) list(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		if len(n.Content) == 0 {
			r.fail(n, "the list is empty")
		}
		return n.Content
	}
	return []*yaml.Node{n}
}

func (r *fileReader) texts(n *yaml.Node) []string {
	var out []string
	for _, c := range r.list(n) {
		if s := r.text(c); s != "" {
			out = append(out, s)
		} else {
			r.fail(c, "an empty value")
		}
	}
	return out
}

func (r *fileReader) options(n *yaml.Node) (all Option) {
	for _, c := range r.list(n) {
		o, ok := ParseOption(r.text(c))
		if !ok {
			r.fail(c, "there is no option %s; there are %s", shown(c.Value), strings.Join(Options(), ", "))
		}
		all |= o
	}
	return all
}

// words are further words that text may keep: letters, or letters and digits. A number by itself could be anything.
func (r *fileReader) words(n *yaml.Node) (map[string]struct{}, []string) {
	all := map[string]struct{}{}
	var list []string
	for _, c := range r.list(n) {
		line := r.text(c)
		list = append(list, line)
		for _, w := range strings.FieldsFunc(strings.ToLower(line), func(c rune) bool { return c == ' ' || c == '-' || c == '_' }) {
			letters := 0
			for i := range len(w) {
				if letter(w[i]) {
					letters++
				} else if !digit(w[i]) {
					letters = -1
					break
				}
			}
			switch {
			case letters < 0, len(w) > 40:
				r.fail(c, "a word of the vocabulary has letters and digits of ASCII alone, 40 at most")
			case letters == 0:
				r.fail(c, "a number by itself is no word: what it stands for could be anything")
			case len(w) == 1: // single letters stay beside words that do
			default:
				all[w] = struct{}{}
			}
		}
	}
	if len(all) > maxOwnWords {
		r.fail(n, "at most %d words", maxOwnWords)
	}
	return all, list
}

func (r *fileReader) rules(p *Profile, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "rules are a list")
		return
	}
	if len(n.Content) > maxOwnRules {
		r.fail(n, "at most %d rules", maxOwnRules)
		return
	}
	ids := map[string]bool{}
	for _, c := range n.Content {
		o := ownRule{line: c.Line}
		var parameters []string
		param := func(name string, read func(*yaml.Node)) func(*yaml.Node) {
			return func(n *yaml.Node) {
				parameters = append(parameters, name)
				read(n)
			}
		}
		var action *yaml.Node
		r.mapping(c, "a rule", map[string]func(*yaml.Node){
			"id": func(n *yaml.Node) {
				o.ID = r.text(n)
				if !plainID(o.ID) {
					r.fail(n, "an id is 1 to 32 lower-case letters, digits and hyphens")
				}
				if ids[o.ID] {
					r.fail(n, "the id %s is another rule's", shown(o.ID))
				}
				ids[o.ID] = true
			},
			"reason": func(n *yaml.Node) { o.Reason = r.sentence(n) },
			"match":  func(n *yaml.Node) { r.match(&o, n) },
			"action": func(n *yaml.Node) {
				action = n
				var ok bool
				if o.action, ok = ownActions[r.text(n)]; !ok {
					r.fail(n, "there is no action %s; there are clean, code, empty, generalise, hold, keep, remove, replace, shift", shown(n.Value))
				}
			},
			"value": param("value", func(n *yaml.Node) { o.value = r.text(n) }),
			"bands": param("bands", func(n *yaml.Node) { o.bands = r.number(n, 2, 50, "an age band has 2 to 50 years") }),
			"over":  param("over", func(n *yaml.Node) { o.over = r.number(n, 1, 89, "over is an age up to 89: greater ones never stay") }),
			"round": param("round", func(n *yaml.Node) {
				f, err := strconv.ParseFloat(r.text(n), 64)
				if err != nil || f < 1e-6 || f > 1e9 {
					r.fail(n, "a number is rounded to a step between 0.000001 and 1000000000")
				}
				o.grid = f
			}),
			"date": param("date", func(n *yaml.Node) {
				if o.date = r.text(n); o.date != "month" && o.date != "year" {
					r.fail(n, "a date is left to the month or the year")
				}
			}),
			"time": param("time", func(n *yaml.Node) {
				if o.time = r.text(n); o.time != "hour" && o.time != "none" {
					r.fail(n, "of a time the hour is left, or none")
				}
			}),
			"words": param("words", func(n *yaml.Node) { o.words, o.list = r.words(n) }),
		}, "id", "reason", "match", "action")
		if action == nil || o.action == 0 {
			continue
		}
		allowed := map[ownAction][]string{doReplace: {"value"}, doGeneralise: {"bands", "over", "round", "date", "time"}, doClean: {"words"}, doKeep: {"words"}}[o.action]
		for _, name := range parameters {
			if !slices.Contains(allowed, name) {
				r.fail(c, "%s does not go with the action %s", name, o.action)
			}
		}
		switch {
		case o.action == doReplace && !slices.Contains(parameters, "value"):
			r.fail(c, "replace needs a value")
		case o.action == doGeneralise && len(parameters) == 0:
			r.fail(c, "generalise needs one of bands, over, round, date and time")
		case o.choosesNone() && o.action != doHold:
			r.fail(c, "the rule chooses no element: give tag, range, keyword, private or vr; only hold can be about objects")
		case o.choosesNone() && !o.dependsOnObject():
			r.fail(c, "the rule would hold every object")
		}
		p.own.rules = append(p.own.rules, o)
	}
}

func (r *fileReader) number(n *yaml.Node, low, high int, otherwise string) int {
	v, err := strconv.Atoi(r.text(n))
	if err != nil || v < low || v > high {
		r.fail(n, "%s", otherwise)
		return low
	}
	return v
}

func (r *fileReader) match(o *ownRule, n *yaml.Node) {
	patterns := func(into *[]string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			for _, s := range r.texts(n) {
				if len(s) > 64 || strings.Count(s, "*") > 8 {
					r.fail(n, "a pattern is at most 64 characters with at most 8 stars")
					continue
				}
				*into = append(*into, strings.ToUpper(strings.TrimSpace(s)))
			}
		}
	}
	before := len(r.problems)
	r.mapping(n, "match", map[string]func(*yaml.Node){
		"tag": func(n *yaml.Node) {
			for _, c := range r.list(n) {
				t, err := dicom.ParseTag(strings.TrimSpace(r.text(c)))
				if _, isKeyword := dicom.LookupKeyword(c.Value); err != nil || isKeyword {
					r.fail(c, "%s is no tag: it is written (0010,1010)", shown(c.Value))
					continue
				}
				r.oneTag(o, c, t)
			}
		},
		"keyword": func(n *yaml.Node) {
			for _, s := range r.list(n) {
				e, ok := dicom.LookupKeyword(r.text(s))
				if !ok {
					r.fail(s, "the dictionary has no keyword %s", shown(s.Value))
					continue
				}
				r.oneTag(o, s, e.Tag)
			}
		},
		"range": func(n *yaml.Node) {
			for _, c := range r.list(n) {
				first, last, ok := strings.Cut(strings.ReplaceAll(r.text(c), " ", ""), "-")
				from, err1 := dicom.ParseTag(first)
				to, err2 := dicom.ParseTag(last)
				if !ok || err1 != nil || err2 != nil || from > to {
					r.fail(c, "a range is written (0018,0000)-(0018,FFFF), the lesser tag first")
					continue
				}
				o.tags = append(o.tags, tagRange{from, to})
			}
		},
		"private": func(n *yaml.Node) { r.private(o, n) },
		"vr": func(n *yaml.Node) {
			for _, s := range r.texts(n) {
				vr, ok := dicom.ParseVR(s)
				if !ok || !vr.Known() {
					r.fail(n, "there is no value representation %s", shown(s))
					continue
				}
				o.vrs = append(o.vrs, vr)
			}
		},
		"modality": patterns(&o.modality),
		"sop-class": func(n *yaml.Node) {
			for _, s := range r.texts(n) {
				uid, ok := sopClass(s)
				if !ok {
					r.fail(n, "PS3.6 lists no SOP class %s; give its UID or its name, as in CT Image Storage", shown(s))
					continue
				}
				o.sopClass = append(o.sopClass, uid)
			}
		},
		"manufacturer": patterns(&o.manufacturer),
		"model":        patterns(&o.model),
		"image-type":   patterns(&o.imageType),
	})
	if len(r.problems) == before && o.choosesNone() && !o.dependsOnObject() {
		r.fail(n, "match is empty")
	}
}

func (r *fileReader) oneTag(o *ownRule, n *yaml.Node, t dicom.Tag) {
	switch _, ok := dicom.LookupTag(t); {
	case t.IsPrivate():
		r.fail(n, "a private element is chosen by private, with its creator")
	case !ok:
		r.fail(n, "the dictionary has no element %s; what it does not have is removed", t)
	default:
		o.tags = append(o.tags, tagRange{t, t})
	}
}

// private reads creator, element and, where the dictionary does not know it, VR.
func (r *fileReader) private(o *ownRule, n *yaml.Node) {
	for _, c := range r.list(n) {
		var e privateElement
		var element *yaml.Node
		var vr dicom.VR
		r.mapping(c, "a private element", map[string]func(*yaml.Node){
			"creator": func(n *yaml.Node) { e.creator = strings.TrimSpace(r.text(n)) },
			"element": func(n *yaml.Node) { element = n },
			"vr": func(n *yaml.Node) {
				var ok bool
				if vr, ok = dicom.ParseVR(r.text(n)); !ok || !vr.Known() {
					r.fail(n, "there is no value representation %s", shown(n.Value))
				}
			},
		}, "creator", "element")
		if element == nil || e.creator == "" {
			continue
		}
		for _, one := range r.list(element) {
			t, ok := privateTag(r.text(one))
			if !ok {
				r.fail(one, "a private element is written (0019,xx0C), with an odd group")
				continue
			}
			e.group, e.low, e.vr = t.Group(), uint8(t), vr
			if e.vr == 0 {
				known, ok := dicom.LookupPrivate(e.creator, t)
				if ok {
					e.vr = known.VR
				} else if safe, ok := safePrivateVR([]byte(e.creator), t); ok {
					e.vr = safe
				} else if o.action != doRemove {
					r.fail(one, "no dictionary knows this element: give its vr")
					continue
				}
			}
			o.private = append(o.private, e)
		}
	}
}

// privateTag reads (0019,xx0C), or the element with the number of some block.
func privateTag(s string) (dicom.Tag, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, " ", ""))
	s = strings.Replace(s, ",xx", ",10", 1)
	t, err := dicom.ParseTag(s)
	if err != nil || !t.IsPrivate() || t.IsPrivateCreator() {
		return 0, false
	}
	_, ok := t.CreatorTag()
	return t, ok
}

// sopClass is the UID of a SOP class, by UID or by its name in PS3.6.
func sopClass(s string) (string, bool) {
	if _, ok := dicom.UIDName(s); ok {
		return s, true
	}
	return dicom.UIDNamed(s)
}

// possible refuses a rule that one of the elements it names cannot take. Ranges and VRs pass by what cannot.
func (r *fileReader) possible(p *Profile, k int) {
	o := &p.own.rules[k]
	n := &yaml.Node{Line: o.line}
	taken := false
	for _, t := range o.tags {
		if t.from != t.to {
			taken = true
			continue
		}
		base, known := p.decide(t.from)
		if !known || len(o.vrs) > 0 && !slices.Contains(o.vrs, base.vr) {
			continue
		}
		row, _ := LookupRow(t.from)
		if _, why := p.onto(k, t.from, base, row); why != "" {
			r.fail(n, "the rule %s cannot %s %s %s: %s", o.ID, o.action, t.from, t.from.Keyword(), why)
			continue
		}
		taken = true
	}
	for _, e := range o.private {
		if _, why := p.privateRule(k, e.vr); why != "" {
			r.fail(n, "the rule %s cannot %s (%04X,xx%02X) of %s: %s", o.ID, o.action, e.group, e.low, shown(e.creator), why)
			continue
		}
		taken = true
	}
	if o.action == doReplace {
		for _, vr := range o.vrs {
			if why := unfit(vr, o.value); why != "" {
				r.fail(n, "the rule %s: %s", o.ID, why)
			}
		}
	}
	if !taken && len(o.tags) > 0 && len(r.problems) == 0 {
		r.fail(n, "the rule %s chooses nothing: no element it names has one of its VRs", o.ID)
	}
}
