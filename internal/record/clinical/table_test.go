package clinical

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func read1(t *testing.T, text string) *Table {
	t.Helper()
	table, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestReadMergesTheRowsOfASubject(t *testing.T) {
	table := read1(t, "\xEF\xBB\xBFSubject;Sex;Age;Date of diagnosis;Diagnosis;Stage;Visit;Visit date;Remarks\r\n"+
		"A-1;F;61;2019-03-01;C50.4|8500/3;IIa;Baseline;2019-03-12;seen by Dr Obermayer\r\n"+
		"A-1;female;;20190301;c50.4;Stage 2;week_12;2019-06-04;\r\n"+
		"\r\n"+
		"A-2;m;95;;254837009;4;;;\r\n")
	if table.Rows != 3 || table.Refused != 0 || len(table.People) != 2 || len(table.Problems) != 0 {
		t.Fatalf("%+v", table)
	}
	a, b := table.People[0], table.People[1]
	got := fmt.Sprintf("%v %v %d %v %v %v %v", a.Original, a.Facts.Sex, *a.Facts.Age, a.Facts.Diagnoses, a.Facts.Stage, a.Facts.Diagnosed, a.Facts.Visits)
	want := "false female 61 [ICD-10 C50.4 ICD-O-3-M 8500/3] 2 20190301 [{baseline 20190312} {week 12 20190604}]"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if *b.Facts.Age != MaxAge || b.Facts.Sex != "male" || b.Facts.Stage != "4" || b.Facts.Diagnoses[0].String() != "SNOMED-CT 254837009" {
		t.Errorf("%+v", b.Facts)
	}
	if len(table.Dropped) != 1 || table.Dropped[0].Number != 9 {
		t.Errorf("%+v", table.Dropped)
	}
}

// Whatever could name somebody is refused where it stands, and not repeated.
func TestReadRefuses(t *testing.T) {
	const head = "subject,sex,age,birth_date,diagnosis,stage,tnm,diagnosis_date,visit,visit_date\n"
	for _, c := range []struct{ row, column, code string }{
		{"A-1,F,61,1957-03-22,C50.4 (Anneliese Obermayer),,,,,", "diagnosis", CodeText},
		{"A-1,F,61,,C50.4,,,,Obermayer,", "visit", CodeText},
		{"A-1,F,61,,C50.4,,,,visit 22031957,", "visit", CodeText},
		{"A-1,F,61,,9434765919,,,,,", "diagnosis", CodeIdentifier},
		{"943 476 5919,F,61,,C50.4,,,,,", "subject", CodeIdentifier},
		{"A-1,F,943-476-5919,,C50.4,,,,,", "age", CodeIdentifier},
		{"A-1,Obermayer,61,,C50.4,,,,,", "sex", CodeText},
		{"A-1,F,Obermayers,,C50.4,,,,,", "age", CodeText},
		{"A-1,F,161,,C50.4,,,,,", "age", CodeForm},
		{"A-1,F,61,22/03/1957,C50.4,,,,,", "birth_date", CodeForm},
		{"A-1,F,61,,C50.4,quince,,,,", "stage", CodeText},
		{"A-1,F,61,,C50.4,,T2 Obermayer,,,", "tnm", CodeText},
		{"A-1,F,61,,C50.4,,,01/02/2019,,", "diagnosis_date", CodeForm},
		{"A-1,F,61,,C50.4,,,2019-02-30,,", "diagnosis_date", CodeForm},
		{"A-1,F,61,,C50.4,,,,,Obermayers", "visit_date", CodeText},
		{",F,61,,C50.4,,,,,", "subject", CodeSubject},
		{"A-1,F,61", "", CodeShape},
		{"A-1,F,\xff,,C50.4,,,,,", "age", CodeForm},
	} {
		table := read1(t, head+c.row+"\nA-9,M,50,,C61,,,,,\n")
		if table.Refused != 1 || len(table.People) != 1 || len(table.Problems) != 1 {
			t.Errorf("%q: %d refused, %d people, %+v", c.row, table.Refused, len(table.People), table.Problems)
			continue
		}
		p := table.Problems[0]
		if p.Row != 2 || p.Column != c.column || p.Code != c.code || p.Text == "" {
			t.Errorf("%q: %+v, want %s in %s", c.row, p, c.code, c.column)
		}
		said := strings.ToLower(fmt.Sprintf("%+v %v", table.Problems, table.People[0]))
		for _, secret := range []string{"obermayer", "9434765919", "943 476", "22/03", "1957"} {
			if strings.Contains(said, secret) {
				t.Errorf("%q: the answer repeats it: %s", c.row, said)
			}
		}
	}
}

func TestReadContradictions(t *testing.T) {
	table := read1(t, "patient_id,sex,visit\nRX-1,F,baseline\nRX-1,M,week 1\nRX-1,,week 2\n")
	if table.Refused != 1 || table.Problems[0].Row != 3 || table.Problems[0].Column != "sex" || table.Problems[0].Code != CodeContradiction {
		t.Fatalf("%+v", table.Problems)
	}
	if v := table.People[0].Facts.Visits; len(v) != 2 {
		t.Errorf("%+v", v)
	}
}

func TestReadNoTable(t *testing.T) {
	for text, kind := range map[string]fault.Kind{
		"":                      fault.Invalid,
		"sex,age\nF,61\n":       fault.Invalid,
		"subject,mrn\na,b\n":    fault.Invalid,
		"subject,sex,gender\n":  fault.Invalid,
		"subject,\"sex\nF\n":    fault.Invalid,
		"Jane Doe,1957-03-22\n": fault.Invalid,
		"subject" + strings.Repeat(",x", maxColumns) + "\n": fault.TooLarge,
	} {
		_, err := Read(strings.NewReader(text))
		if !fault.Is(err, kind) {
			t.Errorf("%.30q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "Doe") {
			t.Error("the error repeats what stands there")
		}
	}
}

func TestTimepoint(t *testing.T) {
	for text, want := range map[string]string{"Baseline": "baseline", "W12": "week 12", "week-12": "week 12", "Follow up 2": "follow-up 2", "T0": "visit 0", "EOT": "post-treatment", "Jane": "",
		"ward 7": "", "week 1234": "", "week 1 Jane": "", "12": ""} {
		if got, ok := Timepoint(text); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}

func TestTNM(t *testing.T) {
	for text, want := range map[string]string{"cT2 N0 M0": "cT2 N0 M0", "pT1cN1miM0": "pT1c N1mi M0", "Tis": "Tis", "T4b,N3a1": "T4b N3a1", "T5": "", "T2 Jane": "", "": "", "T1 N1 M1 T1": ""} {
		if got, ok := tnmOf(text); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}

// Tables of others: nothing of them may come through as text, however they are headed.
func TestReadRealTables(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "data", "clinical", "csv")
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	read := 0
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		table, err := Read(f)
		f.Close()
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", filepath.Base(path), err)
			}
			continue
		}
		read++
		for _, p := range table.People {
			if text := fmt.Sprintf("%+v", p.Facts); strings.Contains(text, "Doe") || strings.Contains(text, "example") || strings.Contains(text, "Malden") {
				t.Errorf("%s: text came through: %s", filepath.Base(path), text)
			}
		}
	}
	if read < 5 {
		t.Errorf("only %d of %d tables were read", read, len(files))
	}
}

func FuzzRead(f *testing.F) {
	f.Add("subject,sex,diagnosis,visit,visit_date\nA,F,C50,baseline,2019-01-01\n")
	f.Add("mrn;t;n;m\n1;2;0;0\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		rows := table.Refused
		for _, p := range table.People {
			rows += len(p.Rows)
			if p.Identifier == "" || p.Facts.Age != nil && *p.Facts.Age > MaxAge {
				t.Fatalf("%+v", p.Facts)
			}
			for _, v := range p.Facts.Visits {
				if name, ok := Timepoint(v.Name); v.Name != "" && (!ok || name != v.Name) {
					t.Fatalf("%q", v.Name)
				}
			}
		}
		if rows != table.Rows {
			t.Fatalf("%d rows, %d in people or refused", table.Rows, rows)
		}
	})
}
