package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// row is one element of PS3.6 or PS3.7.
type row struct {
	tag           uint32 // of a repeating element, the first of its range
	repeats       bool
	vrs           []string
	vm            string
	keyword, name string
	retired       bool
}

type standard struct {
	rows  map[uint32]*row
	names map[uint32]string
}

func newStandard() *standard { return &standard{rows: map[uint32]*row{}, names: map[uint32]string{}} }

// A quoted string of Python without escapes but \\, in either kind of quotes.
const quoted = `(?:'([^']*)'|"([^"]*)")`

var pydicomRow = regexp.MustCompile(`^\s+(?:0x([0-9A-Fa-f]{8})|'([0-9A-Fa-fx]{8})'): \(` + quoted + `, ` + quoted + `, ` + quoted + `, ` + quoted + `, ` + quoted + `\),?$`)

func (s *standard) readPydicom(path string) error {
	return lines(path, func(line string) error {
		m := pydicomRow.FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		r := &row{vm: m[5] + m[6], name: m[7] + m[8], retired: m[9]+m[10] != "", keyword: m[11] + m[12]}
		if r.keyword == "" {
			return nil // a tag that stood in earlier editions and names nothing now
		}
		pattern := m[1] + m[2]
		r.repeats = strings.Contains(pattern, "x")
		base, err := strconv.ParseUint(first(pattern), 16, 32)
		if err != nil {
			return err
		}
		r.tag = uint32(base)
		if vr := m[3] + m[4]; vr != "NONE" {
			r.vrs = strings.Split(vr, " or ")
		}
		return s.add(r)
	})
}

// first is the first tag of a repeating element's range, as LookupTag reduces a tag to it: 6000 of 60xx, and a digit 1 before the last where the
// element itself varies, for a zero there is another element or a group length.
func first(pattern string) string {
	switch {
	case !strings.Contains(pattern, "x"):
		return pattern
	case pattern == "1010xxxx":
		return "10100001"
	case strings.HasPrefix(pattern, "1000xxx"):
		return "1000001" + pattern[7:]
	case pattern[6] == 'x' && pattern[7] != 'x':
		return pattern[:6] + "1" + pattern[7:]
	}
	return strings.ReplaceAll(pattern, "x", "0")
}

func (s *standard) add(r *row) error {
	if s.rows[r.tag] != nil {
		return fmt.Errorf("%08X stands twice", r.tag)
	}
	s.rows[r.tag] = r
	return nil
}

// readNames takes the names of elements from a CSV file with the columns tag and name.
func (s *standard) readNames(path string) error {
	return table(path, func(get func(string) string) error {
		t := strings.NewReplacer("(", "", ")", "", ",", "").Replace(get("tag"))
		v, err := strconv.ParseUint(t, 16, 32)
		if err != nil {
			return nil // a row about a range
		}
		s.names[uint32(v)] = get("name")
		return nil
	})
}

var dcmtkRow = regexp.MustCompile(`^\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)\t(\S+)\t(\S+)\t(\S+)\tDICOM(\S*)$`)

func (s *standard) readDCMTK(path string) error {
	keywords := map[string]bool{}
	for _, r := range s.rows {
		keywords[r.keyword] = true
	}
	return lines(path, func(line string) error {
		m := dcmtkRow.FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		v, err := strconv.ParseUint(m[1]+m[2], 16, 32)
		if err != nil {
			return err
		}
		keyword, retired := strings.CutPrefix(m[4], "RETIRED_")
		if r := s.rows[uint32(v)]; r != nil {
			r.retired = r.retired || retired
			return nil
		}
		if keywords[keyword] {
			return nil // a range that is known already, spelt as one tag
		}
		vrs, ok := dcmtkVRs[m[3]]
		if !ok {
			vrs = []string{m[3]}
		}
		r := &row{tag: uint32(v), vrs: vrs, vm: m[5], keyword: keyword, name: s.names[uint32(v)], retired: retired}
		if r.name == "" {
			r.name = words(keyword)
		}
		keywords[keyword] = true
		return s.add(r)
	})
}

// VRs that DCMTK writes for what PS3.6 gives in words.
var dcmtkVRs = map[string][]string{
	"ox": {"OB", "OW"},
	"px": {"OB", "OW"},
	"xs": {"US", "SS"},
	"lt": {"US", "OW"},
	"up": {"UL"},
	"na": nil,
}

// words separates a keyword into words; the name in the table that a source lacks differs from it at most in punctuation.
func words(keyword string) string {
	var b strings.Builder
	rs := []rune(keyword)
	for i, r := range rs {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ReplaceAll(b.String(), "Date Time", "DateTime")
}

func (s *standard) sorted() []*row {
	var all []*row
	for _, r := range s.rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *row) int {
		if a.tag < b.tag {
			return -1
		}
		return 1
	})
	return all
}

// lines calls f with each line of a file; no path, no lines.
func lines(path string, f func(string) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	for n := 1; sc.Scan(); n++ {
		if err := f(sc.Text()); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return sc.Err()
}

// table calls f with each row of a CSV file, whose cells are got by the name of their column in lower case.
func table(path string, f func(get func(string) string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		return err
	}
	column := map[string]int{}
	for i, h := range head {
		column[strings.ToLower(strings.TrimSpace(h))] = i
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = f(func(name string) string {
			if i, ok := column[name]; ok && i < len(cells) {
				return strings.TrimSpace(cells[i])
			}
			return ""
		})
		if err != nil {
			return err
		}
	}
}
