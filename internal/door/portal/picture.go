package portal

import (
	"context"
	"math"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// frameView is one picture of the series that is looked at.
type frameView struct {
	Address    string
	Number     int // from 1
	Count      int
	Prev, Next string // addresses of pages; empty at the ends
	Size       string
	Viewable   bool
	Presets    []preset
	Window     string // what the presets say of it, in the picture's corner
	Part       int    // which frame of its instance
	Chosen     string // the window, for PS3.18 8.3.5.1.4; empty: as the image says
	instance   *catalogue.InstanceResult
}

// preset is a window that a reader of such images would choose.
type preset struct {
	Key, Name, Title string
	Here             bool
	Path             string // of the page
	window           string // for PS3.18 8.3.5.1.4; empty: as the image says
}

// windows are those of computed tomography, in Hounsfield units: center and width.
var windows = []struct {
	key, name     string
	center, width int
}{{"soft", "Soft tissue", 40, 400}, {"lung", "Lung", -600, 1500}, {"bone", "Bone", 480, 2500}, {"brain", "Brain", 40, 80}, {"liver", "Liver", 70, 150}}

// uptakes are those of PET, from 0 to so much standardized uptake.
var uptakes = []int{5, 10, 20}

// presets are the windows that are offered for a series, of which the data set is one instance.
func presets(d *dicom.Dataset, modality string) []preset {
	all := []preset{{Key: "", Name: "As stored", Title: "The window that the image itself proposes"}}
	switch modality {
	case "CT":
		for _, w := range windows {
			all = append(all, preset{Key: w.key, Name: w.name, Title: "Center " + strconv.Itoa(w.center) + ", width " + strconv.Itoa(w.width) + " HU",
				window: strconv.Itoa(w.center) + "," + strconv.Itoa(w.width) + ",linear"})
		}
	case "PT":
		scale, ok := render.SUVScale(d)
		if !ok {
			break
		}
		for _, top := range uptakes {
			width := float64(top) / scale
			all = append(all, preset{Key: "suv" + strconv.Itoa(top), Name: "SUV 0–" + strconv.Itoa(top), Title: "Standardized uptake by body weight, 0 to " + strconv.Itoa(top),
				window: float(width/2) + "," + float(width) + ",linear-exact"})
		}
	}
	if len(all) == 1 {
		return nil
	}
	return all
}

func float(f float64) string { return strconv.FormatFloat(f, 'g', 8, 64) }

// frames finds the picture to show: number ?at= of the series that was chosen, counted over instances and their frames.
func (d *Door) frames(r *request, p *studyPage, wado string) error {
	q := catalogue.NewQuery(catalogue.Instances)
	q.Collection, q.Study, q.SeriesUID = p.Collection, p.UID, p.Current.UID
	found, err := d.all(r.Context(), r, q)
	if err != nil {
		return err
	}
	total := 0
	for _, i := range found {
		total += max(1, int(i.Frames))
	}
	n, err := strconv.Atoi(r.URL.Query().Get("at"))
	if err != nil || n < 1 || n > total {
		n = (total + 1) / 2 // the middle of a stack says most
	}
	f := &p.Frame
	f.Number, f.Count = n, total
	left := n
	for _, i := range found {
		k := max(1, int(i.Frames))
		if left > k {
			left -= k
			continue
		}
		f.instance, f.Part = i, left
		f.Viewable = i.Rows > 0 && i.Columns > 0
		f.Size = strconv.FormatInt(i.Columns, 10) + " × " + strconv.FormatInt(i.Rows, 10)
		f.Address = wado + "/series/" + url.PathEscape(string(p.Current.UID)) + "/instances/" + url.PathEscape(string(i.UID)) + "/frames/" + strconv.Itoa(left) + "/rendered?viewport=1024,768"
		break
	}
	if f.instance == nil {
		return nil
	}
	data, err := d.header(r, p)
	if err != nil {
		return err
	}
	chosen := r.URL.Query().Get("window")
	f.Presets = presets(data, p.Current.Modality)
	here := 0
	for i := range f.Presets {
		if f.Presets[i].Key == chosen {
			here = i
		}
	}
	tail := ""
	for i := range f.Presets {
		w := &f.Presets[i]
		w.Here = i == here
		w.Path = p.Current.Path + "&at=" + strconv.Itoa(n)
		if w.Key != "" {
			w.Path += "&window=" + w.Key
		}
		if w.Here && w.window != "" {
			f.Address += "&window=" + w.window
			f.Chosen = w.window
			f.Window, tail = w.Name, "&window="+w.Key
		}
	}
	page := func(n int) string { return p.Current.Path + "&at=" + strconv.Itoa(n) + tail + "#picture" }
	if n > 1 {
		f.Prev = page(n - 1)
	}
	if n < total {
		f.Next = page(n + 1)
	}
	p.SeriesFacts = seriesFacts(data, p.Current, total)
	return nil
}

// header reads what the instance of the picture says of itself, without its pixels.
func (d *Door) header(r *request, p *studyPage) (*dicom.Dataset, error) {
	o, err := d.Delivery.Open(r.Context(), r.delivery(), delivery.Place{Collection: p.Collection, Study: p.UID, Series: p.Current.UID, SOP: p.Frame.instance.UID}, policy.ReadMetadata)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return o.Dataset()
}

// all reads every instance of a series, in the order of their numbers.
func (d *Door) all(ctx context.Context, r *request, q *catalogue.Query) ([]*catalogue.InstanceResult, error) {
	var out []*catalogue.InstanceResult
	for {
		q.Offset = len(out)
		found, more, err := d.Delivery.SearchInstances(ctx, r.delivery(), q)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		if !more || len(out) >= 20_000 {
			sort.SliceStable(out, func(i, j int) bool { return out[i].Number < out[j].Number })
			return out, nil
		}
	}
}

// modalities are the defined terms of PS3.3 C.7.3.1.1.1 that oncology meets, in plain words.
var modalities = map[string]string{
	"CT": "Computed tomography", "MR": "Magnetic resonance", "PT": "Positron emission tomography", "NM": "Nuclear medicine", "MG": "Mammography", "US": "Ultrasound",
	"CR": "Radiograph", "DX": "Radiograph", "XA": "Angiography", "RF": "Fluoroscopy", "SM": "Slide microscopy", "GM": "Microscopy", "XC": "Photograph", "ES": "Endoscopy",
	"OT": "Other", "SR": "Structured report", "SEG": "Segmentation", "RTSTRUCT": "Contours for radiotherapy", "RTDOSE": "Dose of radiotherapy", "RTPLAN": "Plan of radiotherapy",
	"PR": "Presentation state", "KO": "Selection of images", "DOC": "Document", "OP": "Photograph of the eye", "OPT": "Tomography of the eye", "IO": "Dental radiograph",
	"PX": "Dental panorama", "BI": "Biomagnetic imaging", "ECG": "Electrocardiogram", "REG": "Registration", "RWV": "Scale of values",
}

// plainModality is a modality in words, or as it stands.
func plainModality(m string) string {
	if w := modalities[m]; w != "" {
		return w
	}
	return m
}

// seriesFacts says of a series what a reader wants to know before using it. The data set is one of its instances; what it does not say is left out.
func seriesFacts(d *dicom.Dataset, s *seriesView, pictures int) []fact {
	text := func(t dicom.Tag) string { return strings.Join(strings.Fields(d.String(t)), " ") }
	number := func(t dicom.Tag) float64 {
		if i := d.Find(t); i >= 0 {
			if f := d.Floats(i); len(f) > 0 && f[0] > 0 && f[0] < math.MaxInt32 {
				return f[0]
			}
		}
		return 0
	}
	short := func(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }
	measure := func(t dicom.Tag, unit string) string {
		if f := number(t); f > 0 {
			return short(f) + " " + unit
		}
		return ""
	}
	spacing := ""
	for _, t := range []dicom.Tag{dicom.TagPixelSpacing, dicom.TagImagerPixelSpacing} {
		if i := d.Find(t); i >= 0 && spacing == "" {
			if f := d.Floats(i); len(f) == 2 && f[0] > 0 && f[1] > 0 {
				spacing = short(f[0]) + " × " + short(f[1]) + " mm"
			}
		}
	}
	pictured := "Images"
	if measure(dicom.TagSliceThickness, "") != "" {
		pictured = "Slices"
	}
	tracer := ""
	if i := d.Find(dicom.TagRadiopharmaceuticalInformationSequence); i >= 0 {
		for item := range d.Children(i) {
			tracer = d.StringIn(item, dicom.TagRadiopharmaceutical)
			break
		}
	}
	scanner := strings.Join(strings.Fields(text(dicom.TagManufacturer)+" "+text(dicom.TagManufacturerModelName)), " ")
	view := strings.TrimSpace(text(dicom.TagImageLaterality) + " " + text(dicom.TagViewPosition))
	facts := []fact{
		{"Kind", plainModality(s.Modality)}, {"Body part", plainPart(s.BodyPart)}, {"View", view}, {"Protocol", text(dicom.TagProtocolName)},
		{pictured, grouped(strconv.Itoa(pictures))}, {"Slice thickness", measure(dicom.TagSliceThickness, "mm")}, {"Pixel", spacing},
		{"Kernel", text(dicom.TagConvolutionKernel)}, {"Tube voltage", measure(dicom.TagKVP, "kV")}, {"Field strength", measure(dicom.TagMagneticFieldStrength, "T")},
		{"Echo, repetition time", pair(measure(dicom.TagEchoTime, "ms"), measure(dicom.TagRepetitionTime, "ms"))}, {"Tracer", tracer}, {"Reconstruction", text(dicom.TagReconstructionMethod)},
		{"Scanner", scanner},
	}
	out := facts[:0]
	for _, f := range facts {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

func pair(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// plainPart writes a body part, which DICOM has in capitals, as one writes.
func plainPart(s string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "_", " "))
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// prior is the last earlier mammogram of the same person, to be hung beside this one; empty if there is none.
func (d *Door) prior(r *request, st *catalogue.Study) (catalogue.StudyUID, error) {
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection = st.Collection
	for name, value := range map[string]string{"PatientID": st.PatientID, "ModalitiesInStudy": "MG"} {
		if strings.ContainsAny(value, `*?\`) || value == "" {
			return "", nil
		}
		if ok, err := q.Match(name, value); err != nil || !ok {
			return "", fault.Wrap(fault.Internal, "find prior study", "", err)
		}
	}
	found, _, err := d.Delivery.SearchStudies(r.Context(), r.delivery(), q)
	if err != nil {
		return "", err
	}
	best := &catalogue.Study{}
	for _, s := range found {
		if s.StudyDate < st.StudyDate && s.StudyDate > best.StudyDate {
			best = s
		}
	}
	return best.UID, nil
}
