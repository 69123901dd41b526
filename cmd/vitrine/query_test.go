package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/client"
)

func TestDateRanges(t *testing.T) {
	for in, want := range map[string]string{
		"2024": "20240101-20241231", "2024-02": "20240201-20240229", "2024-02-03": "20240203", "20240203": "20240203", "2024..": "20240101-", "..2024": "-20241231",
		"2023-12..2024-01": "20231201-20240131", "20240101..20240102": "20240101-20240102", "20240101-20240102": "20240101-20240102", "": "",
	} {
		if got, err := dateRange(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"..", "2024-13..", "yesterday..", "2024-02-30.."} {
		if got, err := dateRange(in); err == nil {
			t.Errorf("%q passes as %q", in, got)
		}
	}
}

func TestQueryWords(t *testing.T) {
	v, err := parseQuery([]string{"Modality=CT", "00100020=A*", "(0008,1030)=x=y"}, client.Study)
	if err != nil || v.Get("ModalitiesInStudy") != "CT" || v.Get("PatientID") != "A*" || v.Get("StudyDescription") != "x=y" {
		t.Errorf("%v, %v", v, err)
	}
	if v, err = parseQuery([]string{"Modality=CT"}, client.Series); err != nil || v.Get("Modality") != "CT" {
		t.Errorf("%v, %v", v, err)
	}
}

// What a server sends stays below the folder, and cannot move the cursor.
func TestHostileNames(t *testing.T) {
	for in, want := range map[string]string{"..": "x", "../../etc/passwd": "_.._etc_passwd", "a/b": "a_b", "": "x", "1.2.3": "1.2.3", "A B\x00": "A_B_", ".ssh": "ssh", strings.Repeat("a", 300): strings.Repeat("a", 100)} {
		got := segment(in, "x")
		if got != want || !filepath.IsLocal(got) {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := cell("a\x1b[2Jb\u202ec"); strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("%q", got)
	}
}

func TestManifests(t *testing.T) {
	write := func(s string) string {
		p := filepath.Join(t.TempDir(), "m")
		if err := os.WriteFile(p, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	all, err := readManifest(write("downloadServerUrl=https://x\nmanifestVersion=3.0\nListOfSeriesToDownload=\n1.2.3\n\n# more\n1.2/1.2.3/1.2.4\n\"1.5.6\"\n1.2,1.3\n"))
	if err != nil || strings.Join(all, " ") != "1.2.3 1.2/1.2.3/1.2.4 1.5.6 1.2,1.3" {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "1.2.3\nhello\n", "../etc\n1.2", "1.2/1.3/1.4/1.5\n"} {
		if all, err := readManifest(write(bad)); err == nil {
			t.Errorf("%q gives %v", bad, all)
		}
	}
}

func FuzzDateRange(f *testing.F) {
	for _, s := range []string{"2024..", "2024-02-03", "..", "20240101-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := dateRange(s)
		if err == nil && strings.Contains(s, "..") && strings.Trim(got, "0123456789-") != "" {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

func TestJournalSurvivesACrashAndNamesNoFile(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, "http://node", "breast")
	if err != nil {
		t.Fatal(err)
	}
	a, b := input{path: "/data/MARKER^NAME/1.dcm", size: 10, mod: 1}, input{path: "/data/MARKER^NAME/2.dcm", size: 10, mod: 1}
	if err := j.note([]journalLine{{File: j.id(a), Outcome: fateKept}}); err != nil {
		t.Fatal(err)
	}
	j.file.WriteString(`{"file":"` + j.id(b)[:20]) // cut short
	j.close()
	for range 2 {
		if j, err = openJournal(dir, "http://node", "breast"); err != nil {
			t.Fatal(err)
		}
		if l, ok := j.known(j.id(a)); !ok || l.Outcome != fateKept {
			t.Error("what was acknowledged is forgotten")
		}
		if _, ok := j.known(j.id(b)); ok {
			t.Error("what was not acknowledged is known")
		}
		changed := a
		changed.mod++
		if _, ok := j.known(j.id(changed)); ok {
			t.Error("a file that has changed is known")
		}
		if err := j.note([]journalLine{{File: "x", Outcome: fateHeld}}); err != nil {
			t.Fatal(err)
		}
		j.made = "2026-11-02T10:00:00Z"
		if _, ok := j.known(j.id(a)); ok {
			t.Error("what the collection of another node acknowledged is known")
		}
		j.close()
	}
	other, err := openJournal(dir, "http://node", "lung")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if _, ok := other.known(other.id(a)); ok {
		t.Error("another collection's deposit is known")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || bytes.Contains(b, []byte("MARKER")) || bytes.Contains(b, []byte("node")) {
			t.Errorf("%s: %v, or it names something", e.Name(), err)
		}
	}
}

func TestOrdinals(t *testing.T) {
	if got := ordinals([]int{1, 2, 3, 5, 7, 8, 10, 12}); got != "1-3, 5, 7-8, 10 ..." {
		t.Error(got)
	}
}
