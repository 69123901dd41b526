package catalogue

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Searches are written so that the database has one way to go: from the condition that leaves the fewest rows, along an index, in the order of the
// answer, to the end of the page. Neither engine finds that way by itself without statistics: SQLite has none, and PostgreSQL's planner, seeing a LIMIT,
// likes to walk a whole table in the hope of filling the page early. So the table to begin with comes first in a CROSS JOIN (which SQLite keeps in
// order), columns with an index that is not to be used are written `column || ''` for SQLite, and an order that no index is to give is written `id + 0`.

// plan is a search on its way to a statement.
type plan struct {
	q      *Query
	engine db.Engine
	masks  map[string]stateMask // by collection, policy.AllCollections for the others
	holds  map[string]stateMask // the same, of what a row has to count to be found
	where  []string
	args   []any
	from   string
	order  string
	driver int // index of the condition to begin with; -1
	begins int // one of the ways to begin
}

type stateMask uint8

func (m stateMask) has(s State) bool { return m&(1<<s) != 0 }

// masks is what the scopes come to in each collection, of what searches find.
func masks(scopes []policy.Scope) map[string]stateMask {
	m := map[string]stateMask{}
	for _, s := range scopes {
		for _, st := range s.States {
			if visible(st) {
				m[s.Collection] |= 1 << st
			}
		}
	}
	if all := m[policy.AllCollections]; all != 0 {
		for c := range m {
			m[c] |= all
		}
	}
	return m
}

// maskOf is what may be seen of a collection.
func maskOf(m map[string]stateMask, collection string) stateMask {
	if mask, ok := m[collection]; ok {
		return mask
	}
	return m[policy.AllCollections]
}

// plan makes the statement's parts; false if nothing can be found.
func (q *Query) plan(engine db.Engine) (*plan, bool) {
	p := &plan{q: q, engine: engine, masks: masks(q.Scopes), driver: -1}
	if q.Collection != "" {
		mask := maskOf(p.masks, string(q.Collection))
		p.masks = map[string]stateMask{}
		if mask != 0 {
			p.masks[string(q.Collection)] = mask
		}
	}
	p.holds = p.masks
	if q.Holding != policy.NoState {
		// What is seen in one collection includes what is seen in all: what is left of one is never less than of all.
		p.holds = map[string]stateMask{}
		for c, mask := range p.masks {
			if mask.has(q.Holding) {
				p.holds[c] = 1 << q.Holding
			}
		}
	}
	if len(p.holds) == 0 {
		return nil, false
	}
	p.choose()
	if q.level >= Series {
		p.where = append(p.where, "e.study = s.id")
	}
	if q.level >= Instances {
		p.where = append(p.where, "i.series = e.id")
	}
	steps := []int{}
	for i := range q.conditions {
		if q.conditions[i].attribute.kind == kindStep {
			steps = append(steps, i)
			continue
		}
		p.condition(i)
	}
	p.steps(steps)
	p.see()
	return p, true
}

// add appends a condition with its arguments.
func (p *plan) add(text string, args ...any) {
	p.where = append(p.where, text)
	p.args = append(p.args, args...)
}

// see limits the search to what the caller may see.
func (p *plan) see() {
	alias := [...]string{Patients: "s", Studies: "s", Series: "e", Instances: "i"}[p.q.level]
	where := map[Level]string{Patients: "s.collection", Studies: "s.collection", Series: "s.collection", Instances: "i.collection"}[p.q.level]
	p.seeRows(p.holds, where, func(m stateMask) string {
		if p.q.level == Instances {
			return "i.state IN (" + joinStates(m, ", ", func(s State) string { return string('0' + byte(s)) }) + ")"
		}
		return counted(alias, m)
	})
}

// counted is a condition that a row counts something in the states.
func counted(alias string, m stateMask) string {
	return joinStates(m, " + ", func(s State) string { return alias + "." + s.String() }) + " > 0"
}

func joinStates(m stateMask, separator string, text func(State) string) string {
	var parts []string
	for _, s := range []State{received, admitted, released} {
		if m.has(s) {
			parts = append(parts, text(s))
		}
	}
	return strings.Join(parts, separator)
}

// seeRows adds the condition, by collection.
func (p *plan) seeRows(masks map[string]stateMask, column string, state func(stateMask) string) {
	text, args := p.seeText(masks, column, state)
	p.add(text, args...)
}

func (p *plan) seeText(masks map[string]stateMask, column string, state func(stateMask) string) (string, []any) {
	all, everywhere := masks[policy.AllCollections]
	if everywhere && len(masks) == 1 {
		return state(all), nil
	}
	column = p.collectionColumn(column)
	names := make([]string, 0, len(masks))
	for c := range masks {
		if c != policy.AllCollections {
			names = append(names, c)
		}
	}
	slices.Sort(names)
	var parts []string
	var args []any
	for _, c := range names {
		parts = append(parts, column+" = ? AND "+state(masks[c]))
		args = append(args, c)
	}
	if everywhere {
		parts = append(parts, state(all))
	}
	if len(parts) == 1 {
		return parts[0], args
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// The ways to begin, best first.
const (
	byOwnUID = iota
	bySeriesUID
	byStudyUID
	byAccession
	byPatientID
	byPatientName
	byDay
	byStep
	byPart
	byModality
	byDates
	byParts
	byNothing
)

// rank says how good it is to begin with a condition.
func (p *plan) rank(c *condition) int {
	a := c.attribute
	exact := c.how == matchList
	prefixed := exact || c.how == matchWild && len(c.values) == 1 && prefix(c.values[0]) != ""
	switch {
	case a.column == "i.uid" && exact:
		return byOwnUID
	case a.column == "e.uid" && exact:
		return bySeriesUID
	case a.column == "s.uid" && exact:
		return byStudyUID
	case a.column == "s.accession" && prefixed:
		return byAccession
	case a.column == "s.patient_id" && prefixed:
		return byPatientID
	case a.column == "s.patient_name" && prefixed && !p.q.Fuzzy && len(c.values) == 1 && ascii(c.values[0]) && !strings.Contains(c.values[0], "="):
		return byPatientName
	case a.column == "s.study_date" && c.how == matchRange && c.low == c.high:
		return byDay
	case a.kind == kindStep && exact && p.q.level >= Series:
		return byStep
	case (a.kind == kindModality || a.kind == kindSOPClass) && exact && len(c.values) == 1:
		return byPart
	case a.column == "i.sop_class" && exact && len(c.values) == 1:
		return byPart
	case a.column == "e.modality" && exact && len(c.values) == 1:
		return byModality
	case a.column == "s.study_date" && c.how == matchRange:
		return byDates
	case (a.kind == kindModality || a.kind == kindSOPClass) && exact:
		return byParts
	}
	return byNothing
}

// choose decides where the search begins and in which order it answers.
func (p *plan) choose() {
	q := p.q
	best := byNothing
	for i := range q.conditions {
		if r := p.rank(&q.conditions[i]); r < best {
			best, p.driver = r, i
		}
	}
	if q.SeriesUID != "" && q.level >= Series && best > bySeriesUID {
		best, p.driver = bySeriesUID, -1
	}
	if q.Study != "" && best > byStudyUID {
		best, p.driver = byStudyUID, -1
	}
	p.begins = best
	lower := [...]string{Studies: "", Series: " CROSS JOIN series e", Instances: " CROSS JOIN series e CROSS JOIN instance i"}[q.level]
	rest := [...]string{Studies: "", Series: ", e.number, e.id", Instances: ", e.number, e.id, i.number, i.id"}[q.level]
	p.from = "study s" + lower
	switch best {
	case byOwnUID:
		p.from, p.order = "instance i CROSS JOIN series e CROSS JOIN study s", "i.id + 0"
	case bySeriesUID, byStep, byModality:
		p.from, p.order = "series e CROSS JOIN study s", "e.id"
		if best != byModality {
			p.order = "e.id + 0"
		}
		if q.level == Instances {
			p.from, p.order = "series e CROSS JOIN instance i CROSS JOIN study s", p.order+", i.number, i.id"
		}
	case byPart:
		c := &q.conditions[p.driver]
		p.from, p.order = "study_part p CROSS JOIN "+p.from, "p.study_date, p.study"+rest
		what := partModality
		if c.attribute.kind != kindModality {
			what = partSOPClass
		}
		p.add("p.study = s.id AND p.what = ? AND p.value = ?", what, c.values[0])
		for i := range q.conditions {
			if d := &q.conditions[i]; d.attribute.column == "s.study_date" && d.how == matchRange {
				p.dates(d, "p.study_date")
			}
		}
	case byDay, byDates:
		p.order = "s.study_date, s.id" + rest
	case byNothing:
		p.order = "s.id" + rest
		if len(p.masks) == 1 && p.masks[policy.AllCollections] == 0 {
			p.add("s.collection = ?", onlyKey(p.masks))
		} else if q.level == Instances {
			p.from, p.order = "instance i CROSS JOIN series e CROSS JOIN study s", "i.id"
		} else if q.level == Series {
			p.from, p.order = "series e CROSS JOIN study s", "e.id"
		}
	default:
		p.order = "s.id + 0" + rest
	}
	if q.Study != "" {
		p.add(p.column("s.uid", best == byStudyUID && p.driver < 0)+" = ?", string(q.Study))
	}
	if q.SeriesUID != "" && q.level >= Series {
		p.add(p.column("e.uid", best == bySeriesUID && p.driver < 0)+" = ?", string(q.SeriesUID))
	}
}

func onlyKey(m map[string]stateMask) string {
	for k := range m {
		return k
	}
	return ""
}

// column is a text column, with its index out of reach unless it is to be used.
func (p *plan) column(name string, indexed bool) string {
	if indexed {
		return name
	}
	return name + " || ''"
}

// collectionColumn is the column of the collection. PostgreSQL has statistics of it and none of an expression: where a search does not begin with a
// study, it would take the collection for a small one and begin there. Nor may it think so where a search goes along the dates of studies: it would read and sort a whole range of them for the first ten.
func (p *plan) collectionColumn(name string) string {
	fromStudy := p.begins >= byStudyUID && p.begins <= byDay
	return p.column(name, p.engine == db.PostgreSQL && !fromStudy)
}

// condition adds a condition to the statement.
func (p *plan) condition(i int) {
	c := &p.q.conditions[i]
	a := c.attribute
	driving := i == p.driver
	col := p.column(a.column, driving)
	switch a.kind {
	case kindDate:
		if c.how == matchEmpty {
			p.add(col + " = ''")
			return
		}
		p.dates(c, col)
	case kindTime:
		p.times(c)
	case kindNumber:
		if c.how == matchEmpty {
			p.add("("+a.column+" = 0 OR "+a.column+" = ?)", Absent)
			return
		}
		list, args := inList(c.numbers)
		p.add(a.column+" IN "+list, args...)
	case kindModality, kindSOPClass:
		p.part(c, driving)
	case kindName:
		p.name(c, driving)
	case kindKept, kindKeptNumber:
		p.kept(c)
	default:
		text, args := p.text(c, col, c.values, driving)
		p.add(text, args...)
	}
}

// kept matches any value of an attribute that is kept as DICOM JSON (PS3.18 F.2).
func (p *plan) kept(c *condition) {
	a := c.attribute
	values := `json_each(CASE ` + a.column + ` WHEN '' THEN '{}' ELSE ` + a.column + ` END, '$."` + a.tag + `".Value') v`
	number := "v.value = ?"
	if p.engine == db.PostgreSQL {
		from := `COALESCE(CAST(NULLIF(` + a.column + `, '') AS jsonb) -> '` + a.tag + `' -> 'Value', CAST('[]' AS jsonb))`
		values, number = `jsonb_array_elements_text(`+from+`) AS v(value)`, "v.value = to_jsonb(CAST(? AS double precision))"
		if len(c.reals) > 0 {
			values = `jsonb_array_elements(` + from + `) AS v(value)`
		}
	}
	switch {
	case c.how == matchEmpty:
		p.add("NOT EXISTS (SELECT 1 FROM " + values + " WHERE v.value IS NOT NULL)")
	case len(c.reals) > 0:
		args := make([]any, len(c.reals))
		for i, n := range c.reals {
			args[i] = n
		}
		p.add("EXISTS (SELECT 1 FROM "+values+" WHERE "+strings.Repeat(number+" OR ", len(args)-1)+number+")", args...)
	default:
		text, args := p.text(c, "v.value", c.values, false)
		p.add("EXISTS (SELECT 1 FROM "+values+" WHERE "+text+")", args...)
	}
}

// text matches values or patterns against a column.
func (p *plan) text(c *condition, col string, values []string, driving bool) (string, []any) {
	switch c.how {
	case matchEmpty:
		return col + " = ''", nil
	case matchList:
		if len(values) == 1 {
			return col + " = ?", []any{values[0]}
		}
		list, args := inList(values)
		return col + " IN " + list, args
	}
	var parts []string
	var args []any
	for _, v := range values {
		operator, pattern := p.pattern(v)
		part := col + operator
		args = append(args, pattern)
		if pre := prefix(v); driving && pre != "" {
			part += " AND " + col + " >= ? AND " + col + " < ?"
			args = append(args, pre, pre+string(utf8.MaxRune))
		}
		parts = append(parts, part)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// prefix is what stands before a pattern's first wildcard.
func prefix(v string) string {
	if i := strings.IndexAny(v, "*?"); i >= 0 {
		return v[:i]
	}
	return v
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var (
	globEscape = strings.NewReplacer("[", "[[]")
	likeEscape = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%", "?", "_")
)

// pattern is the engine's operator for DICOM's wildcards (PS3.4 C.2.2.2.4), which are case-sensitive: SQLite's LIKE is not, PostgreSQL's is.
func (p *plan) pattern(v string) (operator, pattern string) {
	if p.engine == db.SQLite {
		return " GLOB ?", globEscape.Replace(v)
	}
	return " LIKE ?", likeEscape.Replace(v)
}

// dates matches a range.
func (p *plan) dates(c *condition, col string) {
	switch {
	case c.low == c.high:
		p.add(col+" = ?", c.low)
	case c.high == "":
		p.add(col+" >= ?", c.low)
	case c.low == "":
		p.add(col+" <= ? AND "+col+" <> ''", c.high)
	default:
		p.add(col+" >= ? AND "+col+" <= ?", c.low, c.high)
	}
}

// times matches times of day, together with the range of their dates unless the query wants them apart (PS3.4 C.2.2.2.5.1).
func (p *plan) times(c *condition) {
	a := c.attribute
	if c.how == matchEmpty {
		p.add(a.column + " = ''")
		return
	}
	if c.ranged && !p.q.Apart {
		for i := range p.q.conditions {
			d := &p.q.conditions[i]
			if d.attribute.column != a.date || !d.ranged {
				continue
			}
			// The range of dates is a condition of its own already; only its first and last day need the time, and where that is open, no time does.
			date := p.column(a.date, false)
			if d.low != "" && c.from > 0 {
				p.add("("+date+" > ? OR "+a.moment+" >= ?)", d.low, c.from)
			}
			if d.high != "" && c.to < endOfDay {
				p.add("("+date+" < ? OR "+a.moment+" BETWEEN 0 AND ?)", d.high, c.to)
			}
			return
		}
	}
	p.add(a.moment+" BETWEEN ? AND ?", c.from, c.to)
}

// part matches what any visible object of a study is.
func (p *plan) part(c *condition, driving bool) {
	what := partModality
	if c.attribute.kind == kindSOPClass {
		what = partSOPClass
	}
	if c.how == matchEmpty {
		p.add("NOT EXISTS (SELECT 1 FROM study_part m WHERE m.study = s.id AND m.what = ? AND m.value <> '')", what)
		return
	}
	if driving && p.rank(c) == byPart {
		p.seePart("p")
		return
	}
	match, args := p.text(c, "m.value", c.values, false)
	if driving {
		p.add("s.id IN (SELECT m.study FROM study_part m WHERE m.what = ? AND "+match+")", append([]any{what}, args...)...)
	}
	see, seen := p.seeText(p.masks, "s.collection", func(m stateMask) string { return counted("m", m) })
	p.add("EXISTS (SELECT 1 FROM study_part m WHERE m.study = s.id AND m.what = ? AND "+match+" AND "+see+")", append(append([]any{what}, args...), seen...)...)
}

func (p *plan) seePart(alias string) {
	p.seeRows(p.masks, "s.collection", func(m stateMask) string { return counted(alias, m) })
}

// name matches a person name, case and accents aside. A query in ASCII is matched against the alphabetic group, another against every group.
func (p *plan) name(c *condition, driving bool) {
	key, other := c.attribute.column+"_key", c.attribute.column+"_other"
	if c.how == matchEmpty {
		p.add(c.attribute.column + " = ''")
		return
	}
	if p.q.Fuzzy {
		p.fuzzy(c, key, other)
		return
	}
	var parts []string
	var args []any
	for _, v := range c.values {
		k, o := foldName(v)
		one := *c
		one.how = matchList
		if strings.ContainsAny(k, "*?") {
			one.how = matchWild
		}
		switch {
		case o != "": // groups are named
			operator, pattern := p.pattern("*" + o + "*")
			part := other + operator
			args = append(args, pattern)
			if k != "" {
				text, more := p.text(&one, p.column(key, false), []string{k}, false)
				part, args = part+" AND "+text, append(args, more...)
			}
			parts = append(parts, part)
		case ascii(v):
			text, more := p.text(&one, p.column(key, driving), []string{k}, driving)
			parts, args = append(parts, text), append(args, more...)
		default:
			text, more := p.text(&one, p.column(key, false), []string{k}, false)
			operator, pattern := p.pattern("*=" + k + "=*")
			parts, args = append(parts, text, other+operator), append(append(args, more...), pattern)
		}
	}
	if len(parts) == 1 {
		p.add(parts[0], args...)
		return
	}
	p.add("("+strings.Join(parts, " OR ")+")", args...)
}

// maxWords bounds the words of a fuzzy name.
const maxWords = 8

// fuzzy matches names of which every word of the query begins a word.
func (p *plan) fuzzy(c *condition, key, other string) {
	text := key + " || ' ' || " + other
	for _, mark := range []string{"^", "=", ",", ".", "-", "’", "''"} {
		text = "REPLACE(" + text + ", '" + mark + "', ' ')"
	}
	text = "' ' || " + text
	var parts []string
	var args []any
	for _, v := range c.values {
		words := nameWords(strings.Map(func(r rune) rune {
			if r == '*' || r == '?' {
				return ' '
			}
			return r
		}, fold(v)))
		var all []string
		for _, w := range words[:min(len(words), maxWords)] {
			operator, pattern := p.pattern("* " + w + "*")
			all = append(all, text+operator)
			args = append(args, pattern)
		}
		if len(all) > 0 {
			parts = append(parts, strings.Join(all, " AND "))
		}
	}
	if len(parts) > 0 {
		p.add("("+strings.Join(parts, " OR ")+")", args...)
	}
}

// steps matches members of the Request Attributes Sequence, all in the same item (PS3.4 C.2.2.2.6).
func (p *plan) steps(conditions []int) {
	if len(conditions) == 0 {
		return
	}
	var match []string
	var args []any
	for _, i := range conditions {
		c := &p.q.conditions[i]
		if c.how == matchEmpty {
			p.add("NOT EXISTS (SELECT 1 FROM series_request q WHERE q.series = e.id AND " + c.attribute.column + " <> '')")
			continue
		}
		text, more := p.text(c, c.attribute.column, c.values, false)
		match, args = append(match, text), append(args, more...)
	}
	if len(match) > 0 {
		p.add("e.id IN (SELECT q.series FROM series_request q WHERE "+strings.Join(match, " AND ")+")", args...)
	}
}

// statement is the whole of it.
func (p *plan) statement(columns string) (string, []any) {
	var b strings.Builder
	b.WriteString("SELECT " + columns + " FROM " + p.from + " WHERE " + strings.Join(p.where, " AND ") + " ORDER BY " + p.order + " LIMIT ? OFFSET ?")
	return b.String(), append(p.args, bounded(p.q.Limit)+1, int64(max(0, p.q.Offset)))
}
