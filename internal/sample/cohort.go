package sample

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The demonstration has collections of a size at which numbers of people can be told: a trial with CT and PET/CT, and a screening service. Most people's images are
// small; those of the first few are of the size that scanners make, for viewers.

// A Participant is one of the people of a [Cohort].
type Participant struct {
	*Person
	Studies   []*Study
	Diagnoses []string // ICD-10, ICD-O-3 morphology
	Stage     string   // of a table of clinical data; empty: none
	TNM       string
	Diagnosed time.Time // zero: never
	Visits    []string  // names, one a study day from baseline on
}

// A Cohort is a collection of the demonstration.
type Cohort struct {
	Name   string // of its folder, and a collection's identifier
	People []*Participant
	Issuer string // of the patient identifiers in Clinical
}

// Cohorts are the trial and the screening service. The same seed gives the same people and bytes.
func Cohorts(seed uint64) []*Cohort {
	return []*Cohort{trial(seed), screening(seed)}
}

const (
	trialPeople     = 110
	screeningPeople = 140
	// Numbers of people of cohorts begin here; those of the small collection are below.
	trialFrom     = 1000
	screeningFrom = 2000
	// inFull is how many people of a cohort have images of full size.
	inFull = 3
)

var (
	givenMen   = []string{"Aidan", "Bashir", "Callum", "Dafydd", "Ewan", "Femi", "Gurpreet", "Hugh", "Imran", "Jamie", "Kofi", "Lewis", "Milosz", "Nikhil", "Osian", "Piotr", "Rhodri", "Samir", "Tariq", "Yusuf"}
	givenWomen = []string{"Aisling", "Bronwen", "Catriona", "Divya", "Eilidh", "Farida", "Gwen", "Hafsa", "Ifeoma", "Jasmin", "Kirsty", "Leila", "Morag", "Nia", "Oluchi", "Priya", "Rowena", "Shreya", "Tegan", "Zainab"}
	families   = []string{"Aldous", "Bexfield", "Cottingley", "Dhaliwal", "Eckersley", "Fazackerley", "Garrowby", "Heckmondwike", "Ilesanmi", "Jowett", "Kildwick", "Llanfair", "Micklethwaite", "Nwachukwu", "Oughtibridge",
		"Pateley", "Quarmby", "Rathmell", "Silkstone", "Thackray", "Ulleskelf", "Vaghela", "Wainstalls", "Yeadon"}
)

// participant makes up somebody of an age at baseline.
func participant(seed uint64, number int, sex string, age int, r *rand.Rand) *Person {
	p := &Person{Number: number, seed: seed, Sex: sex, set: westEuropean}
	p.Given, p.Prefix = pick(r, givenWomen), "Ms"
	p.HeightM = 1.56 + 0.2*r.Float64()
	if sex == "M" {
		p.Given, p.Prefix = pick(r, givenMen), "Mr"
		p.HeightM += 0.12
	}
	p.HeightM = math.Round(p.HeightM*100) / 100
	w := math.Round((21 + 9*r.Float64()) * p.HeightM * p.HeightM)
	p.WeightKg = [3]float64{w, w - 2, w + 1}
	p.Family = pick(r, families)
	p.Name = p.Family + "^" + p.Given + "^^" + p.Prefix
	p.First = day(2016+r.IntN(8), time.Month(1+r.IntN(12)), 1+r.IntN(28))
	for p.First.Weekday() == time.Saturday || p.First.Weekday() == time.Sunday {
		p.First = p.First.AddDate(0, 0, 1)
	}
	p.Born = p.First.AddDate(-age, 0, -1-r.IntN(360))
	p.NHS = nhsNumber(r)
	p.MRN = fmt.Sprintf("CVI%07d", 1_000_000+r.IntN(9_000_000))
	p.Address = fmt.Sprintf("%d %s, %s, West Yorkshire ZZ99 %dZZ", 1+r.IntN(190), pick(r, streets), pick(r, towns), 1+r.IntN(9))
	p.Phone = fmt.Sprintf("0113 496 0%03d", r.IntN(1000))
	p.Mobile = fmt.Sprintf("07700 900%03d", r.IntN(1000))
	p.Kin = pick(r, []string{"Mirela", "Owain", "Tamsin", "Idris"})
	p.Physician = pick(r, physicians)
	return p
}

// trial is of people with Hodgkin lymphoma: a PET/CT of the thorax at baseline and, of most, after two cycles, and of some a CT at follow-up.
func trial(seed uint64) *Cohort {
	c := &Cohort{Name: "lantern", Issuer: "CVI PAS"}
	for i := range trialPeople {
		r := rand.New(rand.NewPCG(seed, uint64(trialFrom+i)))
		age := 19 + r.IntN(22) // the disease has two ages
		if r.IntN(5) == 0 {
			age = 55 + r.IntN(20)
		}
		p := &Participant{Person: participant(seed, trialFrom+i, []string{"F", "M"}[r.IntN(2)], age, r)}
		p.Diagnoses = []string{"C81.1", "9663/3"}
		if r.IntN(4) == 0 {
			p.Diagnoses = []string{"C81.2", "9652/3"}
		}
		p.Stage = []string{"II", "II", "II", "III", "III", "IV", "I"}[r.IntN(7)]
		p.Diagnosed = p.First.AddDate(0, 0, -14-r.IntN(30))
		p.Visits = []string{"baseline"}
		f := field{slices: 8, thickness: 24, pet: 80, ct: 128, petPixel: 6, ctPixel: 3.2, region: "CHEST"}
		if i < inFull {
			f = field{slices: 48, thickness: 4, pet: 128, ct: 256, petPixel: 3.75, ctPixel: 1.6, region: "CHEST"}
		}
		t := newTorso(mix(seed^uint64(trialFrom+i)<<16), r)
		p.Studies = append(p.Studies, t.study(p.Person, 0, f))
		if i < inFull || r.IntN(10) < 7 {
			p.Studies = append(p.Studies, t.study(p.Person, 1, f))
			p.Visits = append(p.Visits, "mid-treatment")
		}
		if i == 0 { // with a report, which a person has to read
			p.Studies = append(p.Studies, report(p.Person, 1))
		}
		c.People = append(c.People, p)
	}
	return c
}

// A torso is a chest with lymph nodes that take up tracer, of one person's size.
type torso struct {
	chest
	size   float64
	nodes  []ball // hu is not used
	uptake float64
	heart  float64 // uptake of the left ventricle's wall
	answer float64 // what is left of the uptake after two cycles
	key    uint64
}

func newTorso(key uint64, r *rand.Rand) *torso {
	t := &torso{chest: chest{key: key}, key: key, size: 0.9 + 0.17*r.Float64(), uptake: 5 + 8*r.Float64(), heart: 1.6 + 4*r.Float64()*r.Float64(), answer: 0.08 + 0.3*r.Float64()*r.Float64()}
	// Both sides of the upper mediastinum, the hila, above the collar bones, the armpits.
	for _, at := range [...][3]float64{{-26, -34, 62}, {24, -40, 70}, {8, -58, 48}, {-38, 4, 30}, {42, 2, 26}, {-70, -40, 104}, {66, -38, 108}, {-128, 10, 84}, {130, 8, 80}, {-10, -52, 84}} {
		if r.IntN(5) < 2 {
			continue
		}
		t.nodes = append(t.nodes, ball{at[0] + 8*r.Float64() - 4, at[1] + 8*r.Float64() - 4, at[2] + 12*r.Float64() - 6, 7 + 13*r.Float64()*r.Float64() + 3, 46})
	}
	if len(t.nodes) == 0 {
		t.nodes = []ball{{8, -58, 48, 16, 46}}
	}
	t.nodules = t.nodes
	return t
}

func (t *torso) at(x, y, z, voxel float64) float64 {
	return t.chest.at(x/t.size, y/t.size, z/t.size, voxel)
}

// activity is what FDG does in a chest: little in lung and fat, some in blood and marrow, more in the heart, most in the lymphoma.
func (t *torso) activity(x, y, z, voxel float64) float64 {
	x, y, z = x/t.size, y/t.size, z/t.size
	hu := t.chest.at(x, y, z, voxel)
	var a float64
	switch {
	case hu < -900 || hu == huTable:
		return 0
	case hu < -500:
		a = 0.45
	case hu < -50:
		a = 0.3
	case hu > 120 && y > 30:
		a = 1.5 // marrow
	case hu > 90:
		a = 1.7 // blood
	default:
		a = 0.8
	}
	if hx, hy, hz := (x-38)/36, (y+26)/32, (z+26)/40; hx*hx+hy*hy+hz*hz < 1 && hx*hx+hy*hy+hz*hz > 0.42 {
		a = math.Max(a, t.heart)
	}
	for _, n := range t.nodes {
		d := math.Sqrt((x-n.x)*(x-n.x) + (y-n.y)*(y-n.y) + (z-n.z)*(z-n.z))
		a += (t.uptake - a) * clamp((n.radius-d)/math.Max(voxel, 4)+0.5, 0, 1)
	}
	return a
}

// study is a PET/CT of the torso at a timepoint: after two cycles the nodes are smaller and take up less.
func (t *torso) study(p *Person, tp int, f field) *Study {
	x := newExam(p, tp, "PET/CT", 9+p.Number%7, 5+p.Number%50, wharfePT)
	x.desc = fmt.Sprintf("FDG PET/CT lymphoma %s %s", timepoints[tp], p.Family)
	tracer := PETTracer(p, tp)
	tracer.Scan = x.at.Add(3 * time.Minute)
	tracer.Injected = x.at.Add(-62 * time.Minute)
	now := *t
	if tp > 0 {
		now.uptake *= t.answer
		now.nodes = nil
		for _, n := range t.nodes {
			n.radius *= 0.5 + 0.4*t.answer
			now.nodes = append(now.nodes, n)
		}
		now.nodules = now.nodes
	}
	return x.petct(f, &now, mix(t.key^uint64(tp)), tracer, westEuropean)
}

// screening is of women who came for mammograms; a few have cancer, and had an earlier round.
func screening(seed uint64) *Cohort {
	c := &Cohort{Name: "fernhill", Issuer: "CVI PAS"}
	for i := range screeningPeople {
		r := rand.New(rand.NewPCG(seed, uint64(screeningFrom+i)))
		p := &Participant{Person: participant(seed, screeningFrom+i, "F", 47+r.IntN(24), r), Visits: []string{"round 1"}}
		mass, scale := 0.0, 5
		if i < inFull {
			scale = 2
		}
		if i < inFull || r.IntN(6) == 0 {
			mass = 9 + 12*r.Float64()
			p.Diagnoses = []string{[]string{"C50.4", "C50.2", "C50.1"}[r.IntN(3)], "8500/3"}
			p.TNM = []string{"cT1 N0 M0", "cT2 N0 M0", "cT2 N1 M0"}[r.IntN(3)]
			p.Stage = map[string]string{"cT1 N0 M0": "IA", "cT2 N0 M0": "IIA", "cT2 N1 M0": "IIB"}[p.TNM]
			p.Diagnosed = p.First.AddDate(0, 0, 9+r.IntN(12))
		}
		b := breast{key: mix(seed ^ uint64(screeningFrom+i)<<20), thickness: 44 + 20*r.Float64(), size: 0.72 + 0.26*r.Float64(), dense: 0.5 + 0.9*r.Float64(), mass: mass}
		p.Studies = append(p.Studies, b.study(p.Person, scale))
		if i < inFull { // the first with her name in the pixels, the others without
			p.Studies = append(p.Studies, ultrasound(p.Person, 0, i == 0))
		}
		if i == 1 {
			p.Studies = append(p.Studies, photograph(p.Person, 0))
		}
		c.People = append(c.People, p)
	}
	return c
}

// study is a screening examination: four views for presentation.
func (b breast) study(p *Person, scale int) *Study {
	x := newExam(p, 0, "MG", 8+p.Number%8, 12+p.Number%45, calderMG)
	x.desc = "Mammogram both breasts, screening, " + p.written()
	s := x.newStudy()
	for i, v := range views {
		side := b
		side.view = v
		side.key ^= uint64(v.side[0]) << 8
		s.make = append(s.make, func() (*Instance, error) { return x.mammo(&side, i, scale, true) })
	}
	return s
}

// Clinical is the table of what a register knows of the cohort, a row a visit, as `vitrine clinical import` reads it.
func (c *Cohort) Clinical() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"patient_id", "issuer", "sex", "birth_date", "diagnosis", "stage", "tnm", "diagnosis_date", "visit", "visit_date"}}
	for _, p := range c.People {
		for i, v := range p.Visits {
			row := []string{p.MRN, c.Issuer, p.Sex, p.Born.Format(time.DateOnly), strings.Join(p.Diagnoses, ";"), p.Stage, p.TNM, "", v, p.First.AddDate(0, 0, 91*i).Format(time.DateOnly)}
			if !p.Diagnosed.IsZero() {
				row[7] = p.Diagnosed.Format(time.DateOnly)
			}
			rows = append(rows, row)
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// WriteCohorts writes the demonstration below dir: of each cohort a folder with images, what is sent later, what a node refuses, and clinical.csv; and the entries of the
// directory.
func WriteCohorts(dir string, seed uint64) (Manifest, error) {
	m := Manifest{Seed: seed}
	for _, c := range Cohorts(seed) {
		var all, late []*Study
		for i, p := range c.People {
			if i >= len(c.People)-lateComers { // nobody has published them yet
				late = append(late, p.Studies...)
			} else {
				all = append(all, p.Studies...)
			}
		}
		for _, part := range []struct {
			folder  string
			studies []*Study
		}{{"images", all}, {"late", late}} {
			if err := m.write(filepath.Join(dir, c.Name, part.folder), part.studies); err != nil {
				return m, err
			}
		}
		if err := c.writeRefused(filepath.Join(dir, c.Name, "refused")); err != nil {
			return m, err
		}
		table, err := c.Clinical()
		if err != nil {
			return m, err
		}
		if err := os.WriteFile(filepath.Join(dir, c.Name, "clinical.csv"), table, 0o644); err != nil {
			return m, err
		}
	}
	return m, WriteEntries(dir)
}

// lateComers are the people of a cohort whose images are sent after the others are published.
const lateComers = 4

// writeRefused writes what no archive can take: an image that breaks off, and a file that is none.
func (c *Cohort) writeRefused(dir string) error {
	in, err := c.People[0].Studies[0].Instance(0)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "breaks-off.dcm"), in.File()[:len(in.File())*2/3], 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "no-image.dcm"), []byte("The disc could not be read.\n"), 0o644)
}

var _ body = (*torso)(nil)
