package ask

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

var (
	// day is a date with its day: 22/03/1957, 1957-03-22, 22 March 1957, March 22nd, 1957, 19570322.
	day = regexp.MustCompile(`(?i)\b(?:(\d{1,2})[./\- ](\d{1,2})[./\- ](\d{4}|\d{2})|(\d{4})[./\-](\d{1,2})[./\-](\d{1,2})|((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])|` +
		`(\d{1,2})(?:st|nd|rd|th)?[ .\-](?:of )?(?:` + months + `)[a-z]*[., \-]+(\d{4}|\d{2})|(?:` + months + `)[a-z]*[. \-]+(\d{1,2})(?:st|nd|rd|th)?,? +(\d{4}))\b`)
	// born says that a date near it is of a birth.
	born = regexp.MustCompile(`(?i)\b(?:born|birth\w*|d\.?\s?o\.?\s?b\b|geb(?:oren|\.)?|naiss\w*|nacid\w*)`)
)

const months = `jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec`

const (
	near = 40   // characters between "born" and a date
	old  = 1995 // a day before that year is of a birth rather than of a scan
)

// birthDate reports a date that is most likely somebody's date of birth: near a word for birth, or too long ago to be of a scan.
func birthDate(text string) bool {
	for _, at := range day.FindAllStringSubmatchIndex(text, -1) {
		before := text[max(0, at[0]-near):at[0]]
		if born.MatchString(before) || born.MatchString(text[at[1]:min(len(text), at[1]+near)]) {
			return true
		}
		for _, group := range []int{3, 4, 7, 11, 13} { // those that hold the year
			if i := 2 * group; at[i] >= 0 && at[i+1]-at[i] == 4 {
				if y, err := strconv.Atoi(text[at[i]:at[i+1]]); err == nil && y > 1880 && y < old {
					return true
				}
			}
		}
	}
	return false
}

const (
	maxSubjects = 5000
	lookFor     = 1500 * time.Millisecond
)

// refuseIdentifiers refuses what names a patient, as a fault.Invalid. Of who works with a collection, what it knows of its subjects is looked for too; to
// others that would tell who is in it.
func (d *Desk) refuseIdentifiers(ctx context.Context, who admin.Caller, c collection.ID, text string) error {
	const attempt = "ask"
	switch {
	case deid.HasNHSNumber(text):
		return fault.New(fault.Invalid, attempt, "", "the message holds what looks like an NHS number; take it out. Name a subject by its pseudonym, or an item by its deposit and number")
	case birthDate(text):
		return fault.New(fault.Invalid, attempt, "", "the message holds what looks like a date of birth; take it out, or write the year alone")
	}
	works := false
	for _, a := range []policy.Action{policy.AnswerQuestions, policy.Deposit} {
		works = works || c != "" && policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(c)}).Allow
	}
	if !works {
		return nil
	}
	found, err := d.mentionsSubject(ctx, c, text)
	if err != nil || !found {
		return err
	}
	// It is noted, because who tries name after name would learn who is in the collection.
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Actor: actor(who), Action: policy.Ask.String(), Object: "a message that names a subject", Collection: string(c), Outcome: "refused"})
	})
	if err != nil {
		return err
	}
	return fault.New(fault.Invalid, attempt, "", "the message holds what may identify a patient; take it out. Name a subject by its pseudonym, or an item by its deposit and number")
}

// mentionsSubject looks for what is known of the latest subjects of a collection, for as long as somebody can be let wait.
func (d *Desk) mentionsSubject(ctx context.Context, c collection.ID, written string) (bool, error) {
	all, err := d.Subjects.Latest(ctx, c, maxSubjects)
	if err != nil {
		return false, err
	}
	until, text := time.Now().Add(lookFor), hear(written)
	for i := range all {
		if len(all[i].Lexicon) == 0 {
			continue
		}
		if time.Now().After(until) {
			break
		}
		key, err := d.Ring.Get(ctx, keys.ID(all[i].Key))
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		l, err := custody.OpenLexicon(key, &all[i])
		if err != nil {
			return false, err
		}
		if text.names(l) {
			return true, nil
		}
	}
	return false, nil
}

// said is a text as it is compared with what is known of subjects.
type said struct {
	words []string       // letters and digits, in capitals
	runs  map[string]int // one to four words on end, without leading zeros: identifiers are written in groups
	at    map[string][]int
	dates map[string]bool // YYYYMMDD, in each order that the digits allow
}

// shortest is how long an identifier has to be to be looked for: a shorter one is a number like any other.
const shortest = 5

func hear(text string) *said {
	s := &said{runs: map[string]int{}, at: map[string][]int{}, dates: map[string]bool{}}
	for w := range strings.FieldsFuncSeq(norm.NFKC.String(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		s.at[strings.ToUpper(w)] = append(s.at[strings.ToUpper(w)], len(s.words))
		s.words = append(s.words, strings.ToUpper(w))
	}
	for i := range s.words {
		run := ""
		for j := i; j < min(len(s.words), i+4); j++ {
			run += s.words[j]
			s.runs[strings.TrimLeft(run, "0")]++
		}
	}
	for _, at := range day.FindAllString(text, -1) {
		d := strings.FieldsFunc(at, func(r rune) bool { return r < '0' || r > '9' })
		if len(d) == 1 && len(d[0]) == 8 {
			s.dates[d[0]] = true
			continue
		}
		if len(d) != 3 {
			continue
		}
		y, a, b := d[2], d[0], d[1]
		if len(d[0]) == 4 {
			y, a, b = d[0], d[1], d[2]
		}
		for _, day := range []string{two(a) + two(b), two(b) + two(a)} {
			s.dates[y+day], s.dates["19"+y+day], s.dates["20"+y+day] = true, true, true
		}
	}
	return s
}

func two(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}

// names reports that the text names the subject of a lexicon: by an identifier, by two parts of the name close to one another, by a title and a part of the
// name, or by the date of birth. One word of a name alone may be anybody's, or no name at all.
func (s *said) names(l *deid.Lexicon) bool {
	for _, t := range l.Terms() {
		switch t.Kind {
		case deid.TermIdentifier:
			id := strings.TrimLeft(strings.ToUpper(strings.Join(strings.FieldsFunc(norm.NFKC.String(t.Text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), "")), "0")
			if len(id) >= shortest && strings.ContainsAny(id, "0123456789") && s.runs[id] > 0 {
				return true
			}
		case deid.TermBirthDate:
			if s.dates[t.Text] {
				return true
			}
		case deid.TermName:
			if s.hasName(t.Text) {
				return true
			}
		}
	}
	return false
}

var titles = []string{"MR", "MRS", "MS", "MISS", "HERR", "FRAU", "MME", "PATIENT"}

func (s *said) hasName(name string) bool {
	parts := strings.FieldsFunc(strings.ToUpper(norm.NFKC.String(name)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	for i, part := range parts {
		if utf8.RuneCountInString(part) < 2 {
			continue
		}
		for _, at := range s.at[part] {
			if at > 0 && slices.Contains(titles, s.words[at-1]) {
				return true
			}
			for j := max(0, at-3); j < min(len(s.words), at+4); j++ {
				if k := slices.Index(parts, s.words[j]); j != at && k >= 0 && k != i && utf8.RuneCountInString(s.words[j]) >= 2 {
					return true
				}
			}
		}
	}
	return false
}
