package main

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// privateRow is one element of a creator's block: its group and the low byte of its element.
type privateRow struct {
	creator  string
	group    uint16
	low      byte
	vr, vm   string
	name     string
	concrete bool // the source named a block, or none
}

type privateKey struct {
	creator string
	group   uint16
	low     byte
}

type private struct{ rows map[privateKey]privateRow }

func newPrivate() *private { return &private{map[privateKey]privateRow{}} }

func (p *private) add(r privateRow) {
	if r.group%2 == 0 || r.creator == "" {
		return
	}
	if len(r.vr) != 2 || strings.ToUpper(r.vr) != r.vr {
		return
	}
	if r.name == "Unknown" || r.name == "?" {
		r.name = ""
	}
	if r.vm == "" {
		r.vm = "1-n"
	}
	k := privateKey{r.creator, r.group, r.low}
	old, ok := p.rows[k]
	switch {
	case !ok:
	case old.vr == "UN" && r.vr != "UN": // a source that knows better
	case old.concrete && !r.concrete && (r.name != "" || old.name == ""): // the row that follows the creator over one that a file happened to have
	case old.name == "" && r.name != "" && old.vr == r.vr:
	default:
		return
	}
	if r.name == "" {
		r.name = old.name
	}
	p.rows[k] = r
}

var (
	pydicomCreator = regexp.MustCompile(`^    ` + quoted + `: \{$`)
	pydicomPrivate = regexp.MustCompile(`^        '([0-9A-Fa-fx]{8})': \(` + quoted + `, ` + quoted + `, ` + quoted + `, ` + quoted + `\),?$`)
)

func (p *private) readPydicom(path string) error {
	creator := ""
	return lines(path, func(line string) error {
		if m := pydicomCreator.FindStringSubmatch(line); m != nil {
			creator = m[1] + m[2]
			return nil
		}
		m := pydicomPrivate.FindStringSubmatch(line)
		if m == nil || strings.HasSuffix(m[1], "xx") { // xx last: the creator itself
			return nil
		}
		group, concrete := m[1][:4], m[1][4:6] != "xx"
		if strings.HasSuffix(group, "xx") {
			group = group[:2] + "01"
		}
		g, err := strconv.ParseUint(group, 16, 16)
		if err != nil {
			return err
		}
		low, err := strconv.ParseUint(m[1][6:], 16, 8)
		if err != nil {
			return err
		}
		vr, _, _ := strings.Cut(strings.ReplaceAll(m[2]+m[3], "_", " or "), " or ")
		p.add(privateRow{creator, uint16(g), byte(low), vr, m[4] + m[5], strings.ReplaceAll(m[6]+m[7], `\\`, `\`), concrete})
		return nil
	})
}

var dcmtkPrivate = regexp.MustCompile(`^\(([0-9A-Fa-f]{4})[^,]*,"([^"]*)",([0-9A-Fa-f]{2,4})\)\t(\S+)\t(\S+)\t(\S+)`)

func (p *private) readDCMTK(path string) error {
	return lines(path, func(line string) error {
		m := dcmtkPrivate.FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		g, err := strconv.ParseUint(m[1], 16, 16)
		if err != nil {
			return err
		}
		e, err := strconv.ParseUint(m[3], 16, 16)
		if err != nil {
			return err
		}
		vr := m[4]
		if vrs := dcmtkVRs[vr]; vrs != nil {
			vr = vrs[len(vrs)-1]
		}
		name := m[5]
		if name != "Unknown" {
			name = words(name)
		}
		p.add(privateRow{m[2], uint16(g), byte(e), vr, m[6], name, len(m[3]) != 2})
		return nil
	})
}

var (
	csvTag = regexp.MustCompile(`^\(?([0-9A-Fa-f]{4}),[xX]{2}([0-9A-Fa-f]{2})\)?$`)
	oneVR  = regexp.MustCompile(`^[A-Z]{2}$`)
)

func (p *private) readCSV(path string) error {
	return table(path, func(get func(string) string) error {
		tag, creator := get("element"), get("creator")
		if g := get("group"); g != "" {
			tag, creator = g+","+tag, get("private creator")
		}
		m := csvTag.FindStringSubmatch(tag)
		if m == nil || !oneVR.MatchString(get("vr")) {
			return nil
		}
		g, err := strconv.ParseUint(m[1], 16, 16)
		if err != nil {
			return err
		}
		low, err := strconv.ParseUint(m[2], 16, 8)
		if err != nil {
			return err
		}
		name := get("meaning")
		if i := strings.LastIndex(name, ":"); i >= 0 {
			name = strings.TrimSpace(name[i+1:]) // a path of names where the element was seen
		}
		name, _, _ = strings.Cut(name, " - ") // what follows explains
		p.add(privateRow{creator, uint16(g), byte(low), get("vr"), get("vm"), name, false})
		return nil
	})
}

func (p *private) sorted() []privateRow {
	var all []privateRow
	for _, r := range p.rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b privateRow) int {
		return cmp.Or(cmp.Compare(a.creator, b.creator), cmp.Compare(a.group, b.group), cmp.Compare(a.low, b.low))
	})
	return all
}
